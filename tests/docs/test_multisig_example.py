"""The example of a plugin, both sides: cosigners over wallet connections find one address that all of them own."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from kitestring import KitestringError, Reason, Service, Wallet
from kitestring.app.service import plugins
from kitestring.base.plugins import GROUP
from kitestring.crypto.keys import SecretKey
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from tests.kit.app.console import kitestring

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Of three secret keys, as they stand in a descriptor.
KEYS = ["02" + SecretKey(bytes([number]) * 32).public_hex for number in (1, 2, 3)]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package of the plugin, as its entry point names it; the client's side is what is given."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    entry = EntryPoint("multisig_join", "multisig_plugin:PLUGIN", GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [entry] if group == GROUP else [])
    plugins.load_plugins.cache_clear()
    module = importlib.import_module("multisig")
    yield module
    plugins.load_plugins.cache_clear()
    for name in ("multisig", "multisig_plugin"):
        sys.modules.pop(name, None)


async def test_all_cosigners_find_the_same_address_and_nobody_else_gets_in(installed: Any, tmp_path: Path) -> None:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        service = Service(relays=[relay.url], store=tmp_path / "kite.db")
        names = ("anna", "ben", "cleo", "eve")
        made = [await asyncio.to_thread(service.grant, name, methods={"multisig_join"}) for name in names]
        plain = await asyncio.to_thread(service.grant, "plain")
        uris = [str(one.nwc_uri) for one in made]
        async with service, asyncio.timeout(60):
            sides = (installed.main(uri, "round-0001", 3, key) for uri, key in zip(uris[:3], KEYS, strict=True))
            told = await asyncio.gather(*sides)
            async with Wallet.open(uris[3]) as eve:
                assert "multisig_join" in (await eve.info()).methods
                late = {"round": "round-0001", "cosigners": 3, "key": "03" + "11" * 32}
                for params, reason in (
                    (late, Reason.NOT_PERMITTED),
                    ({**late, "cosigners": 2}, Reason.MALFORMED),  # NIP-47 has no word for a conflict
                    ({**late, "key": "xx"}, Reason.MALFORMED),
                ):
                    with pytest.raises(KitestringError) as refused:
                        await eve.call("multisig_join", params)
                    assert refused.value.reason is reason
            async with Wallet.open(str(plain.nwc_uri)) as other:
                with pytest.raises(KitestringError) as absent:
                    await other.call("multisig_join", late)
                assert absent.value.reason is Reason.UNSUPPORTED
    script = bytes([0x52]) + b"".join(b"\x21" + bytes.fromhex(key) for key in sorted(KEYS)) + bytes([0x53, 0xAE])
    assert set(told) == {f"2 of 3: {hashlib.sha256(script).hexdigest()}"}


async def test_an_answer_waits_for_the_others_and_comes_without_them_after_a_while(
    installed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del installed
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        service = Service(relays=[relay.url], store=tmp_path / "kite.db")
        made = [await asyncio.to_thread(service.grant, name, methods={"multisig_join"}) for name in ("anna", "ben")]
        asked = [{"round": "round-0002", "cosigners": 2, "key": key} for key in KEYS[:2]]
        async with (
            service, asyncio.timeout(60), Wallet.open(str(made[0].nwc_uri)) as anna,
            Wallet.open(str(made[1].nwc_uri)) as ben,
        ):  # fmt: skip
            with monkeypatch.context() as patch:
                patch.setattr(sys.modules["multisig_plugin"], "WAIT_S", 0.01)
                assert await anna.call("multisig_join", asked[0]) == {"joined": 1, "keys": []}
            waiting = asyncio.create_task(anna.call("multisig_join", asked[0]))
            assert await ben.call("multisig_join", asked[1]) == await waiting
            assert (await waiting)["keys"] == sorted(KEYS[:2])


async def test_a_cosigner_may_join_from_the_command_line(installed: Any, tmp_path: Path) -> None:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        service = Service(relays=[relay.url], store=tmp_path / "kite.db")
        made = [await asyncio.to_thread(service.grant, name, methods={"multisig_join"}) for name in ("anna", "ben")]
        async with service, asyncio.timeout(60):
            ben = asyncio.create_task(installed.main(str(made[1].nwc_uri), "round-0003", 2, KEYS[1]))
            params = json.dumps({"round": "round-0003", "cosigners": 2, "key": KEYS[0]})
            call = ("--json", "call", "multisig_join", params, "--wallet", "env:ANNA")
            told = await asyncio.to_thread(kitestring, *call, ANNA=str(made[0].nwc_uri))
            assert await ben == f"1 of 2: {installed.script_hash(KEYS[:2], 1)}"
    assert json.loads(told.stdout) == {"joined": 2, "keys": sorted(KEYS[:2])}
