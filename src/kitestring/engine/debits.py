"""Debits: somebody asks to be paid. Whose budget it is on, or whether the owner has to be asked, is policy's to say."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

import msgspec

from kitestring.base.approvals import Token
from kitestring.base.commands import DEBITS_WIRE, OWNER_ACCOUNT, Debit, PayInvoice
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MSAT_PER_SAT, ZERO, Msat
from kitestring.base.outcomes import Granted, Outcome, Refused
from kitestring.base.payments import State
from kitestring.base.transactions.answers import AlreadyPaid, Finished, Joined, Running, Stale
from kitestring.engine.answers import Answers, unclaimed_request
from kitestring.engine.approvals import Approvals
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.engine.forgotten import may_have_paid
from kitestring.engine.grants import Grants
from kitestring.engine.outcomes import paid
from kitestring.engine.payments import DECIDE_LIMIT_S, Decided, Order, Payments
from kitestring.engine.pursuit import Pursuit
from kitestring.engine.rated import as_shown
from kitestring.policy.budget import oldest
from kitestring.policy.debits import MIN_LEFT_S, AskTheOwner, Charged, Kept, decide_debit
from kitestring.policy.fees import default_fee_cap
from kitestring.policy.rules import refuse_payment

_BLOCKED: Final = Refused(Reason.NOT_PERMITTED)


class Debits:
    """Carries debits out. What a known key is told is stored; of a stranger nothing is but what it was paid for."""

    def __init__(
        self, context: Context, answers: Answers, grants: Grants, payments: Payments, approvals: Approvals
    ) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants
        self._payments = payments
        self._approvals = approvals

    async def handle(self, incoming: Incoming, debit: Debit) -> Refused | None:
        """Pay, ask the owner, or refuse; returns when that is durable. The refusal of a stranger is returned, and told
        by whoever asks."""
        until = self._context.clock.monotonic() + DECIDE_LIMIT_S
        for _ in range(MAX_STALE_ROUNDS):
            answer = await self._decide(incoming, debit, until)
            if not isinstance(answer, Stale):
                break
        else:
            answer = Refused(Reason.BUSY, "what this pointer allows keeps changing; try again")
        return None if answer is None else await self._refuse(incoming, answer)

    async def _decide(self, incoming: Incoming, debit: Debit, until: float) -> Refused | Stale | None:
        """Decide on the rows as they are known, and carry that out; Stale when they have changed meanwhile, for then
        whoever asks may not be meant by them any more."""
        pointer = await self._grants.get(debit.pointer_id) if debit.pointer_id else None
        grant = await self._grants.at(DEBITS_WIRE, incoming.author, debit.pointer_id)
        now = self._context.clock.now()
        has = grant if grant is None or debit.payment is not None else await self._at_rates(grant)
        verdict = decide_debit(debit, pointer, has, now=now, left=await self._left(debit, has))
        if isinstance(verdict, Charged) and debit.payment is not None:
            order = self._order(incoming, debit.payment, verdict.grant, verdict.token)
            answer = await self._pay(order, verdict.grant, until)
            if isinstance(answer, Stale):
                await self._grants.reload(debit.pointer_id)
            return answer
        if isinstance(verdict, Refused):
            return verdict
        if await self._context.store.is_blocked(incoming.author):
            return _BLOCKED
        if isinstance(verdict, AskTheOwner):
            return await self._ask(incoming, debit, pointer, grant, verdict)
        assert isinstance(verdict, Kept)  # noqa: S101 - a payment is charged, asked for or refused
        await self._store(incoming, grant, Granted())
        return None

    async def _at_rates(self, grant: Grant) -> Grant:
        """The grant as it is compared with what is asked for: of a budget in a currency, its worth now."""
        return replace(grant, budgets=await as_shown(self._context.rates, grant))

    async def _left(self, debit: Debit, grant: Grant | None) -> dict[int, Msat]:
        """The rest of the budgets that never renew, by number; only who asks for one is told."""
        if grant is None or debit.payment is not None:
            return {}
        once = [budget for budget in grant.budgets if budget.period == "never"]
        used = [await self._context.store.budget_used(grant.grant_id, 0, budget.budget_id) for budget in once]
        return {b.budget_id: b.limit_msat - spent for b, spent in zip(once, used, strict=True)}

    # ------------------------------------------------------------ pay

    def _order(self, incoming: Incoming, command: PayInvoice, grant: Grant, token: Token | None) -> Order:
        named = msgspec.structs.replace(incoming, grant_id=grant.grant_id)
        consume = () if token is None else (token,)
        return Order(
            incoming=named, command=command, requestor=incoming.author, consume=consume, least_left_s=MIN_LEFT_S
        )

    async def _pay(self, order: Order, grant: Grant, until: float) -> Refused | Stale | None:
        decided = await self._payments.decide(order, grant, until)
        return decided if isinstance(decided, Stale) else await self._after(decided, order, grant)

    async def _after(self, decided: Decided, order: Order, grant: Grant) -> Refused | None:
        """Say what is to be said now; the refusal is the caller's to tell."""
        match decided:
            case Pursuit() | Running() | Joined():
                return None
            case Finished():
                self._context.deliver(decided.messages)
                return None
            case AlreadyPaid():
                await self._store(order.incoming, grant, paid(decided.payment))
                return None
            case Refused():
                return await self._with_details(decided, order, grant)
            case _:
                assert_never(decided)

    async def _with_details(self, refused: Refused, order: Order, grant: Grant) -> Refused:
        """Name what a requestor may do about it."""
        details, store = dict(refused.details), self._context.store
        if refused.reason is Reason.OVER_BUDGET:
            room = await self._room(grant) if "per_payment_msat" not in details else self._most(grant)
            if room >= MSAT_PER_SAT:
                details["range"] = {"min": 1, "max": room.sats_down()}
        if refused.reason is Reason.INVOICE_TAKEN:
            held = await store.holder(order.command.payment_hash)
            is_paid = held is not None and held.state is State.SETTLED
            details["reason"] = "invoice_already_paid" if is_paid else "invoice_in_progress"
        elif refused.reason is Reason.AMOUNT_OUT_OF_RANGE and order.consume:
            session = await store.session(order.consume[0].scope, order.consume[0].value)
            if session is not None:
                details["range"] = {"min": session.min_msat.sats_up(), "max": session.max_msat.sats_down()}
        return msgspec.structs.replace(refused, details=details)

    async def _room(self, grant: Grant) -> Msat:
        """The most that can be taken of the tightest budget: its rest without the service's fee, for a fee reserve is
        lowered to fit."""
        now, zone, store = self._context.clock.now(), self._context.zone, self._context.store
        left = [
            budget.limit_msat
            - await store.budget_used(grant.grant_id, oldest(budget, now, zone), budget.budget_id, now=now)
            for budget in await as_shown(self._context.rates, grant)
        ]
        return self._amount_within(min(left, default=ZERO), grant)

    def _amount_within(self, room: Msat, grant: Grant) -> Msat:
        """An amount that fits with what the service takes for it."""
        return room if grant.account_id == OWNER_ACCOUNT else self._context.limits.service_fee.amount_within(room)

    def _most(self, grant: Grant) -> Msat:
        """The largest payment that the cap on one leaves room for with its fees."""
        most, limits = grant.per_payment_msat or ZERO, self._context.limits
        fee = grant.fee_cap_msat
        reserve = default_fee_cap(most, limits.fee_ppm, limits.fee_min_msat) if fee is None else fee
        return self._amount_within(most - reserve, grant)

    # ------------------------------------------------------------ ask

    async def _ask(
        self, incoming: Incoming, debit: Debit, pointer: Grant | None, grant: Grant | None, verdict: AskTheOwner
    ) -> Refused | None:
        """Ask the owner, but not about what has an answer already, or can never be paid."""
        if debit.payment is not None and pointer is not None:
            network, now = self._context.node.network, self._context.clock.now()
            refused = refuse_payment(debit.payment, now + MIN_LEFT_S, network, keysend=False)
            before = await self._context.store.holder(debit.payment.payment_hash)
            if refused is not None or before is not None:
                order = self._order(incoming, debit.payment, grant or pointer, verdict.token)
                return await self._known(order, grant or pointer, refused or Refused(Reason.INVOICE_TAKEN))
        return await self._approvals.ask(incoming, debit, verdict.kind, verdict.token, has_grant=grant is not None)

    async def _known(self, order: Order, grant: Grant, refused: Refused) -> Refused | None:
        return await self._after(await self._payments.known(order, grant, refused), order, grant)

    # ------------------------------------------------------------ answer

    async def _store(self, incoming: Incoming, grant: Grant | None, outcome: Outcome) -> None:
        """Tell it: stored where it is a known key's, said at once to a stranger, who may ask again."""
        known = grant.grant_id if grant is not None and grant.caller else incoming.known
        if known:
            await self._answers.confirm(incoming, outcome, known)
        else:
            request = unclaimed_request(incoming, self._context.clock.now())
            self._context.deliver(self._answers.replies((request,), (outcome,)))

    async def _refuse(self, incoming: Incoming, refused: Refused) -> Refused | None:
        """Refuse it, without a word where it may have been paid in an earlier life: who is told no pays once more."""
        is_silent = await may_have_paid(self._context, incoming)
        if not incoming.known:
            return None if is_silent else refused
        named = msgspec.structs.replace(incoming, grant_id=incoming.known)
        if is_silent:
            await self._answers.pass_over(named)
        else:
            await self._answers.refuse(named, refused)
        return None
