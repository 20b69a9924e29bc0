"""One outgoing payment from claim to reply: transaction 1, one call to the node, transaction 2. Nothing else pays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from kitestring.base.commands import OWNER_ACCOUNT, PayInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import Outcome, Received, Refused
from kitestring.base.payments import (
    HOLDING,
    OPEN,
    Failed,
    IllegalStepError,
    InFlight,
    LookupAnswer,
    NeverSeen,
    Settled,
    State,
    Unknown,
)
from kitestring.base.records import Charge, Invoice, Message, NodeView, Payment, Request
from kitestring.base.transactions import (
    AlreadyPaid,
    Answer,
    Claimed,
    ClaimPayment,
    Denied,
    Finished,
    InvoiceNotOpen,
    Joined,
    Recorded,
    RecordPayment,
    ResolvePayment,
    Running,
    Stale,
    TxAnswer,
)
from kitestring.engine.claims import first_claimed_at, new_payment, new_request, own_invoice, pay_order, why_not_again
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming, pauses
from kitestring.engine.node import NodeGate, ask_about, ask_to_pay, reachable
from kitestring.engine.orders import Orders
from kitestring.engine.outcomes import CLOSED, outcome_for, paid
from kitestring.engine.running import UnderWay
from kitestring.policy.rules import Allow, decide, over_budget, refuse_caller

log = logging.getLogger("kitestring.engine")

#: A balance younger than this is not asked again after "insufficient funds".
FRESH_VIEW_S = 1.0
#: What waited longer than this for its decision is refused: who asked may have given up and paid in another way.
DECIDE_LIMIT_S: Final = 30.0

Grants = Callable[[str], Awaitable[Grant | None]]
_Attempt = TxAnswer | Refused | Payment


class Payments:
    """Owns every payment that is under way in this process; no poller overrules it."""

    def __init__(self, context: Context, gate: NodeGate, grants: Grants, reload: Grants) -> None:
        self._context = context
        self._gate = gate
        self._grant = grants
        self._reload = reload
        self._running = UnderWay()
        self._closed: set[str] = set()  # by the operator; their late truth is still looked for
        self._closing: set[str] = set()  # the operator's word about them is on its way into the ledger
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def endless(self) -> set[asyncio.Task[None]]:
        """What looks for the late truth of closed payments: it may never come, and a stop does not wait for it."""
        return {self._tasks[payment_id] for payment_id in self._closed & self._tasks.keys()}

    # ------------------------------------------------------------ decide and claim

    async def handle(self, incoming: Incoming) -> None:
        """Decide, claim and start the payment; returns when that is durable. The answer comes through ``deliver``."""
        until = self._context.clock.monotonic() + DECIDE_LIMIT_S
        grant = await self._grant(incoming.grant_id)
        full = self._refuse_slot(grant)  # taken before anything else is waited for
        try:
            answer = await self._decided(incoming, grant, until, full)
        finally:
            if full is None:
                self._running.give_back(incoming.grant_id)
        await self._after_claim(incoming, answer)

    def _refuse_slot(self, grant: Grant | None) -> Refused | None:
        limits = self._context.limits
        if grant is None:
            return Refused(Reason.CONNECTION_ENDED)
        of_grant = 0 if grant.wire == "owner" else limits.open_payments_per_connection
        return self._running.refuse_slot(grant.grant_id, limits.open_payments, of_grant)

    async def _decided(self, incoming: Incoming, grant: Grant | None, until: float, full: Refused | None) -> _Attempt:
        """``full``: nothing more may begin, and this request has no slot."""
        view_age_s = self._context.limits.view_age_s
        may_be_ours = False  # hardly any invoice is; the ledger says Stale when it is one
        for _ in range(MAX_STALE_ROUNDS):
            answer = await self._attempt(incoming, grant, view_age_s, until, full, may_be_ours=may_be_ours)
            if isinstance(answer, Stale):
                grant, may_be_ours = await self._reload(incoming.grant_id), True
            elif (
                isinstance(answer, Denied) and answer.reason is Reason.INSUFFICIENT_FUNDS and view_age_s > FRESH_VIEW_S
            ):
                view_age_s = FRESH_VIEW_S
            else:
                return answer
        return Refused(Reason.BUSY)

    async def _attempt(
        self,
        incoming: Incoming,
        grant: Grant | None,
        view_age_s: float,
        until: float,
        full: Refused | None,
        *,
        may_be_ours: bool,
    ) -> _Attempt:
        """``may_be_ours``: look whether the invoice is our own. Nothing is refused before that has been looked at."""
        command = incoming.command
        if not isinstance(command, PayInvoice):
            raise TypeError(f"{type(command).__name__} is not a payment")
        if grant is None:
            return Refused(Reason.CONNECTION_ENDED)
        now = self._context.clock.now()
        own = await own_invoice(self._context, command) if may_be_ours else None
        verdict = full or self._decide(command, grant, now, own)
        if isinstance(verdict, Refused):
            if not may_be_ours:
                return Stale()
            return await self._known_or(incoming, command, grant, verdict)
        try:
            view = await self._view(grant, view_age_s, until)
        except KitestringError as unavailable:
            refusal = Refused(unavailable.reason, unavailable.message, dict(unavailable.details))
            return await self._known_or(incoming, command, grant, refusal)
        payment = new_payment(self._context, command, grant, verdict, own, now)
        request = new_request(incoming, now, payment.payment_id)
        answer = await self._context.store.apply(ClaimPayment(request, grant.version, payment, verdict.charges, view))
        if isinstance(answer, Claimed):
            self._running.begin(payment, [request])
            return payment
        if isinstance(answer, Denied) and answer.reason is Reason.OVER_BUDGET:
            return over_budget(grant, now, answer.remaining_msat)
        return answer

    def _decide(self, command: PayInvoice, grant: Grant, now: int, own: Invoice | None) -> Allow | Refused:
        limits = self._context.limits
        return decide(
            command,
            grant,
            now=now,
            network=self._context.node.network,
            internal=own is not None,
            fee_ppm=limits.fee_ppm,
            fee_min_msat=limits.fee_min_msat,
        )

    async def _known_or(self, incoming: Incoming, command: PayInvoice, grant: Grant, refusal: Refused) -> _Attempt:
        """Completed → active → expiry → validity: what this grant has paid or is paying keeps its answer, whatever
        has expired or run out since."""
        messages = await self._context.store.messages(incoming.request_id)
        if messages:
            return Finished(messages)
        now = self._context.clock.now()
        before = await self._context.store.payment_by_hash(self._context.node.node_id, command.payment_hash)
        known = before is not None and before.grant_id == grant.grant_id and before.state in HOLDING
        if not known or refuse_caller(grant, now, command) is not None:
            return refusal
        # This claim can join or find the payment, but its charge fits no budget: it can never start one.
        never = Charge(grant.grant_id, Msat(1), ZERO, 0, 0)
        payment = new_payment(self._context, command, grant, Allow((never,), ZERO), None, now)
        request = new_request(incoming, now, payment.payment_id)
        answer = await self._context.store.apply(ClaimPayment(request, grant.version, payment, (never,)))
        return refusal if isinstance(answer, Denied | Stale) else answer

    async def _view(self, grant: Grant, age_s: float, until: float) -> NodeView | None:
        if grant.account_id != OWNER_ACCOUNT:
            return None
        view = await self._gate.view(age_s)
        if self._context.clock.monotonic() > until:
            raise KitestringError(Reason.UNAVAILABLE, "the node took too long; nothing was sent, try again")
        return view

    async def _after_claim(self, incoming: Incoming, answer: _Attempt) -> None:
        match answer:
            case Payment():
                self._start(answer, partial(self._send, answer))
            case Finished(messages):
                self._context.deliver(messages)
            case Running() | Joined():
                pass  # whoever owns the payment answers; transaction 2 names every request that waits for it
            case AlreadyPaid(payment):
                await self._answer(new_request(incoming, self._context.clock.now()), paid(payment))
            case Refused():
                await self._refuse(incoming, answer)
            case Denied(reason, remaining):
                details = {} if remaining is None else {"remaining_msat": int(remaining)}
                await self._refuse(incoming, Refused(reason, "", details))
            case _:
                raise TypeError(f"a claim was answered with {type(answer).__name__}")

    async def _refuse(self, incoming: Incoming, refusal: Refused) -> None:
        """A refusal is stored too, so that a replay of the same event never executes later."""
        if not await self._context.known(incoming.request_id):
            await self._answer(new_request(incoming, self._context.clock.now()), refusal)

    async def _answer(self, request: Request, outcome: Outcome, *, claimed: bool = False) -> None:
        """``claimed``: the request waits in the ledger and gets its answer however often the disk refuses."""
        messages = self._context.replies([request], [outcome])
        store = self._context.record if claimed else self._context.store.apply
        answer = await store(Answer(request, messages, self._context.clock.now()))
        self._context.deliver_stored(answer, messages)

    # ------------------------------------------------------------ execute

    async def _send(self, payment: Payment) -> None:
        if payment.internal:
            await self._move_internally(payment)
        else:
            answer = await ask_to_pay(
                self._context.backend.pay(pay_order(payment, self._context.limits.pay_timeout_s)), payment.payment_hash
            )
            if isinstance(answer, Failed):  # the only order there ever was
                await self._finish(payment, answer)
            else:
                first_at = await first_claimed_at(self._context, payment)
                await self._conclude(payment, answer, Orders.lost(self._context.clock.monotonic(), first_at))

    def carry_on(self, payment: Payment, waiting: list[Request]) -> None:
        """After a restart: :meth:`_resume` until the end is known."""
        self._start(payment, partial(self._resume, payment, waiting))

    def _start(self, payment: Payment, work: Callable[[], Awaitable[None]]) -> None:
        task = self._tasks[payment.payment_id] = self._context.spawn(self._carry(payment, work))
        task.add_done_callback(lambda _: self._tasks.pop(payment.payment_id, None))

    async def _carry(self, payment: Payment, work: Callable[[], Awaitable[None]]) -> None:
        """What breaks off is begun again from the stored row, as after a restart: nobody else would do it."""
        for pause_s in pauses():
            try:
                await work()
                return
            except Exception:
                log.exception("payment %s broke off; it is carried on in %g s", payment.payment_hash[:16], pause_s)
            await self._context.clock.sleep(pause_s)
            work = partial(self._again, payment.payment_id)

    async def _again(self, payment_id: str) -> None:
        payment = await self._context.store.payment(payment_id)
        if payment is None:
            raise KitestringError(Reason.INTERNAL, f"the ledger has lost payment {payment_id}")
        waiting = await self._context.store.waiting(payment_id)
        if payment.state in OPEN or payment.state is State.RESOLVED:
            await self._resume(payment, waiting)
            return
        self._running.end(payment_id)
        for request in waiting:
            await self.answer_late(payment, request)

    async def _resume(self, payment: Payment, waiting: list[Request]) -> None:
        """Ask by hash; "never seen" counts only where the adapter says its word is final. What the operator closed is
        only looked at, for its late truth."""
        if payment.node_id != self._context.node.node_id:
            await self._leave(payment)
            return
        if payment.state is State.RESOLVED:
            self._closed.add(payment.payment_id)
        else:
            self._running.begin(payment, waiting)
        if payment.internal:
            await self._move_internally(payment)
            return
        answer = await ask_about(self._context.backend.lookup_payment(payment.payment_hash), payment.payment_hash)
        clock = self._context.clock
        may_be_several = payment.state is State.UNKNOWN and self._may_send_again()
        first_at = await first_claimed_at(self._context, payment)
        orders = Orders.of_the_dead(
            payment, clock.now(), clock.monotonic(), may_be_several=may_be_several, first_at=first_at
        )
        await self._conclude(payment, answer, orders)

    async def _leave(self, payment: Payment) -> None:
        """A payment of another node: this one knows nothing about it and must never send it a second time."""
        log.error("payment %s belongs to another node: resolve it by hand", payment.payment_hash[:16])
        why = "the service stands on another node now"
        if payment.state is State.DISPATCHED:
            await self._context.record(RecordPayment(payment.payment_id, Unknown(why), self._context.clock.now()))
        elif payment.state is State.RESERVED:
            await self._finish(payment, Failed(f"no node was ever asked, and {why}"))

    async def _conclude(self, payment: Payment, answer: LookupAnswer, orders: Orders) -> None:
        """Until the node has said its final word: wait, look again, and never guess."""
        delays, clock, payment_hash = pauses(), self._context.clock, payment.payment_hash
        while not isinstance(answer, Settled):
            end, may_send = await self._judge(payment, answer, orders)
            if end is not None:
                answer = end
                break
            if not isinstance(answer, InFlight):
                payment = await self._record_unknown(payment, answer)
            if may_send and payment.payment_id not in self._closed | self._closing:
                # Not `ask_to_pay`: a node that cannot be reached now may have been reached before.
                answer = await ask_about(
                    self._context.backend.pay(pay_order(payment, self._context.limits.pay_timeout_s)), payment_hash
                )
                orders.sent(answer, clock.monotonic())
            else:
                await clock.sleep(next(delays))
                answer = await ask_about(self._context.backend.track(payment_hash), payment_hash)
        await self._finish(payment, answer)

    async def _judge(self, payment: Payment, answer: LookupAnswer, orders: Orders) -> tuple[Failed | None, bool]:
        """The failure that ends the payment, if there is one; and whether its order may be sent again now."""
        now_s, can = self._context.clock.monotonic(), self._context.backend.capabilities
        end = orders.end(answer, now_s, is_authoritative=can.authoritative_lookup)
        if end is not None or not isinstance(answer, NeverSeen | Failed):
            return end, False
        if payment.payment_id in self._closed:
            return (answer if isinstance(answer, Failed) else None), False
        if not self._may_send_again():
            return None, False
        stale = await why_not_again(self._context, payment, answer)
        if stale is not None:
            return (stale if orders.is_over(now_s) else None), False
        return None, orders.may_send(answer, now_s)

    async def _record_unknown(self, payment: Payment, answer: LookupAnswer) -> Payment:
        """Before an order is sent again too: ``dispatched`` says after a crash that there was only one."""
        if payment.state is not State.DISPATCHED:
            return payment
        if not isinstance(answer, Unknown):
            answer = Unknown(f"a look-up that proves nothing here: {answer}"[:500])
        await self._context.record(RecordPayment(payment.payment_id, answer, self._context.clock.now()))
        return replace(payment, state=State.UNKNOWN)

    def _may_send_again(self) -> bool:
        can = self._context.backend.capabilities
        return can.authoritative_lookup and can.idempotent_by_hash

    async def _move_internally(self, payment: Payment) -> None:
        """Both sides in one transaction. The node's invoice is cancelled first; if it was paid from outside meanwhile,
        nothing moves. If the node cannot say, a later payment of it is booked as surplus."""
        invoice = await self._context.store.invoice_by_hash(payment.node_id, payment.payment_hash)
        try:
            status = await reachable(self._context.backend.cancel_invoice(payment.payment_hash))
            paid_from_outside = status.state == "settled"
        except KitestringError as unclear:  # receiving twice is surplus, never a loss
            log.warning("internal payment %s: invoice not cancelled (%s)", payment.payment_hash[:16], unclear.message)
            paid_from_outside = False
        if paid_from_outside or invoice is None:
            await self._finish(payment, Failed("the invoice was paid from outside meanwhile", "taken"))
            return
        if not await self._finish(payment, Settled(invoice.preimage, ZERO), await self._receipt(invoice, payment)):
            await self._finish(payment, Failed("the invoice was settled or cancelled meanwhile", "taken"))

    async def _receipt(self, invoice: Invoice, payment: Payment) -> tuple[Message, ...]:
        request = await self._context.store.request(invoice.request_id) if invoice.request_id else None
        if request is None:
            return ()
        received = Received(invoice.payment_hash, payment.amount_msat, "", internal=True)
        receipt = self._context.reply(request.request_id, request.reply_to, received, "receipt")
        return () if receipt is None else (receipt,)

    # ------------------------------------------------------------ record and reply

    async def _finish(self, payment: Payment, truth: Settled | Failed, extra: tuple[Message, ...] = ()) -> bool:
        """Transaction 2 with the replies of all that wait; False if an internal payment found its invoice gone."""
        requests = self._running.waiting(payment.payment_id)
        messages = self._context.replies(requests, [outcome_for(payment, truth, request) for request in requests])
        record = RecordPayment(payment.payment_id, truth, self._context.clock.now(), messages + extra)
        try:
            answer = await self._context.record(record)
        except IllegalStepError:
            if payment.payment_id not in self._closed | self._closing:
                raise
            self._end(payment)  # closed by hand, and it has failed: who waited was told
            return True
        if isinstance(answer, InvoiceNotOpen):
            return False
        if not isinstance(answer, Recorded):
            raise TypeError(f"transaction 2 was answered with {type(answer).__name__}")
        if payment.payment_id in self._closed:
            log.error("payment %s was closed by hand, but the node has paid it: booked", payment.payment_hash[:16])
        else:
            self._context.deliver(messages + extra)
        self._end(payment)
        if answer.overdrawn:
            log.error("payment %s cost more than its fee cap: the account is overdrawn", payment.payment_hash[:16])
        for request in answer.unanswered:
            await self._answer(request, outcome_for(payment, truth, request), claimed=True)
        return True

    def _end(self, payment: Payment) -> None:
        self._running.end(payment.payment_id)
        self._closed.discard(payment.payment_id)

    async def resolve(self, payment_id: str, note: str) -> None:
        """The operator's word about a payment of unknown outcome, of whichever node: its reservation goes, and who
        waits for it is told so at once. Its truth is still looked for. Raises KitestringError if it has another state.
        """
        self._closing.add(payment_id)  # from now on nothing is sent again
        try:
            answer = await self._context.store.apply(ResolvePayment(payment_id, note, self._context.clock.now()))
        except IllegalStepError as illegal:
            raise KitestringError(
                Reason.UNKNOWN_TARGET, f"this payment is {illegal.before.value}, not unknown: nothing was changed"
            ) from illegal
        finally:
            self._closing.discard(payment_id)
        if not isinstance(answer, Recorded) or answer.payment is None:
            raise TypeError(f"the operator's word was answered with {type(answer).__name__}")
        if answer.payment.node_id == self._context.node.node_id:
            self._closed.add(payment_id)
        self._running.end(payment_id)
        for request in answer.unanswered:
            await self.answer_late(answer.payment, request)

    async def answer_late(self, payment: Payment, request: Request) -> None:
        """A request whose payment ended before it got its answer (a crash between the two)."""
        if payment.state is State.SETTLED:
            await self._answer(request, paid(payment), claimed=True)
        elif payment.state is State.FAILED:
            await self._answer(request, outcome_for(payment, Failed(payment.evidence), request), claimed=True)
        elif payment.state is State.RESOLVED:
            await self._answer(request, CLOSED, claimed=True)
