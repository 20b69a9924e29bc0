"""A connection that has spoken NIP-44 once is never spoken to in NIP-04 again, not even by the next process."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.kit.app.process import PATIENCE_S, Service, Wallet, relay, wallet


async def _old_is_refused(client: Wallet) -> bool:
    error = (await client.ask("get_balance", "nip04")).get("error")
    return error is not None and error["code"] in {"UNSUPPORTED_ENCRYPTION", "OTHER"}


async def test_nip44_once_seen_is_never_lowered_not_even_by_a_restart(tmp_path: Path) -> None:
    async with relay() as hub:
        running = Service(tmp_path / "home", hub.url)
        await running.start()
        async with wallet(await running.connect("app")) as client:
            assert not await _old_is_refused(client)
            assert (await client.ask("get_balance", "nip44")).get("error") is None
            async with asyncio.timeout(PATIENCE_S):
                while not await _old_is_refused(client):  # the raise is a commit of its own
                    pass
            await running.end(signal.SIGKILL)
            await running.start()
            assert await _old_is_refused(client)
            assert (await client.ask("get_balance", "nip44")).get("error") is None
        assert await running.end(signal.SIGTERM) == 0
