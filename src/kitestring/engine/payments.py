"""Decide about a payment and claim it: everything before the node is asked. Nothing else begins a payment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, assert_never

import msgspec

from kitestring.base.approvals import Token
from kitestring.base.commands import OWNER_ACCOUNT, Journaled, PayInvoice, thaw
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import Refused
from kitestring.base.payments import OPEN, IllegalStepError
from kitestring.base.records import Charge, NodeView, Payment, Request
from kitestring.base.transactions.answers import (
    AlreadyDecided,
    AlreadyPaid,
    Claimed,
    DecisionStored,
    Denied,
    Finished,
    Joined,
    Running,
    Stale,
)
from kitestring.base.transactions.payments import ClaimPayment, ResolvePayment
from kitestring.engine.answers import Answers, new_request
from kitestring.engine.claims import Ours, new_payment, ours, with_preimage
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.engine.forgotten import may_have_paid
from kitestring.engine.grants import Grants
from kitestring.engine.late import answer_late
from kitestring.engine.node import NodeGate
from kitestring.engine.outcomes import paid_before
from kitestring.engine.patience import Patience
from kitestring.engine.phases import Phase, Stored, first_phase
from kitestring.engine.pursuit import Pursuit
from kitestring.engine.rated import at_rates
from kitestring.engine.shares import ShareTable, full
from kitestring.policy.costs import Cost, cost_of, fits_within, service_fee_of
from kitestring.policy.rules import Allow, decide, refuse_caller
from kitestring.policy.shortfalls import insufficient, over_budget

#: A balance younger than this is not asked again after "insufficient funds".
FRESH_VIEW_S: Final = 1.0
#: The node's count of payments may be so old when it is stored with a claim. An older one is lower, so that the loss of
#: what came in between is not noticed; a newer one costs a busy service more questions.
COUNT_AGE_S: Final = 60.0
#: A request that waited longer than this for its decision is refused: its sender may have paid in another way by now.
DECIDE_LIMIT_S: Final = 30.0

#: What a caller is told while a rate is not known. The owner's sources, and where they are, are no business of apps.
_UNRATED: Final = "a budget is in a currency whose rate is not known at the moment: try again later"
_CANCELED: Final = Refused(Reason.EXPIRED_INVOICE, "the payee has cancelled this invoice, and nothing was paid")

#: Stores the owner's decision with the claim of the payment that it allows.
CommitAnswer = DecisionStored | AlreadyDecided | Stale | Denied | Joined | AlreadyPaid
Commit = Callable[[ClaimPayment], Awaitable[CommitAnswer]]

#: A claim that is decided: begun, known already, or refused.
Decided = Pursuit | Finished | Running | Joined | AlreadyPaid | Refused


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that is asked for in a request, and what else its claim has to heed.

    ``requestor`` is the public key that asks, where several may use one grant; the tokens in ``consume`` are used up by
    it. ``least_left_s``: an invoice with less life than that is not begun.
    """

    incoming: Incoming
    command: PayInvoice
    requestor: str = ""
    consume: tuple[Token, ...] = ()
    least_left_s: int = 0


class _Asked:
    """An order that is being decided, until ``until`` (monotonic seconds). ``fee_at_most``: what a budget has left for
    the routing fee. ``is_ours``: it stays inside this service, as far as that was looked up."""

    __slots__ = ("command", "fee_at_most", "incoming", "is_ours", "order", "until")

    def __init__(self, order: Order, until: float) -> None:
        self.order, self.incoming, self.command, self.until = order, order.incoming, order.command, until
        self.fee_at_most: Msat | None = None
        self.is_ours = False


