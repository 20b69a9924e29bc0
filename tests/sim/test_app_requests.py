"""An app asks for a connection, and the service dies at every single point: nothing is there before the owner's word,
and after it exactly one connection, which the app finds by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from kitestring.codec.uri import NwcUri, encode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag
from tests.kit.app.client import App
from tests.kit.app.house import House, Service
from tests.kit.app.relay import URL
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import Script
from tests.sim.test_links import until_killed

KEY, STATE = SecretKey(b"\x05" * 32), "9f" * 16
LINK = (
    f"nostr+walletauth://{KEY.public_hex}?relay={quote(URL, safe='')}&state={STATE}"
    "&request_methods=pay_invoice&max_amount=500000&name=Zap"
)
#: More points than the story has: the loop ends by itself at the first run that nothing killed.
MOST = 60


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def answers(house: House) -> list[Event]:
    """What the app hears where it waits."""
    return [
        event
        for event in house.relay.events
        if event.kind == kinds.NWC_INFO and first_tag(event, "p") == KEY.public_hex
    ]


async def ask_and_approve(service: Service) -> None:
    asked = await service.command("connect_request", "asked", link=LINK)
    assert answers(service.house) == []
    await service.command("approve", "said-yes", id=asked["id"])
    await service.house.clocks.service.sleep(5)


async def finish(service: Service) -> None:
    """As an owner does who has seen no answer: the same commands with the same keys."""
    asked = await service.command("connect_request", "asked", link=LINK)
    done = await service.command("approve", "said-yes", id=asked["id"])
    assert (done["outcome"], done["connected"]) == ("granted", "Zap")


def test_an_app_is_connected_once_by_the_owners_word_whatever_dies_on_the_way(tmp_path: Path) -> None:
    @virtual
    async def story(house: House, fatal: int) -> bool:
        async with house.service(crossings := Crossings()) as service:
            crossings.fatal = len(crossings.labels) + fatal
            died = await until_killed(service, ask_and_approve(service))
        async with house.service() as service:
            before = [grant for grant in await service.store.grants() if grant.wire == "nwc"]
            assert len(before) <= 1
            await finish(service)
            (grant,) = [grant for grant in await service.store.grants() if grant.wire == "nwc"]
            assert before in ([], [grant])
            assert grant.caller == KEY.public_hex
            while not answers(house):
                await house.clocks.service.sleep(1)
            heard = answers(house)[-1]
            assert first_tag(heard, "state") == STATE
            assert (heard.pubkey, first_tag(heard, "relay")) == (grant.service_pubkey, URL)
            uri = encode_nwc(NwcUri(heard.pubkey, (URL,), bytes.fromhex(KEY.hex())))
            app = App(uri, house.relay, house.clocks.app, house.entropy)
            paying = app.pay(house.node.outside_bolt11(amount_msat=10_000, script=Script()))
            assert await app.answer(paying) == "ok"
            over = app.pay(house.node.outside_bolt11(amount_msat=600_000, script=Script()))
            assert await app.answer(over) == "QUOTA_EXCEEDED"
        assert house.violations() == []
        return died

    for fatal in range(1, MOST):
        if not story(House(tmp_path / str(fatal), connection_requests=True), fatal):
            break
    else:
        pytest.fail("the story has more points than were tried")
    assert fatal > 3


def test_nothing_of_an_app_is_heard_before_the_owners_word(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            asked = await service.command("connect_request", link=LINK)
            guess = service.core.desk.connection_pubkey(asked["id"][-16:])
            uri = encode_nwc(NwcUri(guess, (URL,), bytes.fromhex(KEY.hex())))
            app = App(uri, house.relay, house.clocks.app, house.entropy)
            asking = app.send("get_info")
            await asyncio.sleep(30)
            assert app.replies(asking) == []
            assert answers(house) == []
            await service.command("deny", id=asked["id"])
            await asyncio.sleep(30)
            assert (app.replies(asking), answers(house)) == ([], [])

    story(House(tmp_path, connection_requests=True))
