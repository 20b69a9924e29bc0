"""One hold invoice in this process, from its making, or from its stored row after a restart, until it has ended; and
an ordinary one, from the owner's word that it is to be cancelled.

    open, undecided       follow the node: held -> accepted; the node has ended it -> left to housekeeping
    accepted, undecided   follow the node, and the height of the chain: near the deadline it is cancelled
    decided               tell the node, as often as it takes, until it says that the invoice has ended
    of another node       nobody can be asked; the owner is told what is to be done there

Only the node's word ends an invoice, and credits it. That it does not know one is no such word: what was held is
watched until its deadline has passed. A payment that is held inside this service is ended by its own pursuit; here its
deadline alone is watched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar, assert_never

from kitestring.base.errors import KitestringError
from kitestring.base.invoices import WAITING, Decision, InvoiceState
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, Settlement
from kitestring.base.records import OwnInvoice
from kitestring.base.transactions.invoices import AlarmHold, DecideHold, EndHold, HoldPayment, WarnHold
from kitestring.engine.answers import Answers
from kitestring.engine.context import Context, pauses
from kitestring.engine.hold_places import HoldPlaces
from kitestring.engine.incoming import IncomingMoney
from kitestring.engine.left_behind import left_behind
from kitestring.engine.node import NodeGate, reachable
from kitestring.engine.outcomes import hold_outcome

A = TypeVar("A")
log = logging.getLogger("kitestring.engine")

#: Blocks before the deadline at which what nobody has decided about is cancelled: closer to it a node closes the
#: channel rather than wait. And those at which the owner is told, while there are still some hours.
CANCEL_BEFORE_BLOCKS: Final = 12
WARN_BEFORE_BLOCKS: Final = 24
#: Seconds after which the height is looked at again, and a stream is given to whoever waits for one. A node gives its
#: own streams up later.
LOOK_S: Final = 45.0
#: The longest wait behind the questions about other invoices; whoever gives up his place begins at the end again.
QUEUE_S: Final = 3_600.0
#: A decision that the node could not be told for so long is told to the owner: it was away for longer than a restart.
LATE_S: Final = 600.0
#: What is to be done by hand is not told again sooner, however often the service is started.
TELL_AGAIN_S: Final = 86_400


class HoldPursuit:
    """The only one who tells the node what is to become of this invoice."""

    def __init__(
        self, context: Context, answers: Answers, gate: NodeGate, incoming: IncomingMoney, places: HoldPlaces,
        invoice_id: str,
    ) -> None:  # fmt: skip
        self._context = context
        self._answers = answers
        self._gate = gate
        self._incoming = incoming
        self._places = places
        self._invoice_id = invoice_id
        self._looks = pauses()
        self._is_called = False
        self._told = ""  # what is to be done by hand
        self._decided_s: float | None = None  # since when the node is to be told
        self.task: asyncio.Task[None] | None = None

    def look_again(self) -> None:
        """Do not leave it with what was read before: it has changed in the ledger."""
        self._is_called = True
        self._context.holds.tell(self._invoice_id)

    async def run(self) -> None:
        """Go on until it has ended, whatever breaks off meanwhile."""
        try:
            await self._go_on()
        finally:
            self._places.leave(self._invoice_id)

    async def _go_on(self) -> None:
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
        """Wait for news of this invoice in the ledger, unless some came since it was read."""
        if not self._is_called:
            await self._context.holds.wait(self._invoice_id, limit_s)

    async def _unless_called(self, question: Coroutine[Any, Any, A], limit_s: float) -> A | None:
        """The answer of the node, None as soon as there is news in the ledger: a decision waits for no question."""
        loop = asyncio.get_running_loop()
        called, asked = loop.create_task(self._pause(limit_s)), loop.create_task(question)
        try:
            await asyncio.wait((called, asked), return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else None
        finally:
            called.cancel()
            asked.cancel()
            await asyncio.gather(called, asked, return_exceptions=True)

    async def _step(self) -> bool:
        """Whether nothing more is to be done here."""
        invoice = await self._context.store.invoice(self._invoice_id)
        if invoice is None or invoice.state not in WAITING:
            if invoice is not None:
                await self.answer(invoice)
            return True
        if invoice.node_id != self._context.node.node_id:
            await self._tell_by_hand(left_behind(invoice, self._context.node.node_id))
            return True  # nobody can be asked about it
        if invoice.state is InvoiceState.ACCEPTED and await self._is_cancelled_in_time(invoice):
            return False
        if invoice.held_by:
            await self._pause(LOOK_S)
            return False
        status = await self._ask(invoice)
        if status is None:
            return False
        if await self._heed(invoice, status):
            return True
        await self._rest_unless_changed(invoice)
        return False

    async def _rest_unless_changed(self, before: OwnInvoice) -> None:
        """Look again, and not at once, where the node's word has changed nothing: it is no news, or does not fit, as
        that of a node which is behind."""
        if await self._context.store.invoice(self._invoice_id) == before:
            await self._pause(next(self._looks))
        else:
            self._looks = pauses()

    async def _tell_by_hand(self, why: str) -> None:
        if why and why != self._told:
            now = self._context.clock.now()
            await self._context.record(AlarmHold(self._invoice_id, why, now, TELL_AGAIN_S))
            self._told = why

    async def answer(self, invoice: OwnInvoice) -> None:
        """Answer requests that came while it was ending, or whose answer a crash has kept from being stored."""
        if invoice.state is InvoiceState.LEFT:
            return
        for request in await self._context.store.waiting(invoice.invoice_id):
            await self._answers.finish(request, hold_outcome(request, invoice, invoice.state))

    # ------------------------------------------------------------ the deadline

    async def _is_cancelled_in_time(self, invoice: OwnInvoice) -> bool:
        """Decide in place of whoever has not, while the payment can still go back. Before, the owner is told."""
        assert invoice.settle_deadline is not None, "the ledger asks for it"  # noqa: S101 - a constraint of the table
        height = await self._height(invoice)
        if height is None:  # no reason to wait with what is decided
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

    async def _height(self, invoice: OwnInvoice) -> int | None:
        is_decided = invoice.decision is not Decision.NONE
        room = self._places.orders if is_decided else self._places.looks
        try:
            return await self._unless_called(self._read_height(room), QUEUE_S)
        except KitestringError as failure:
            log.warning("hold invoice %s: the height is not known: %s", self._invoice_id, failure.message)
            return None

    async def _read_height(self, room: asyncio.Semaphore) -> int:
        async with room:  # it is remembered for whoever comes next
            return (await self._gate.info()).block_height

    # ------------------------------------------------------------ the node

    async def _ask(self, invoice: OwnInvoice) -> InvoiceStatus | None:
        """Tell the node what was decided, or wait for news of it; None where there are none."""
        match invoice.decision:
            case Decision.SETTLE:
                return await self._order(invoice, self._context.same_node.settle_invoice, invoice.preimage)
            case Decision.CANCEL:
                return await self._order(invoice, self._context.backend.cancel_invoice, invoice.payment_hash)
            case Decision.NONE:
                return await self._news(invoice)
        assert_never(invoice.decision)

    async def _order(
        self, invoice: OwnInvoice, order: Callable[[str], Awaitable[InvoiceStatus]], about: str
    ) -> InvoiceStatus:
        """Tell the node; and the owner, where it cannot be told for long."""
        self._places.leave(self._invoice_id)
        now_s = self._context.clock.monotonic()
        self._decided_s = now_s if self._decided_s is None else self._decided_s
        try:
            async with self._places.orders:
                return await reachable(order(about))
        except KitestringError:
            if now_s - self._decided_s >= LATE_S:
                await self._tell_by_hand(_untold(invoice))
            raise

    async def _news(self, invoice: OwnInvoice) -> InvoiceStatus | None:
        """Follow it if it is its turn, until that is over; else look it up."""
        if not self._places.take(self._invoice_id):
            return await self._unless_called(self._look_up(invoice), QUEUE_S)
        try:
            return await self._unless_called(self._follow(invoice), LOOK_S)
        finally:
            self._places.give_back()

    async def _follow(self, invoice: OwnInvoice) -> InvoiceStatus:
        is_held = invoice.state is InvoiceState.ACCEPTED
        seen = NodeInvoiceState.ACCEPTED if is_held else NodeInvoiceState.OPEN
        return await reachable(self._context.same_node.track_invoice(invoice.payment_hash, seen))

    async def _look_up(self, invoice: OwnInvoice) -> InvoiceStatus:
        async with self._places.looks:
            return await reachable(self._context.backend.lookup_invoice(invoice.payment_hash))

    async def _heed(self, invoice: OwnInvoice, status: InvoiceStatus) -> bool:
        """Record what the node has said. Whether nothing more is to be done here."""
        match status.state:
            case NodeInvoiceState.SETTLED:
                settled = (status.received_msat, status.settled_at, status.preimage)
                await self._incoming.credit(Settlement(invoice.payment_hash, *settled, b""))
            case NodeInvoiceState.ACCEPTED:
                await self._accept(invoice, status)
            case NodeInvoiceState.OPEN:
                pass
            case NodeInvoiceState.CANCELED | NodeInvoiceState.UNKNOWN:
                if invoice.state is InvoiceState.OPEN and invoice.decision is Decision.NONE:
                    return True  # unpaid, as any other invoice; or it is about to be paid inside this service
                await self._end(invoice, status.state)
            case _:
                assert_never(status.state)
        return False

    async def _accept(self, invoice: OwnInvoice, status: InvoiceStatus) -> None:
        if invoice.state is InvoiceState.ACCEPTED or not invoice.is_hold:
            return
        now = self._context.clock.now()
        held = (status.received_msat, status.settle_deadline, now)
        await self._context.record(HoldPayment(invoice.node_id, invoice.payment_hash, *held))

    async def _end(self, invoice: OwnInvoice, said: NodeInvoiceState) -> None:
        """End it by the node's word, and tell the owner what nobody here has decided."""
        why = ""
        if invoice.decision is not Decision.CANCEL:
            before = "it was to be settled" if invoice.decision is Decision.SETTLE else "anybody has decided about it"
            why = f"the node has given back what was held for {invoice.payment_hash} before {before}"
            if said is NodeInvoiceState.UNKNOWN:
                why = _lost(invoice)
                if not await self._is_over(invoice):
                    await self._tell_by_hand(why)
                    return
        waiting = await self._context.store.waiting(self._invoice_id)
        told = [hold_outcome(request, invoice, InvoiceState.CANCELED) for request in waiting]
        now = self._context.clock.now()
        await self._context.record(EndHold(self._invoice_id, now, self._answers.replies(waiting, told), why))

    async def _is_over(self, invoice: OwnInvoice) -> bool:
        """Whether nothing can be held any more, for whomever."""
        height = await self._height(invoice)
        return height is not None and height >= (invoice.settle_deadline or 0)


def _untold(invoice: OwnInvoice) -> str:
    """The sentence about a decision that the node does not take."""
    what = f"settle the payment held for {invoice.payment_hash}"
    if invoice.state is InvoiceState.OPEN:
        what = f"cancel the {'hold ' if invoice.is_hold else ''}invoice of {invoice.payment_hash}"
    elif invoice.decision is Decision.CANCEL:
        what = f"give back the payment held for {invoice.payment_hash}"
    when = f" before block {invoice.settle_deadline}" if invoice.settle_deadline else ""
    return f"the node could not be told to {what}: see that it can be reached{when}; it is told as soon as it is"


def _lost(invoice: OwnInvoice) -> str:
    """The sentence about a payment that was held, by a node that does not know its invoice any more."""
    return (
        f"the node does not know the hold invoice of {invoice.payment_hash} any more, for which it held"
        f" {int(invoice.received_msat or 0)} msat: look there whether they are settled or went back, which they do at"
        f" block {invoice.settle_deadline} at the latest"
    )
