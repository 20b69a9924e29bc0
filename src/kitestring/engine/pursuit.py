"""One outgoing payment in this process, from its claim, or from its stored row after a restart, until its end is known.

Each phase is a type of its own (:mod:`kitestring.engine.phases`); :meth:`Pursuit.run` goes from one to the next.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, assert_never

import msgspec

from kitestring.base.destinations import Keysend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import ZERO
from kitestring.base.node import NodeInvoiceState
from kitestring.base.outcomes import Received
from kitestring.base.payments import (
    OPEN,
    Failed,
    FailureReason,
    IllegalStepError,
    InFlight,
    LookupAnswer,
    NeverSeen,
    Settled,
    State,
    Unknown,
)
from kitestring.base.records import Message, Payment, Request
from kitestring.base.transactions.answers import InvoiceNotOpen
from kitestring.base.transactions.payments import RecordPayment
from kitestring.engine.absence import doubt
from kitestring.engine.answers import Answers
from kitestring.engine.claims import first_claimed_at, is_late, pay_order, why_not_again, why_not_inside
from kitestring.engine.context import Context, pauses
from kitestring.engine.held_inside import CANCELED, decided, held_inside, is_canceled, is_held_for
from kitestring.engine.late import answer_late
from kitestring.engine.node import ask_about, ask_to_pay, reachable
from kitestring.engine.orders import Orders
from kitestring.engine.outcomes import hold_outcome, outcome_for
from kitestring.engine.phases import Ended, Looking, Moving, Phase, Seeking, Sending, Stored, Watching, Word

log = logging.getLogger("kitestring.engine")

_OTHER_NODE: Final = "the service stands on another node now"


class Pursuit:
    """The only authority over its payment; no poller overrules it."""

    def __init__(
        self, context: Context, answers: Answers, payment: Payment, waiting: tuple[Request, ...], phase: Phase
    ) -> None:
        self.payment = payment
        self.task: asyncio.Task[None] | None = None
        self._context = context
        self._answers = answers
        self._waiting = waiting
        self._phase = phase
        self._is_under_way = payment.state in OPEN and payment.node_id == context.node.node_id
        self._word = Word.GIVEN if payment.state is State.RESOLVED else Word.NONE
        self._pauses = pauses()
        self._begun_s = context.clock.monotonic()
        self._is_inherited = False
        self._is_holding = False
        self._doubt = ""  # why "never seen" proves nothing: once is for good

    # ------------------------------------------------------------ life

    @property
    def is_under_way(self) -> bool:
        """Whether its end is open, and it is of the node that the service stands on."""
        return self._is_under_way

    @property
    def is_endless(self) -> bool:
        """Whether its end may never come, or not for days: a stop waits neither for the late truth of a closed payment,
        nor for the decision about one that is held."""
        return self._word is Word.GIVEN or self._is_holding

    async def run(self) -> None:
        """Go through the phases. Whatever breaks off is begun again from the stored row, as after a restart: nobody
        else would do it."""
        breaks = pauses()
        while not isinstance(self._phase, Ended):
            try:
                self._phase = await self._next(self._phase)
            except Exception:
                pause_s = next(breaks)
                log.exception("payment %s broke off; it is carried on in %g s", self._name, pause_s)
                await self._context.clock.sleep(pause_s)
                self._phase = Stored()
        self._is_under_way = False

    async def _next(self, phase: Moving | Sending | Looking | Stored | Seeking | Watching) -> Phase:
        match phase:
            case Moving():
                return await self._move()
            case Sending():
                return await self._send(phase)
            case Looking():
                return await self._look_first()
            case Stored():
                return await self._carry_on()
            case Seeking():
                return await self._seek(phase)
            case Watching():
                return await self._watch(phase)
        assert_never(phase)

    @property
    def _waited_s(self) -> float:
        return self._context.clock.monotonic() - self._begun_s

    @property
    def _name(self) -> str:
        return self.payment.payment_hash[:16]

    # ------------------------------------------------------------ the operator

    def hold_back(self) -> None:
        """Send nothing until :meth:`let_go` or :meth:`close`: the operator's word is on its way into the ledger."""
        if self._word is Word.NONE:
            self._word = Word.COMING

    def let_go(self) -> None:
        """Go on as before: the ledger did not take the word."""
        if self._word is Word.COMING:
            self._word = Word.NONE

    def close(self) -> None:
        """Look for the late truth alone: the word is in the ledger, and requests that waited are answered elsewhere."""
        self._word, self._waiting, self._is_under_way = Word.GIVEN, (), False

    # ------------------------------------------------------------ phases

    async def _move(self) -> Phase:
        """Move both sides in one transaction. The node's invoice is cancelled first; if it was paid from outside,
        nothing moves. If the node cannot say, a later payment of it is booked as surplus. A keysend to the node itself
        has no invoice: nothing is to be asked. What a process has left that is gone may be too late."""
        payment = self.payment
        invoice = await self._context.store.invoice_by_hash(payment.node_id, payment.payment_hash)
        if invoice is not None and invoice.is_hold:
            return await self._hold()
        end = await self._why_not_moved() if self._is_inherited else None
        if end is not None:
            return await self._record(end)
        if isinstance(payment.destination, Keysend):
            return await self._record(Settled(payment.destination.preimage, ZERO))
        if invoice is not None and is_canceled(invoice):
            return await self._record(CANCELED)
        try:
            status = await reachable(self._context.backend.cancel_invoice(payment.payment_hash))
            paid_from_outside = _is_settled(status.state)
        except KitestringError as unclear:  # receiving twice is surplus, never a loss
            log.warning("internal payment %s: invoice not cancelled (%s)", self._name, unclear.message)
            paid_from_outside = False
        if paid_from_outside or invoice is None:
            return await self._record(Failed("the invoice was paid from outside meanwhile", FailureReason.TAKEN))
        received = Received(invoice.payment_hash, payment.amount_msat, "", internal=True)
        receipt = await self._answers.receipt(invoice, received)
        return await self._record(Settled(invoice.preimage, ZERO), receipt)

    async def _why_not_moved(self) -> Failed | None:
        """As :func:`why_not_inside`, as soon as that can be said."""
        waits = pauses()
        while True:
            try:
                return await self._why_not_inside()
            except KitestringError as unclear:
                log.warning("internal payment %s has not moved yet: %s", self._name, unclear.message)
                await self._context.clock.sleep(next(waits))

    async def _why_not_inside(self) -> Failed | None:
        return await why_not_inside(self._context, self.payment, self._waited_s, is_inherited=self._is_inherited)

    async def _hold(self) -> Phase:
        """Wait for the payee's decision."""
        self._is_holding = True
        truth = await held_inside(self._context, self.payment, self._why_not_inside)
        self._is_holding = False
        return await self._record_held(truth)

    async def _record_held(self, truth: Settled | Failed) -> Phase:
        """Answer whoever has told it as well, if this payment is what is held. Otherwise the invoice goes on without
        it, and its end is another one's."""
        payment = self.payment
        invoice = await self._context.store.invoice_by_hash(payment.node_id, payment.payment_hash)
        if invoice is None or not is_held_for(payment, invoice):
            return await self._record(truth)
        state = InvoiceState.SETTLED if isinstance(truth, Settled) else InvoiceState.CANCELED
        waiting = await self._context.store.waiting(invoice.invoice_id)
        told = self._answers.replies(waiting, [hold_outcome(request, invoice, state) for request in waiting])
        return await self._record(truth, told)

    async def _send(self, phase: Sending) -> Phase:
        """Send an order. The failure of the only one there ever was is final at once; beside others it is told when
        none of them is on its way any more."""
        if is_late(self.payment, self._context.clock.now(), self._waited_s):
            if phase.seen is not None:
                return self._sought(Orders.of_others(self._context.clock.monotonic()), phase.seen)
            return await self._record(
                Failed("not sent: too late, no order was given to the node", FailureReason.TOO_LATE)
            )
        order = pay_order(self.payment, self._context.limits.pay_timeout_s)
        answer = await ask_to_pay(self._context.backend.pay(order), self.payment.payment_hash)
        if isinstance(answer, Settled) or (isinstance(answer, Failed) and phase.seen is None):
            return await self._record(answer)
        if phase.seen is not None:
            orders = Orders.of_others(self._context.clock.monotonic())
            orders.sent(answer, self._context.clock.monotonic())
            return self._sought(orders, answer)
        first_at = await first_claimed_at(self._context, self.payment)
        return self._sought(Orders.lost(self._context.clock.monotonic(), first_at), answer)

    async def _look_first(self) -> Phase:
        """Send what the node has not paid and is not at work on; an answer that says neither is asked for again.

        A node that pays a hash once is told so beside the orders of the life before. Of another one nobody would ever
        know the end then: there the look-up has to do."""
        payment_hash = self.payment.payment_hash
        answer = await ask_about(self._context.backend.lookup_payment(payment_hash), payment_hash)
        if isinstance(answer, Settled | InFlight) or self._word is Word.GIVEN:
            return self._sought(Orders.of_others(self._context.clock.monotonic()), answer)
        if isinstance(answer, NeverSeen | Failed) and self._word is Word.NONE:
            if not self._context.backend.capabilities.repeats_safely:
                return Sending()
            await self._record_unknown(answer)
            return Sending(answer)
        await self._record_unknown(answer)
        await self._context.clock.sleep(next(self._pauses))
        return Looking()

    async def _carry_on(self) -> Phase:
        """Ask by hash; "never seen" counts only where the adapter says its word is final."""
        self._is_inherited = True
        payment = await self._reread()
        self._pauses = pauses()
        if payment.state not in OPEN and payment.state is not State.RESOLVED:
            return await self._answer_late()
        is_left = payment.node_id != self._context.node.node_id
        if payment.internal:
            return await self._leave_inside() if is_left else Moving()
        if is_left:
            return await self._leave()
        answer = await ask_about(self._context.backend.lookup_payment(payment.payment_hash), payment.payment_hash)
        if payment.state is State.RESOLVED:
            return Watching(answer)
        may_be_several = payment.state is State.UNKNOWN and self._context.backend.capabilities.repeats_safely
        first_at = await first_claimed_at(self._context, payment)
        orders = Orders.of_the_dead(self._context.clock.monotonic(), may_be_several=may_be_several, first_at=first_at)
        return self._sought(orders, answer)

    async def _reread(self) -> Payment:
        payment = await self._context.store.payment(self.payment.payment_id)
        if payment is None:
            raise KitestringError(Reason.INTERNAL, f"the ledger has lost payment {self.payment.payment_id}")
        self.payment, self._waiting = payment, tuple(await self._context.store.waiting(payment.payment_id))
        return payment

    async def _leave(self) -> Phase:
        """Leave a payment of another node: this one knows nothing about it and must never send it a second time."""
        log.error("payment %s belongs to another node: resolve it by hand", self._name)
        if self.payment.state is State.DISPATCHED:
            left = Unknown(_OTHER_NODE)
            await self._context.record(RecordPayment(self.payment.payment_id, left, self._context.clock.now()))
        return Ended()

    async def _leave_inside(self) -> Phase:
        """End a payment inside the service whose invoice is of another node: all of its money is in our books, so what
        was decided about it is carried through, and anything else goes back.

        The node had cancelled the invoice of what is held before it was: nobody is left there to be paid. An invoice
        for which nothing is held yet may still be paid there, and stays what it is until that node can be asked.
        """
        payment = self.payment
        invoice = await self._context.store.invoice_by_hash(payment.node_id, payment.payment_hash)
        end = decided(invoice, payment) if invoice is not None and invoice.is_hold else None
        return await self._record_held(end or Failed(f"no node was ever asked, and {_OTHER_NODE}"))

    def _sought(self, orders: Orders, answer: LookupAnswer) -> Phase:
        """The phase after an answer: the operator may have spoken while the node was asked."""
        return Watching(answer) if self._word is Word.GIVEN else Seeking(orders, answer)

    async def _seek(self, phase: Seeking) -> Phase:
        """Wait and look again until the node has said its final word; never guess."""
        answer, orders = phase.answer, phase.orders
        if isinstance(answer, Settled):
            return await self._record(answer)
        end, may_send = await self._judge(answer, orders)
        if end is not None:
            return await self._record(end)
        if not isinstance(answer, InFlight):
            await self._record_unknown(Unknown(self._doubt) if self._doubt else answer)
        if may_send and self._word is Word.NONE:
            # Not `ask_to_pay`: a node that cannot be reached now may have been reached before.
            order = pay_order(self.payment, self._context.limits.pay_timeout_s)
            answer = await ask_about(self._context.backend.pay(order), self.payment.payment_hash)
            orders.sent(answer, self._context.clock.monotonic())
        else:
            answer = await self._look_again()
        return self._sought(orders, answer)

    async def _watch(self, phase: Watching) -> Phase:
        """Look for the late truth of a closed payment: it may still settle; a failure changes nothing any more. It has
        no place among the payments under way, so it is looked up, and holds no stream of the node's."""
        if isinstance(phase.answer, Settled):
            return await self._record(phase.answer)
        if isinstance(phase.answer, Failed):
            return Ended()
        await self._context.clock.sleep(next(self._pauses))
        look = self._context.backend.lookup_payment(self.payment.payment_hash)
        return Watching(await ask_about(look, self.payment.payment_hash))

    async def _look_again(self) -> LookupAnswer:
        await self._context.clock.sleep(next(self._pauses))
        return await ask_about(self._context.backend.track(self.payment.payment_hash), self.payment.payment_hash)

    async def _judge(self, answer: LookupAnswer, orders: Orders) -> tuple[Failed | None, bool]:
        """The failure that ends the payment, if there is one; and whether its order may be sent again now. Nothing
        follows from a "never seen" that is doubted."""
        end, may_send = await self._verdict(answer, orders)
        follows = end is not None or may_send or self._is_inherited  # of those the row says at once why nothing follows
        if not follows or not isinstance(answer, NeverSeen):
            return end, may_send
        return (None, False) if await self._is_doubted() else (end, may_send)

    async def _is_doubted(self) -> bool:
        if not self._doubt:
            try:
                self._doubt = await doubt(self._context, self.payment, self._waited_s, is_inherited=self._is_inherited)
            except KitestringError as failure:
                log.warning("payment %s: never seen, and not confirmed: %s", self._name, failure.message)
                return True
            if self._doubt:
                log.error("payment %s: %s", self._name, self._doubt)
        return bool(self._doubt)

    async def _verdict(self, answer: LookupAnswer, orders: Orders) -> tuple[Failed | None, bool]:
        now_s, can = self._context.clock.monotonic(), self._context.backend.capabilities
        end = orders.end(answer, now_s, is_authoritative=can.authoritative_lookup)
        if end is not None or not isinstance(answer, NeverSeen | Failed) or orders.has_lost(answer):
            return end, False
        if not can.repeats_safely:
            return None, False
        stale = await why_not_again(self._context, self.payment, answer, self._waited_s)
        if stale is not None:
            return (stale if orders.is_over(now_s) else None), False
        may_begin = not self._is_inherited or self._context.earlier.may_be_sent
        return None, may_begin and orders.may_send(answer, now_s)

    # ------------------------------------------------------------ record and reply

    async def _record_unknown(self, answer: LookupAnswer) -> None:
        """Store that the end is unknown, also before an order is sent again: a stored ``dispatched`` says after a crash
        that there was only one."""
        if self.payment.state is not State.DISPATCHED:
            return
        if not isinstance(answer, Unknown):
            answer = Unknown(f"a look-up that proves nothing here: {answer}"[:500])
        await self._context.record(RecordPayment(self.payment.payment_id, answer, self._context.clock.now()))
        self.payment = msgspec.structs.replace(self.payment, state=State.UNKNOWN)

    async def _record(self, truth: Settled | Failed, extra: tuple[Message, ...] = ()) -> Phase:
        """Apply transaction 2 with the replies of all that wait."""
        payment, waiting = self.payment, self._waiting
        messages = self._answers.replies(waiting, [outcome_for(payment, truth, request) for request in waiting])
        record = RecordPayment(payment.payment_id, truth, self._context.clock.now(), messages + extra)
        try:
            answer = await self._context.record(record)
        except IllegalStepError:
            if self._word is Word.NONE:
                raise
            return Ended()  # closed by hand, and it has failed: requests that waited were told
        if isinstance(answer, InvoiceNotOpen):
            return await self._record(await self._gone())
        if self._word is Word.GIVEN:
            log.error("payment %s was closed by hand, but the node has paid it: booked", self._name)
        for request in answer.unanswered:
            await self._answers.finish(request, outcome_for(payment, truth, request))
        return Ended()

    async def _gone(self) -> Failed:
        """The end of a payment inside the service whose invoice has ended, or was to be cancelled, meanwhile."""
        invoice = await self._context.store.invoice_by_hash(self.payment.node_id, self.payment.payment_hash)
        if invoice is not None and is_canceled(invoice):
            return CANCELED
        return Failed("the invoice was settled or has ended meanwhile", FailureReason.TAKEN)

    async def _answer_late(self) -> Phase:
        """Answer requests whose payment ended before they got their answer (a crash between the two)."""
        for request in self._waiting:
            await answer_late(self._answers, self.payment, request)
        return Ended()


def _is_settled(state: NodeInvoiceState) -> bool:
    match state:
        case NodeInvoiceState.SETTLED:
            return True
        case NodeInvoiceState.CANCELED | NodeInvoiceState.UNKNOWN | NodeInvoiceState.OPEN | NodeInvoiceState.ACCEPTED:
            return False
        case _:
            assert_never(state)
