from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from kitestring.app.home.config import Config, RelaySettings
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.execute import execute
from kitestring.app.service.own_relay import NO_RELAY, own_relay, own_relays, relays_of
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer
from kitestring.base.transactions.owner import SaveOffer
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.relay import server
from kitestring.relay.limits import RelayLimits
from kitestring.relay.server import Relay
from kitestring.relay.vouched import VouchedKeys
from kitestring.transport.clock import SystemClock

CLOCK: Final = SystemClock()
FREE: Final = RelaySettings()


@pytest.fixture
def home(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path, tmp_path)


async def document(url: str) -> dict[str, object]:
    headers = {"Accept": "application/nostr+json"}
    async with aiohttp.ClientSession() as session, session.get("http" + url[2:], headers=headers) as answer:
        told: dict[str, object] = await answer.json(content_type=None)
    return told


async def test_the_relay_keeps_its_port_and_is_named_before_it_runs_again(home: DataDir) -> None:
    config = Config(home.path)
    assert own_relays(config, home) == ()
    async with own_relay(config.relay, home, CLOCK) as relay:
        assert own_relays(config, home) == (relay.url,)
    assert own_relays(config, home) == (relay.url,)
    async with own_relay(config.relay, home, CLOCK) as again:
        assert again.url == relay.url
        assert again.headers != relay.headers
    assert home.relay_db.exists()


async def test_without_a_directory_it_serves_all_the_same() -> None:
    async with own_relay(FREE, None, CLOCK) as relay:
        assert (await document(relay.url))["name"] == "kitestring relay"


async def test_relays_of_the_settings_stand_for_the_embedded_one(home: DataDir) -> None:
    home.keep_relay_port(7777)
    assert own_relays(Config(home.path, relays=("wss://relay.example",)), home) == ("wss://relay.example",)
    assert own_relays(Config(home.path, relay=RelaySettings(port=8888)), home) == ("ws://127.0.0.1:8888",)
    assert own_relays(Config(home.path), home) == ("ws://127.0.0.1:7777",)


async def test_the_settings_say_which_kinds_it_takes_and_whether_it_asks_who_comes(home: DataDir) -> None:
    async with own_relay(RelaySettings(kinds=(1, 21_001), auth=True), home, CLOCK) as relay:
        told = await document(relay.url)
    assert told["retention"] == [{"kinds": [1, 21_001]}, {"time": 0}]
    limitation = told["limitation"]
    assert isinstance(limitation, dict)
    assert limitation["auth_required"] is True


async def test_beside_a_service_strangers_get_less_than_of_a_relay_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[RelayLimits, VouchedKeys | None]] = []

    class Noted(Relay):
        def __init__(self, *args: Any, limits: RelayLimits, vouched: VouchedKeys | None, **kwargs: Any) -> None:
            given.append((limits, vouched))
            super().__init__(*args, limits=limits, vouched=vouched, **kwargs)

    monkeypatch.setattr(server, "Relay", Noted)
    keys = VouchedKeys()
    for vouched in (None, keys):
        async with own_relay(RelaySettings(kinds=(1,)), None, CLOCK, vouched):
            pass
    kinds = frozenset({1})
    assert given == [
        (replace(RelayLimits(), kinds=kinds), None),
        (replace(RelayLimits.beside_service(), kinds=kinds), keys),
    ]


async def test_a_taken_port_is_said_and_nothing_is_kept(home: DataDir, tmp_path: Path) -> None:
    async with own_relay(FREE, None, CLOCK) as relay:
        taken = RelaySettings(port=int(relay.url.rpartition(":")[2]))
        with pytest.raises(KitestringError, match="is in use") as caught:
            async with own_relay(taken, home, CLOCK):
                raise AssertionError("two relays on one port")
    assert caught.value.reason is Reason.UNAVAILABLE
    assert not home.port_file.exists()


async def test_a_relay_whose_port_cannot_be_kept_does_not_go_on_listening(
    home: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []

    def full(port: int) -> None:
        ports.append(port)
        raise OSError("no space left")

    monkeypatch.setattr(home, "keep_relay_port", full)
    with pytest.raises(OSError, match="no space left"):
        async with own_relay(FREE, home, CLOCK):
            raise AssertionError("a relay whose port is forgotten")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", ports[0])


# ------------------------------------------------------------ beside the relays of the settings

KEY: Final = Keyring(b"\x07" * 32).service_id
OUTSIDE: Final = "wss://relay.example"


async def named(home: DataDir, *relays: str) -> None:
    """A ledger with an offer that names these relays."""
    store = await SqliteStore.open(home.ledger, KEY)
    offer = SaveOffer(Offer(offer_id="tea", label="tea", relays=relays))
    await execute(store, "named", "owner", (offer,), {}, CLOCK.now())
    await store.close()


async def test_the_embedded_relay_is_the_only_one_where_the_settings_name_none(home: DataDir) -> None:
    async with relays_of(Config(home.path), home, KEY, CLOCK, VouchedKeys()) as (relays, own):
        assert relays == (own.url,)
        assert own.known_by == {own.url: own.headers}


async def test_it_runs_beside_those_of_the_settings_as_long_as_a_code_names_it(home: DataDir, port: int) -> None:
    url, config = f"ws://127.0.0.1:{port}", Config(home.path, relays=(OUTSIDE,), relay=RelaySettings(port=1))
    home.keep_relay_port(port)
    async with relays_of(config, home, KEY, CLOCK, VouchedKeys()) as found:
        assert found == ((OUTSIDE,), NO_RELAY)
    await named(home, OUTSIDE, "wss://left.example")
    async with relays_of(config, home, KEY, CLOCK, VouchedKeys()) as found:
        assert found == ((OUTSIDE,), NO_RELAY)
    assert NO_RELAY.known_by == {}
    home.ledger.unlink()
    await named(home, f"{url}/")
    async with relays_of(config, home, KEY, CLOCK, VouchedKeys()) as (relays, own):
        assert (relays, own.url) == ((OUTSIDE,), url)
        assert (await document(url))["name"] == "kitestring relay"
    assert home.relay_port() == port


async def test_an_old_port_that_is_taken_is_a_warning_and_no_reason_not_to_start(
    home: DataDir, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_relay(FREE, None, CLOCK) as other:
        home.keep_relay_port(int(other.url.rpartition(":")[2]))
        await named(home, other.url)
        async with relays_of(Config(home.path, relays=(OUTSIDE,)), home, KEY, CLOCK, VouchedKeys()) as found:
            assert found == ((OUTSIDE,), NO_RELAY)
    assert "links and codes that name the embedded relay lead nowhere: " in caplog.text
