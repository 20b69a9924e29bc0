"""Questions to the owner: asked, decided once, and ended by the clock when nobody decides.

While a question is open its requests wait in the ledger, unanswered. Whoever has asked is told when it is decided; of
an approved payment, when that has ended.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Final, assert_never

import msgspec

from kitestring.base.approvals import (
    DECIDE_WITHIN_S,
    GATE_S,
    Approval,
    ApprovalKind,
    ApprovalState,
    Block,
    OwnersWord,
    PromptGate,
    Ruling,
    Token,
    connection_id,
)
from kitestring.base.budgets import Budget
from kitestring.base.clocks import AHEAD_S
from kitestring.base.commands import Connect, Debit, freeze, thaw
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Connected, Granted, Outcome, Refused
from kitestring.base.records import Message, Request
from kitestring.base.transactions import (
    AlreadyDecided,
    AskOwner,
    AwaitApproval,
    Claimed,
    ClaimPayment,
    Decide,
    DecisionStored,
    Denied,
    Finished,
    Running,
    SaveAccount,
    SaveBlock,
    SaveGrant,
    Stale,
    Write,
)
from kitestring.engine.answers import Answers, new_request
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.engine.forgotten import may_be_paid
from kitestring.engine.grants import Grants
from kitestring.engine.payments import CommitAnswer, Order, Payments
from kitestring.policy.debits import granted, refuse_pointer

log = logging.getLogger("kitestring.engine")

#: Questions of one key at one pointer, and of all strangers together, within :data:`GATE_S`. As many again are kept for
#: the keys that have a grant, or were paid before.
MAX_OF_CALLER: Final = 3
MAX_OF_ALL: Final = 60
#: More questions than can be open are never looked at.
MAX_OPEN: Final = 4 * MAX_OF_ALL
#: Seconds between two looks at what has expired.
LOOK_S: Final = 5.0

_DENIED: Final = Refused(Reason.NOT_PERMITTED, "the owner said no")
_SUPERSEDED: Final = Refused(
    Reason.NOT_PERMITTED, "superseded by a newer request of the same key", {"reason": "superseded"}
)
_NOBODY: Final = Refused(Reason.UNDECIDED)


class Approvals:
    """Every question of this process. Decisions come by :meth:`decide` alone, through whatever door."""

    def __init__(self, context: Context, answers: Answers, grants: Grants, payments: Payments) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants
        self._payments = payments
        self._seen: dict[str, float] = {}

    # ------------------------------------------------------------ ask

    async def ask(
        self, incoming: Incoming, asked: Debit | Connect, kind: ApprovalKind, token: Token | None, *, has_grant: bool
    ) -> Refused | None:
        """Store the question; None when that is done, or when the request waits for, or has, an answer already."""
        store, command, target = self._context.store, freeze(asked), _target(incoming, asked)
        is_known = has_grant or (await store.dealings(incoming.author)).is_approved
        for _ in range(MAX_STALE_ROUNDS):
            now = self._context.clock.now()
            before = await store.open_approval(incoming.wire, target, incoming.author)
            if before is not None and before.command == command:
                join = AwaitApproval(_waiting_request(incoming, now, before.approval_id), before.approval_id)
                answer = await store.apply(join)
            else:
                answer = await store.apply(await self._question(incoming, asked, kind, token, before, now, is_known))
            match answer:
                case Claimed() | Running():
                    return None
                case Finished():
                    self._context.deliver(answer.messages)
                    return None
                case Denied():
                    return _not_asked(answer, now)
                case Stale():
                    pass
                case _:
                    assert_never(answer)
        return Refused(Reason.BUSY, "this key asks for something else all the time; try again")

    async def _question(
        self, incoming: Incoming, asked: Debit | Connect, kind: ApprovalKind, token: Token | None,
        before: Approval | None, now: int, is_known: bool,
    ) -> AskOwner:  # fmt: skip
        ends = (incoming.expires_at, _ends(asked))
        approval = Approval(
            approval_id=self._context.new_id(now),
            kind=kind,
            wire=incoming.wire,
            caller=incoming.author,
            target=_target(incoming, asked),
            command=freeze(asked),
            asked_at=now,
            expires_at=min(filter(None, (now + DECIDE_WITHIN_S, *ends))),
            is_known=is_known,
        )
        replaces = "" if before is None else before.approval_id
        waiting = await self._context.store.waiting(replaces) if replaces else []
        messages = () if before is None else tuple([await self._reply(before, one, _SUPERSEDED) for one in waiting])
        request = _waiting_request(incoming, now, approval.approval_id)
        gate = PromptGate(now - GATE_S, MAX_OF_CALLER, MAX_OF_ALL)
        return AskOwner(request, approval, gate, replaces, messages, token)

    # ------------------------------------------------------------ decide

    async def decide(self, word: OwnersWord) -> Approval:
        """Carry the owner's word out, once; the question as it is afterwards. A payment that it allows has begun then.

        Raises KitestringError: UNKNOWN_TARGET, ALREADY_USED where somebody else has decided, UNDECIDED where its time
        is over, MALFORMED where the word does not fit, BUSY where it is not what was shown; and whatever keeps the
        payment from being made now. Then nothing was decided.
        """
        asked = await self._context.store.approval(word.approval_id)
        if asked is None:
            raise KitestringError(Reason.UNKNOWN_TARGET, "there is no such question")
        if asked.state is not ApprovalState.OPEN:
            return _as_told_before(asked, word)
        if asked.version != word.version:
            text = f"this is version {asked.version} of the question, not {word.version}: look at it again"
            raise KitestringError(Reason.BUSY, text)
        if self._is_over(asked):
            await self._end(asked, ApprovalState.EXPIRED, _NOBODY)
            raise KitestringError(Reason.UNDECIDED, "it was too late: whoever asked was told that nobody has decided")
        if word.verdict in {Ruling.DENY, Ruling.BLOCK}:
            return await self._deny(asked, word)
        return await self._approve(asked, word)

    async def _deny(self, asked: Approval, word: OwnersWord) -> Approval:
        block = SaveBlock(asked.caller, Block(asked.caller, self._context.clock.now(), word.note))
        writes = (block,) if word.verdict is Ruling.BLOCK else ()
        return await self._end(asked, ApprovalState.DENIED, _DENIED, word, writes)

    async def _approve(self, asked: Approval, word: OwnersWord) -> Approval:
        debit = thaw(asked.command)
        if await self._context.store.is_blocked(asked.caller):
            raise KitestringError(Reason.NOT_PERMITTED, "this key is blocked since: let it ask again first")
        if isinstance(debit, Connect):
            return await self._connect(asked, word)
        assert isinstance(debit, Debit), "nothing else asks the owner"  # noqa: S101 - of our own ledger
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
            return await self._end(asked, ApprovalState.APPROVED, outcome, word, writes)
        request = next(iter(await self._context.store.waiting(asked.approval_id)), None)
        if request is None:
            raise KitestringError(Reason.BUSY, "nobody waits for this any more: look again")
        token = (Token(pointer.grant_id, debit.k1, pointer.sessions == "minted"),) if debit.k1 else ()
        incoming = _incoming(request, debit, grant, asked)
        order = Order(incoming=incoming, command=debit.payment, requestor=asked.caller, consume=token)

        async def commit(claim: ClaimPayment) -> CommitAnswer:
            return await self._context.store.apply(self._decision(asked, word, writes, claim))

        refused = await self._payments.approve(order, grant, asked.approval_id, commit)
        stored = await self._as_stored(asked)
        if refused is None:
            return stored
        if stored.state is not ApprovalState.OPEN:  # somebody was faster
            return _as_told_before(stored, word)
        raise KitestringError(refused.reason, refused.message, private=refused.private, **refused.details)

    async def _connect(self, asked: Approval, word: OwnersWord) -> Approval:
        """Give an app the connection that the owner's word holds."""
        if word.grant is None:
            raise KitestringError(Reason.MALFORMED, "this asks for a connection, and none was made for it")
        account = () if word.account is None else (SaveAccount(word.account),)
        writes = (*account, SaveGrant(word.grant))
        return await self._end(asked, ApprovalState.APPROVED, Connected(word.grant.service_pubkey), word, writes)

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

    def _decision(
        self, asked: Approval, word: OwnersWord, writes: tuple[Write, ...], claim: ClaimPayment | None
    ) -> Decide:
        return Decide(
            asked.approval_id, word.version, ApprovalState.APPROVED, self._context.clock.now(), word.by, word.key,
            word.verdict.value, writes, claim,
        )  # fmt: skip

    # ------------------------------------------------------------ ended without a payment

    async def _end(
        self, asked: Approval, state: ApprovalState, outcome: Outcome, word: OwnersWord | None = None,
        writes: tuple[Write, ...] = (),
    ) -> Approval:  # fmt: skip
        """End it and tell everybody who waits. Raises KitestringError where somebody was faster."""
        waiting = await self._context.store.waiting(asked.approval_id)
        messages = tuple([await self._reply(asked, request, outcome) for request in waiting])
        by = ("", "", "") if word is None else (word.by, word.key, word.verdict.value)
        end = Decide(
            asked.approval_id, asked.version, state, self._context.clock.now(), *by, writes=writes, messages=messages
        )
        answer = await self._context.store.apply(end)
        if isinstance(answer, AlreadyDecided):
            return answer.approval if word is None else _as_told_before(answer.approval, word)
        if isinstance(answer, Denied):
            raise KitestringError(answer.reason)
        if not isinstance(answer, DecisionStored):
            raise KitestringError(Reason.BUSY, "something has changed since it was looked at: look again")
        self._seen.pop(asked.approval_id, None)
        for request in answer.unanswered:
            await self._finish(asked, request, outcome)
        return await self._as_stored(asked)

    async def _reply(self, asked: Approval, request: Request, outcome: Outcome) -> Message:
        """The reply to one who has waited: silence instead of a no to what may have been approved, and paid, in an
        earlier life."""
        if isinstance(outcome, Refused) and await self._may_be_paid(asked, request):
            return self._answers.silence(request)
        (reply,) = self._answers.replies((request,), (outcome,))
        return reply

    async def _may_be_paid(self, asked: Approval, request: Request) -> bool:
        """Also where the node cannot say it now."""
        if asked.kind is not ApprovalKind.PAYMENT or not self._context.earlier.came_before(request.sent_at):
            return False
        if self._context.earlier.may_have_answered(request.sent_at):
            return True
        try:
            return await may_be_paid(self._context, request.request_id, thaw(asked.command))
        except KitestringError:
            return True

    async def _finish(self, asked: Approval, request: Request, outcome: Outcome) -> None:
        await self._answers.finish_with(request, await self._reply(asked, request, outcome))

    async def _told(self, asked: Approval) -> Outcome:
        """The yes, as those are told who have waited for it and heard nothing."""
        if asked.kind is not ApprovalKind.CONNECTION:
            return _told_of(await self._grants.at(asked.wire, asked.caller, asked.target), asked.decision)
        made = await self._grants.get(connection_id(asked))
        return Refused(Reason.CONNECTION_ENDED) if made is None else Connected(made.service_pubkey)

    async def _as_stored(self, asked: Approval) -> Approval:
        return await self._context.store.approval(asked.approval_id) or asked

    async def watch(self) -> None:
        """End what nobody has decided in time, for ever."""
        while True:
            await self._context.clock.sleep(LOOK_S)
            try:
                await self.end_what_is_over()
            except KitestringError as failure:
                log.warning("questions to the owner are not ended yet: %s", failure.message)

    async def end_what_is_over(self) -> None:
        """End the questions whose time is over. Raises KitestringError when the ledger cannot be read or written."""
        asked = await self._context.store.approvals(limit=MAX_OPEN)
        self._seen = {one.approval_id: self._since(one) for one in asked}
        for one in asked:
            if self._is_over(one):
                await self._end(one, ApprovalState.EXPIRED, _NOBODY)

    def _since(self, asked: Approval) -> float:
        """The time at which this process has first seen it. One of an earlier process that is dated ahead of the clock
        has waited for nobody knows how long: it is over."""
        is_dated_ahead = asked.asked_at > self._context.clock.now() + AHEAD_S
        return self._seen.get(asked.approval_id, -math.inf if is_dated_ahead else self._context.clock.monotonic())

    def _is_over(self, asked: Approval) -> bool:
        """By the clock, or because this process has seen it wait for so long, wherever the clock stands."""
        waited_s = self._context.clock.monotonic() - self._since(asked)
        return self._context.clock.now() >= asked.expires_at or waited_s >= DECIDE_WITHIN_S

    async def answer_orphan(self, request: Request) -> None:
        """Answer a request whose question had ended before the crash that kept the answer from being stored."""
        asked = await self._context.store.approval(request.payment_id) if request.payment_id else None
        if asked is None or asked.state is ApprovalState.OPEN:
            return
        if await self._context.store.payment(request.payment_id) is not None:
            return
        outcome = _ENDED.get(asked.state)
        if outcome is None:
            outcome = await self._told(asked)
        await self._finish(asked, request, outcome)


