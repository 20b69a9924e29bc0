"""News of hold invoices, from whoever has some to whoever waits: in one process, to save looks at the ledger."""

from __future__ import annotations

import asyncio


class HoldNews:
    """Nothing depends on it: whoever waits looks again after a while in any case."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def tell(self, invoice_id: str) -> None:
        """Something about this invoice has changed in the ledger."""
        for event in self._waiting.get(invoice_id, ()):
            event.set()

    async def wait(self, invoice_id: str, limit_s: float) -> None:
        """Wait for news of this invoice, ``limit_s`` seconds at most."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(invoice_id, set())
        waiting.add(event)
        try:
            async with asyncio.timeout(limit_s):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            waiting.discard(event)
            if not waiting and self._waiting.get(invoice_id) is waiting:
                del self._waiting[invoice_id]