class Payments:
    """Begins every payment of this process and knows those that are under way."""

    def __init__(self, context: Context, answers: Answers, grants: Grants, gate: NodeGate, shares: ShareTable) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants
        self._gate = gate
        self._shares = shares
        self._pursuits: dict[str, Pursuit] = {}
        self._patience = Patience(context, answers)

    @property
    def running(self) -> int:
        """Payments under way."""
        return sum(pursuit.is_under_way for pursuit in self._pursuits.values())

    @property
    def endless(self) -> set[asyncio.Task[None]]:
        """Tasks that look for the late truth of closed payments, or wait for a payee who holds one: a stop waits for
        none of them."""
        return {p.task for p in self._pursuits.values() if p.is_endless and p.task is not None}

    async def has(self, payment_hash: str) -> bool:
        """Whether a payment of this hash is made or under way."""
        return await self._context.store.holder(payment_hash) is not None

    # ------------------------------------------------------------ decide and claim

    async def handle(self, incoming: Incoming, command: PayInvoice) -> None:
        """Decide, claim and start the payment; returns when that is durable. The answer comes through the outbox."""
        incoming, command = with_preimage(self._context, incoming, command)
        grant = await self._grants.get(incoming.grant_id)
        if grant is None:
            await self.refuse(incoming, Refused(Reason.CONNECTION_ENDED))
            return
        asked = _Asked(Order(incoming=incoming, command=command), self._context.clock.monotonic() + DECIDE_LIMIT_S)
        decided = await self._decide(asked, grant)
        assert not isinstance(decided, Stale), "a connection's grant is its own"  # noqa: S101 - of this very class
        await self._after(incoming, decided)

    async def decide(self, order: Order, grant: Grant, until: float) -> Decided | Stale:
        """Decide, until that time (monotonic seconds), about an order on this grant, and begin the payment when that is
        durable. Nobody is told anything. Stale when the grant has changed: whoever has chosen it has to choose again,
        for it may not be meant for this order any more."""
        return await self._decide(_Asked(order, until), grant, is_chosen=True)

    async def known(self, order: Order, grant: Grant, refusal: Refused) -> Decided:
        """The answer of an earlier payment, made or under way, that this order asks for once more; else ``refusal``."""
        return await self._known_or(_Asked(order, self._context.clock.monotonic()), grant, refusal)

    async def approve(self, order: Order, grant: Grant, payment_id: str, commit: Commit) -> Refused | None:
        """Begin a payment that the owner has approved, on a grant as it will be: ``commit`` stores the decision with
        the claim. A refusal means that nothing was decided; AlreadyPaid and Joined are told as one (INVOICE_TAKEN)."""
        asked = _Asked(order, self._context.clock.monotonic() + DECIDE_LIMIT_S)
        try:
            grant = await self._rated(asked, grant)
            now = self._context.clock.now()
            own = await ours(self._context, order.command)
            verdict = self._verdict(asked, grant, now, own)
            if isinstance(verdict, Refused):
                return verdict
            is_owners = grant.account_id == OWNER_ACCOUNT
            view = await self._view(FRESH_VIEW_S, asked.until, is_owners=is_owners, is_ours=own is not None)
        except KitestringError as unavailable:
            return Refused.of(unavailable)
        waiting = tuple(await self._context.store.waiting(payment_id))
        claim = self._claim(asked, grant, verdict, own, view, now, payment_id)
        answer = await commit(claim)
        if isinstance(answer, DecisionStored):
            self._begin(claim.payment, waiting, first_phase(self._context, claim.payment, order.incoming.sent_at))
            return None
        if isinstance(answer, Denied):
            return self._refusal(answer, asked, grant)
        if isinstance(answer, Joined | AlreadyPaid):
            return Refused(Reason.INVOICE_TAKEN, "this invoice is being paid already, or was paid")
        return Refused(Reason.BUSY, "something has changed since it was looked at: look again")

    async def _decide(self, asked: _Asked, grant: Grant | None, *, is_chosen: bool = False) -> Decided | Stale:
        view_age_s = self._context.limits.view_age_s
        may_be_ours = False  # hardly any invoice is; the ledger says Stale when it is one
        for _ in range(MAX_STALE_ROUNDS):
            if grant is None or not asked.incoming.is_by(grant):
                return Refused(Reason.CONNECTION_ENDED)
            try:
                rated = await self._rated(asked, grant)
            except KitestringError as unknown:
                return await self._known_or(asked, grant, Refused(unknown.reason, _UNRATED))
            answer = await self._attempt(asked, rated, view_age_s, may_be_ours=may_be_ours)
            if isinstance(answer, Stale):
                before, grant, may_be_ours = grant, await self._grants.reload(grant.grant_id), True
                if is_chosen and grant != before:
                    return answer
            elif not isinstance(answer, Denied):
                return answer
            elif answer.reason is Reason.INSUFFICIENT_FUNDS and view_age_s > FRESH_VIEW_S:
                view_age_s = FRESH_VIEW_S
            elif asked.fee_at_most is None and (left := self._left_for_routing(answer, asked.command, rated)) >= 0:
                # It may find no route for that, but what the budget has left is not out of reach.
                asked.fee_at_most = left
            else:
                return self._refusal(answer, asked, rated)
        return Refused(Reason.BUSY, "the connection keeps changing; try again")

    async def _rated(self, asked: _Asked, grant: Grant) -> Grant:
        """The grant at the rates of now. Raises KitestringError: a rate is not known, or came too late."""
        rated = await at_rates(self._context.rates, grant)
        if self._context.clock.monotonic() > asked.until:
            raise KitestringError(Reason.UNAVAILABLE, "the rates took too long; nothing was sent, try again")
        return rated

    async def _attempt(
        self, asked: _Asked, grant: Grant, view_age_s: float, *, may_be_ours: bool
    ) -> Decided | Stale | Denied:
        """``may_be_ours``: look whether the invoice is our own. Nothing is refused before that has been looked at."""
        now = self._context.clock.now()
        own = await ours(self._context, asked.command, look_up=may_be_ours)
        verdict = self._verdict(asked, grant, now, own)
        if isinstance(verdict, Refused):
            return await self._known_or(asked, grant, verdict) if may_be_ours else Stale()
        is_owners = grant.account_id == OWNER_ACCOUNT
        try:
            view = await self._view(view_age_s, asked.until, is_owners=is_owners, is_ours=own is not None)
        except KitestringError as unavailable:
            if not is_owners and not may_be_ours:
                return Stale()  # if the invoice is our own, the node need not be asked
            return await self._known_or(asked, grant, Refused.of(unavailable))
        claim = self._claim(asked, grant, verdict, own, view, now)
        answer = await self._context.store.apply(claim)
        if isinstance(answer, Claimed):
            phase = first_phase(self._context, claim.payment, asked.incoming.sent_at)
            return self._begin(claim.payment, (claim.request,), phase)
        return answer

    def _claim(
        self, asked: _Asked, grant: Grant, verdict: Allow, own: Ours | None, view: NodeView | None, now: int,
        payment_id: str = "",
    ) -> ClaimPayment:  # fmt: skip
        index = None if view is None else view.payment_index
        payment = new_payment(self._context, asked.incoming, asked.command, grant, verdict, own, now, index)
        if payment_id or asked.order.requestor:
            named = payment_id or payment.payment_id
            payment = msgspec.structs.replace(payment, payment_id=named, requestor=asked.order.requestor)
        request = new_request(asked.incoming, now, payment.payment_id)
        share = self._shares.payments(grant.grant_id)
        of_owner = view if grant.account_id == OWNER_ACCOUNT else None
        return ClaimPayment(request, grant.version, payment, verdict.charges, of_owner, share, asked.order.consume)

    def _verdict(self, asked: _Asked, grant: Grant, now: int, own: Ours | None) -> Allow | Refused:
        limits, asked.is_ours = self._context.limits, own is not None
        return decide(
            asked.command,
            grant,
            now=now,
            network=self._context.node.network,
            zone=self._context.zone,
            keysend=self._context.backend.capabilities.keysend,
            internal=own is not None,
            fee_ppm=limits.fee_ppm,
            fee_min_msat=limits.fee_min_msat,
            fee_at_most=asked.fee_at_most,
            service_fee=limits.service_fee,
            least_left_s=asked.order.least_left_s,
        )

    def _service_fee(self, command: PayInvoice, grant: Grant) -> Msat:
        """The fee of the service for it, if it leaves the service."""
        return service_fee_of(command, grant, self._context.limits.service_fee)

    def _refusal(self, denied: Denied, asked: _Asked, grant: Grant) -> Refused:
        """The words in which a denied claim is refused."""
        now, limits, left = self._context.clock.now(), self._context.limits, denied.remaining_msat

        def cost_at(command: PayInvoice) -> Cost:
            return cost_of(
                command, grant, internal=asked.is_ours, fee_ppm=limits.fee_ppm, fee_min_msat=limits.fee_min_msat,
                service_fee=limits.service_fee,
            )  # fmt: skip

        if denied.reason is Reason.OVER_BUDGET:
            return over_budget(grant, now, self._context.zone, cost_at(asked.command), left, denied.budget_id)
        if denied.reason is Reason.INSUFFICIENT_FUNDS:
            fits = fits_within(left or ZERO, asked.command, cost_at)
            return insufficient(grant, now, cost_at(asked.command), fits, left, denied.reserved_msat)
        if denied.reason is Reason.EXPIRED_INVOICE:
            return _CANCELED
        if denied.reason is Reason.RATE_LIMITED:
            return full("too many payments of this connection are under way: wait until one has ended", now)
        return Refused(denied.reason, "", {} if left is None else {"remaining_msat": int(left)})

    def _left_for_routing(self, denied: Denied, command: PayInvoice, grant: Grant) -> Msat:
        """The rest of a budget beside the amount and the service's fee; below 0 where it does not cover these, or
        where it is not a budget that has refused."""
        if denied.reason is not Reason.OVER_BUDGET or denied.remaining_msat is None:
            return Msat(-1)
        return denied.remaining_msat - command.amount_msat - self._service_fee(command, grant)

    async def _known_or(self, asked: _Asked, grant: Grant, refusal: Refused) -> Decided:
        """Look for an earlier answer before refusing (completed → active → expiry → validity): a payment that this
        grant, or this requestor, has made or is making keeps its answer, whatever has expired or run out since."""
        messages = await self._context.store.messages(asked.incoming.request_id)
        if messages:
            return Finished(messages)
        now, command = self._context.clock.now(), asked.command
        before = await self._context.store.holder(command.payment_hash)
        known = before is not None and _is_of(before, grant, asked.order.requestor)
        unpaused = replace(grant, paused_at=None)  # who is only paused must not take a payment of its own for unmade
        if not known or refuse_caller(unpaused, now, command) is not None:
            return refusal
        # This claim can join or find the payment, but its charge fits no budget: it can never start one.
        never = Charge(grant.grant_id, Msat(1), ZERO, 0, 0)
        claim = self._claim(asked, grant, Allow((never,), ZERO), None, None, now)
        answer = await self._context.store.apply(claim)
        assert not isinstance(answer, Claimed), "a payment that fits no budget was claimed"  # noqa: S101 - of our own ledger
        if isinstance(answer, Stale):
            return Refused(Reason.BUSY)  # the refusal may say that nothing was paid, and the payment is still there
        if isinstance(answer, Denied):
            is_there = answer.reason in {Reason.INVOICE_TAKEN, Reason.PAYMENT_IN_FLIGHT}
            return Refused(answer.reason) if is_there else refusal
        return answer

    async def _view(self, age_s: float, until: float, *, is_owners: bool, is_ours: bool) -> NodeView | None:
        """The owner pays from the node's balance. Of anybody else's order only the node's count of payments is needed,
        which may be older, and of a payment inside this service nothing."""
        if not is_owners and (is_ours or not self._context.backend.capabilities.payment_index):
            return None
        view = await self._gate.view(age_s if is_owners else COUNT_AGE_S)
        if self._context.clock.monotonic() > until:
            raise KitestringError(Reason.UNAVAILABLE, "the node took too long; nothing was sent, try again")
        return view

    async def _after(self, incoming: Incoming, decided: Decided) -> None:
        match decided:
            # Whoever owns the payment answers; transaction 2 names every request that waits for it.
            case Pursuit(payment=payment) | Joined(payment=payment):
                self._watch(incoming.request_id, incoming.command, self._context.clock.now(), payment)
            case Running():
                pass  # a copy of a request that is watched already
            case Finished():
                self._context.deliver(decided.messages)
            case AlreadyPaid():
                await self._answers.confirm(incoming, paid_before(decided.payment))
            case Refused():
                await self.refuse(incoming, decided)
            case _:
                assert_never(decided)

    async def refuse(self, incoming: Incoming, refused: Refused) -> None:
        """Refuse it, without a word where it may have been paid in an earlier life: who is told no pays once more."""
        if await may_have_paid(self._context, incoming):
            await self._answers.pass_over(incoming)
        else:
            await self._answers.refuse(incoming, refused)

    # ------------------------------------------------------------ under way

    def carry_on(self, payment: Payment) -> None:
        """After a restart: pursue a stored payment until its end is known."""
        self._begin(payment, (), Stored())

    def _begin(self, payment: Payment, waiting: tuple[Request, ...], phase: Phase) -> Pursuit:
        pursuit = Pursuit(self._context, self._answers, payment, waiting, phase)
        self._pursuits[payment.payment_id] = pursuit
        pursuit.task = self._context.spawn(pursuit.run())
        pursuit.task.add_done_callback(lambda _: self._pursuits.pop(payment.payment_id, None))
        return pursuit

    async def resolve(self, payment_id: str, note: str) -> None:
        """Take the operator's word about a payment of unknown outcome, of whichever node: its reservation goes, and
        requests that wait for it are told so at once. Its truth is still looked for.

        Raises KitestringError if it has another state.
        """
        pursuit = self._pursuits.get(payment_id)
        if pursuit is not None:
            pursuit.hold_back()
        try:
            done = await self._context.store.apply(ResolvePayment(payment_id, note, self._context.clock.now()))
        except IllegalStepError as illegal:
            raise KitestringError(
                Reason.UNKNOWN_TARGET, f"this payment is {illegal.before.value}, not unknown: nothing was changed"
            ) from illegal
        else:
            if pursuit is not None:
                pursuit.close()
        finally:
            if pursuit is not None:
                pursuit.let_go()
        if done.payment is not None:
            for request in done.unanswered:
                await answer_late(self._answers, done.payment, request)

    async def answer_orphan(self, request: Request) -> None:
        """Answer a request whose payment had ended before the crash that kept the answer from being stored; of one that
        is under way still, wait for the end or for the patience of who has asked."""
        payment = await self._context.store.payment(request.payment_id) if request.payment_id else None
        if payment is not None and payment.state not in OPEN:
            await answer_late(self._answers, payment, request)
        elif payment is not None and request.command:
            self._watch(request.request_id, thaw(request.command), request.received_at, payment)

    def _watch(self, request_id: str, command: Journaled, since: int, payment: Payment) -> None:
        pursuit = self._pursuits.get(payment.payment_id)
        self._patience.watch(request_id, command, since, None if pursuit is None else pursuit.task)


def _is_of(payment: Payment, grant: Grant, requestor: str) -> bool:
    """Whether it is a payment of this grant, or of this requestor, who may have another grant since."""
    if requestor:
        return payment.requestor == requestor
    return (payment.grant_id, payment.requestor) == (grant.grant_id, "")
