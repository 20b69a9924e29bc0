"""The example of a plugin, both sides: cosigners over wallet connections find one address that all of them own."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
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

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Of three secret keys, as they stand in a descriptor.
KEYS = ["02" + SecretKey(bytes([number]) * 32).public_hex for number in (1, 2, 3)]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package of the plugin, as its entry point names it; the client's side beside it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    entry = EntryPoint("multisig_join", "multisig_plugin:PLUGIN", GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [entry] if group == GROUP else [])
    plugins.load_plugins.cache_clear()
    module = importlib.import_module("multisig")
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
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