def _target(incoming: Incoming, asked: Debit | Connect) -> str:
    """The target of the question: the pointer, or the connection that asks for one more."""
    return asked.pointer_id if isinstance(asked, Debit) else incoming.grant_id


def _ends(asked: Debit | Connect) -> int | None:
    """The time after which nobody needs a decision any more."""
    if isinstance(asked, Connect):
        return asked.expires_at
    return None if asked.payment is None else asked.payment.expires_at


def _told_of(grant: Grant | None, decision: str) -> Granted:
    """The yes to a question about a budget; it names the budget where that is the owner's own."""
    budgets = grant.budgets if grant is not None and decision == Ruling.BUDGET.value else ()
    return Granted(budgets[0] if budgets else None)


#: The end of a question by a no, as those who waited are told of it.
_ENDED: Final[dict[ApprovalState, Outcome]] = {
    ApprovalState.DENIED: _DENIED,
    ApprovalState.EXPIRED: _NOBODY,
    ApprovalState.SUPERSEDED: _SUPERSEDED,
}


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


def _waiting_request(incoming: Incoming, now: int, approval_id: str) -> Request:
    """The row of a request that waits for a question, where what it asks for is kept: once, for strangers may ask for
    much, and often."""
    return msgspec.structs.replace(new_request(incoming, now, approval_id), command=b"")


def _incoming(request: Request, debit: Debit, grant: Grant, asked: Approval) -> Incoming:
    """The request that waits, on the grant that pays for it. Its order must not be sent after the question's end."""
    return Incoming(
        request.request_id, request.wire, grant.grant_id, debit, request.reply_to, request.sent_at, asked.expires_at,
        author=asked.caller,
    )  # fmt: skip


def _as_told_before(asked: Approval, word: OwnersWord) -> Approval:
    """The question as it was decided, if it was by this very command. Raises KitestringError otherwise."""
    if word.key and asked.decided_as == word.key:
        return asked
    text = f"it was {asked.state.value} already: see `kitestring approvals --ended`"
    if asked.state is ApprovalState.SUPERSEDED:
        text = "the same key has asked for something else since: see `kitestring approvals`"
    raise KitestringError(Reason.ALREADY_USED, text, state=asked.state.value, decided_by=asked.decided_by)


def _not_asked(denied: Denied, now: int) -> Refused:
    if denied.reason is Reason.RATE_LIMITED:
        return Refused(Reason.RATE_LIMITED, "the owner was asked too often lately", {"retry_after": now + GATE_S})
    return Refused(denied.reason)
