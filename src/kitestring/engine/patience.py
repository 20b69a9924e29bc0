"""Requests for a payment that want to be told after a while that it is under way, in place of waiting for its end.

That is their answer, and it stays: what becomes of the payment is found by looking it up, and told by notifications.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kitestring.base.commands import Journaled, PayInvoice
from kitestring.base.outcomes import Pending
from kitestring.base.payments import OPEN
from kitestring.engine.answers import Answers
from kitestring.engine.context import Context


class Patience:
    """Waits beside the payments: a task for each request, as long as its payment is pursued."""

    def __init__(self, context: Context, answers: Answers) -> None:
        self._context: Final = context
        self._answers: Final = answers

    def watch(self, request_id: str, command: Journaled, since: int, pursuing: asyncio.Task[None] | None) -> None:
        """Look at a request that was claimed at ``since`` (Unix seconds) when its patience is over, if that ends. With
        the task that is ``pursuing`` the payment the wait is over: that has answered."""
        if isinstance(command, PayInvoice) and command.patience_s:
            task = self._context.spawn(self._tell(request_id, since + command.patience_s))
            if pursuing is not None:
                pursuing.add_done_callback(lambda _: task.cancel())

    async def _tell(self, request_id: str, at: int) -> None:
        """Tell it, unless the payment has ended by then: whoever pursues that has answered, or will. Where both come at
        once the ledger keeps the first answer."""
        await self._context.clock.sleep(max(0, at - self._context.clock.now()))
        request = await self._context.store.request(request_id)
        payment = await self._context.store.payment(request.payment_id) if request and request.payment_id else None
        if request is not None and payment is not None and payment.state in OPEN:
            pending = Pending(payment.payment_hash, payment.amount_msat, payment.created_at)
            await self._answers.finish(request, pending)
