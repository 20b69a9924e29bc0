"""The owner's yes to a debit: the payment that was asked for, or a grant for those to come."""

from __future__ import annotations

from dataclasses import replace

from kitestring.base.approvals import Approval, ApprovalState, OwnersWord, Ruling, Token
from kitestring.base.budgets import Budget
from kitestring.base.commands import Debit, thaw
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Granted
from kitestring.base.records import Request
from kitestring.base.transactions.owner import SaveGrant, Write
from kitestring.base.transactions.payments import ClaimPayment
from kitestring.engine.approvals import Approvals, as_told_before
from kitestring.engine.context import Context, Incoming
from kitestring.engine.grants import Grants
from kitestring.engine.payments import CommitAnswer, Order, Payments
from kitestring.policy.debits import granted, refuse_pointer


class ApprovedDebits:
    """The case of questions about :class:`Debit`. A payment is claimed in the commit that decides."""

    def __init__(self, context: Context, grants: Grants, payments: Payments, approvals: Approvals) -> None:
        self._context = context
        self._grants = grants
        self._payments = payments
        self._approvals = approvals

    def target(self, _incoming: Incoming, asked: Debit) -> str:
        return asked.pointer_id

    def ends(self, asked: Debit) -> int | None:
        return None if asked.payment is None else asked.payment.expires_at

    async def told(self, asked: Approval) -> Granted:
        return _told_of(await self._grants.at(asked.wire, asked.caller, asked.target), asked.decision)

    async def approve(self, asked: Approval, word: OwnersWord) -> Approval:
        debit = thaw(asked.command)
        assert isinstance(debit, Debit)  # noqa: S101 - this is their case
        pointer, before, now = await self._place(asked)
        grant = _grant(debit, word, pointer, before, asked, self._context.new_id(now), now)
        writes: tuple[Write, ...] = ()
        if grant is None:  # of what the owner has looked at, no cap on a payment says what is too much
            grant = replace(before or pointer, per_payment_msat=None)
        else:
            grant = await self._on_unused_budgets(grant, before)
            writes = (SaveGrant(grant),)
        if debit.payment is None:
            outcome = _told_of(grant, word.verdict.value)
            return await self._approvals.end(asked, ApprovalState.APPROVED, outcome, word, writes)
        request = next(iter(await self._context.store.waiting(asked.approval_id)), None)
        if request is None:
            raise KitestringError(Reason.BUSY, "nobody waits for this any more: look again")
        token = (Token(pointer.grant_id, debit.k1, pointer.sessions == "minted"),) if debit.k1 else ()
        incoming = _incoming(request, debit, grant, asked)
        order = Order(incoming=incoming, command=debit.payment, requestor=asked.caller, consume=token)

        async def commit(claim: ClaimPayment) -> CommitAnswer:
            return await self._context.store.apply(self._approvals.decision(asked, word, writes, claim))

        refused = await self._payments.approve(order, grant, asked.approval_id, commit)
        stored = await self._approvals.as_stored(asked)
        if refused is None:
            return stored
        if stored.state is not ApprovalState.OPEN:  # somebody was faster
            return as_told_before(stored, word)
        raise KitestringError(refused.reason, refused.message, private=refused.private, **refused.details)

    async def _place(self, asked: Approval) -> tuple[Grant, Grant | None, int]:
        """The pointer and the caller's grant there, as they are now. Raises KitestringError where one has ended."""
        now = self._context.clock.now()
        pointer = await self._grants.reload(asked.target)
        gone = refuse_pointer(pointer, now)
        if gone is not None or pointer is None:
            raise KitestringError(Reason.UNKNOWN_TARGET, "the pointer that this was asked by is gone")
        grants = await self._context.store.grants_of(asked.wire, asked.caller)
        before = next((one for one in grants if one.pointer_id == asked.target), None)
        if before is not None and before.expires_at is not None and now >= before.expires_at:
            text = "what this key may take there has expired meanwhile: edit that grant or revoke it, then look again"
            raise KitestringError(Reason.CONNECTION_ENDED, text)
        return pointer, before, now

    async def _on_unused_budgets(self, grant: Grant, before: Grant | None) -> Grant:
        """The grant with its new budgets under numbers that no budget had which was taken away since: what is used of
        that one is not used of these."""
        kept = set() if before is None else {budget.budget_id for budget in before.budgets}
        budgets = []
        for budget in grant.budgets:
            number = budget.budget_id
            while number not in kept and await self._context.store.budget_used(grant.grant_id, 0, number):
                number += 1
            budgets.append(replace(budget, budget_id=number))
        return replace(grant, budgets=tuple(budgets))


def _told_of(grant: Grant | None, decision: str) -> Granted:
    """The yes to a question about a budget; it names the budget where that is the owner's own."""
    budgets = grant.budgets if grant is not None and decision == Ruling.BUDGET.value else ()
    return Granted(budgets[0] if budgets else None)


def _grant(
    debit: Debit, word: OwnersWord, pointer: Grant, before: Grant | None, asked: Approval, new_id: str, now: int
) -> Grant | None:
    """The grant that the caller gets; None where one payment is all. Raises KitestringError where the word does not
    fit."""
    budget: Budget | None
    if word.verdict is Ruling.ALWAYS:
        budget = None
    elif word.verdict is Ruling.BUDGET:
        if word.budget is None:
            raise KitestringError(Reason.MALFORMED, "a budget has an amount")
        budget = word.budget
    elif debit.payment is not None:
        return None
    elif debit.budget is None:
        text = "it asks to pay without any limit: say so (always), or give it a budget"
        raise KitestringError(Reason.MALFORMED, text)
    else:
        budget = debit.budget
    return granted(pointer, before, asked.caller, budget, new_id, now)


def _incoming(request: Request, debit: Debit, grant: Grant, asked: Approval) -> Incoming:
    """The request that waits, on the grant that pays for it. Its order must not be sent after the question's end."""
    return Incoming(
        request.request_id, request.wire, grant.grant_id, debit, request.reply_to, request.sent_at, asked.expires_at,
        author=asked.caller,
    )  # fmt: skip
