"""One hold invoice in this process, from its making, or from its stored row after a restart, until it has ended.

    open, undecided       follow the node: held -> accepted; the node has ended it -> left to housekeeping
    accepted, undecided   follow the node, and the height of the chain: near the deadline it is cancelled
    decided               tell the node, as often as it takes, until it says that the invoice has ended

Only the node's word ends an invoice, and credits it. A payment that is held inside this service is ended by its own
pursuit; here its deadline alone is watched.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, assert_never

from kitestring.base.errors import KitestringError
from kitestring.base.invoices import WAITING, Decision, InvoiceState
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, Settlement
from kitestring.base.records import Invoice
from kitestring.base.transactions import DecideHold, EndHold, HoldPayment, WarnHold
from kitestring.engine.answers import Answers
from kitestring.engine.context import Context, pauses
from kitestring.engine.incoming import IncomingMoney
from kitestring.engine.node import NodeGate, reachable
from kitestring.engine.outcomes import hold_outcome

log = logging.getLogger("kitestring.engine")

#: Blocks before the deadline at which what nobody has decided about is cancelled: closer to it a node closes the
#: channel rather than wait. And those at which the owner is told, while there are still some hours.
CANCEL_BEFORE_BLOCKS: Final = 12
WARN_BEFORE_BLOCKS: Final = 24
#: Invoices that are followed by streams of the node at once, so that an app hears of its payer at once; of others the
#: state is looked up, soon at first and then once a minute.
MAX_FOLLOWED: Final = 32
#: Seconds after which the height is looked at again. A node gives its own streams up later.
LOOK_S: Final = 45.0


class Followed:
    """The number of invoices that are followed now."""

    def __init__(self) -> None:
        self.number = 0

    @property
    def has_room(self) -> bool:
        """Whether one more may be followed."""
        return self.number < MAX_FOLLOWED


class HoldPursuit:
    """The only one who tells the node what is to become of this invoice."""

    def __init__(
        self, context: Context, answers: Answers, gate: NodeGate, incoming: IncomingMoney, followed: Followed,
        invoice_id: str,
    ) -> None:  # fmt: skip
        self._context = context
        self._answers = answers
        self._gate = gate
        self._incoming = incoming
        self._followed = followed
        self._invoice_id = invoice_id
        self._looks = pauses()
        self._is_called = False
        self.task: asyncio.Task[None] | None = None

    def look_again(self) -> None:
        """Do not leave it with what was read before: it has changed in the ledger."""
        self._is_called = True
        self._context.holds.tell(self._invoice_id)

    async def run(self) -> None:
        """Go on until it has ended, whatever breaks off meanwhile."""
        breaks = pauses()
        while True:
            try:
                self._is_called = False
                if await self._step() and not self._is_called:
                    return
                breaks = pauses()
            except KitestringError as failure:
                log.warning("hold invoice %s: %s", self._invoice_id, failure.message)
                await self._pause(next(breaks))
            except Exception:
                log.exception("hold invoice %s broke off; it is carried on", self._invoice_id)
                await self._pause(next(breaks))

    async def _pause(self, limit_s: float) -> None:
        await self._context.holds.wait(self._invoice_id, limit_s)

    async def _step(self) -> bool:
        """Whether nothing more is to be done here."""
        invoice = await self._context.store.invoice(self._invoice_id)
        if invoice is None or invoice.state not in WAITING:
            if invoice is not None:
                await self.answer(invoice)
            return True
        if invoice.node_id != self._context.node.node_id:
            return True  # nobody can be asked about it
        if invoice.state is InvoiceState.ACCEPTED and await self._is_cancelled_in_time(invoice):
            return False
        if invoice.held_by:
            await self._pause(LOOK_S)
            return False
        status = await self._ask(invoice)
        return False if status is None else await self._heed(invoice, status)

    async def answer(self, invoice: Invoice) -> None:
        """Answer requests that came while it was ending, or whose answer a crash has kept from being stored."""
        if invoice.state is InvoiceState.LEFT:
            return
        for request in await self._context.store.waiting(invoice.invoice_id):
            await self._answers.finish(request, hold_outcome(request, invoice, invoice.state))

    # ------------------------------------------------------------ the deadline

    async def _is_cancelled_in_time(self, invoice: Invoice) -> bool:
        """Decide in place of whoever has not, while the payment can still go back. Before, the owner is told."""
        assert invoice.settle_deadline is not None, "the ledger asks for it"  # noqa: S101 - a constraint of the table
        try:
            height = (await self._gate.info()).block_height
        except KitestringError as failure:  # no reason to wait with what is decided
            log.warning("hold invoice %s: the height is not known: %s", self._invoice_id, failure.message)
            return False
        left, now = invoice.settle_deadline - height, self._context.clock.now()
        what = f"the payment held for {invoice.payment_hash} goes back at block {invoice.settle_deadline}"
        if invoice.decision is Decision.NONE and left <= CANCEL_BEFORE_BLOCKS:
            why = f"{what}, and this is block {height}: nobody has settled it, so it was cancelled in time"
            await self._context.record(DecideHold(self._invoice_id, Decision.CANCEL, now, why=why))
            self._context.holds.tell(self._invoice_id)
            return True
        if left <= WARN_BEFORE_BLOCKS and not invoice.is_warned:
            then = "the node could not be told yet to settle it" if invoice.decision is Decision.SETTLE else (
                "nobody has settled it yet"
            )  # fmt: skip
            await self._context.record(WarnHold(self._invoice_id, f"{what}, in {left} blocks: {then}", now))
        return False

    # ------------------------------------------------------------ the node

    async def _ask(self, invoice: Invoice) -> InvoiceStatus | None:
        """Tell the node what was decided, or wait for news of it; None where there are none."""
        match invoice.decision:
            case Decision.SETTLE:
                return await reachable(self._context.same_node.settle_invoice(invoice.preimage))
            case Decision.CANCEL:
                return await reachable(self._context.backend.cancel_invoice(invoice.payment_hash))
            case Decision.NONE:
                return await self._news(invoice)
        assert_never(invoice.decision)

    async def _news(self, invoice: Invoice) -> InvoiceStatus | None:
        if not self._followed.has_room:
            await self._pause(next(self._looks))
            return await reachable(self._context.backend.lookup_invoice(invoice.payment_hash))
        is_held = invoice.state is InvoiceState.ACCEPTED
        seen = NodeInvoiceState.ACCEPTED if is_held else NodeInvoiceState.OPEN
        loop = asyncio.get_running_loop()
        heard = loop.create_task(self._pause(LOOK_S))
        followed = loop.create_task(reachable(self._context.same_node.track_invoice(invoice.payment_hash, seen)))
        self._followed.number += 1
        try:
            await asyncio.wait((heard, followed), return_when=asyncio.FIRST_COMPLETED)
            return followed.result() if followed.done() else None
        finally:
            self._followed.number -= 1
            heard.cancel()
            followed.cancel()
            await asyncio.gather(heard, followed, return_exceptions=True)

    async def _heed(self, invoice: Invoice, status: InvoiceStatus) -> bool:
        """Record what the node has said. Whether nothing more is to be done here."""
        match status.state:
            case NodeInvoiceState.SETTLED:
                settled = (status.received_msat, status.settled_at, status.preimage)
                await self._incoming.credit(Settlement(invoice.payment_hash, *settled, b""))
                await self._rest_unless_ended()
            case NodeInvoiceState.ACCEPTED:
                await self._accept(invoice, status)
            case NodeInvoiceState.OPEN:
                await self._rest_unless_ended(invoice.decision)
            case NodeInvoiceState.CANCELED | NodeInvoiceState.UNKNOWN:
                if invoice.state is InvoiceState.OPEN and invoice.decision is Decision.NONE:
                    return True  # unpaid, as any other invoice; or it is about to be paid inside this service
                await self._end(invoice)
            case _:
                assert_never(status.state)
        return False

    async def _rest_unless_ended(self, decision: Decision = Decision.SETTLE) -> None:
        """Look again, and not at once, where the node's word does not fit what is in the ledger."""
        found = await self._context.store.invoice(self._invoice_id)
        if found is not None and found.state in WAITING and decision is not Decision.NONE:
            await self._pause(next(self._looks))

    async def _accept(self, invoice: Invoice, status: InvoiceStatus) -> None:
        if invoice.state is InvoiceState.ACCEPTED:
            return
        now = self._context.clock.now()
        held = (status.received_msat, status.settle_deadline, now)
        await self._context.record(HoldPayment(invoice.node_id, invoice.payment_hash, *held))

    async def _end(self, invoice: Invoice) -> None:
        waiting = await self._context.store.waiting(self._invoice_id)
        told = [hold_outcome(request, invoice, InvoiceState.CANCELED) for request in waiting]
        why = ""
        if invoice.decision is not Decision.CANCEL:
            before = "it was to be settled" if invoice.decision is Decision.SETTLE else "anybody has decided about it"
            why = f"the node has given back what was held for {invoice.payment_hash} before {before}"
        now = self._context.clock.now()
        await self._context.record(EndHold(self._invoice_id, now, self._answers.replies(waiting, told), why))
