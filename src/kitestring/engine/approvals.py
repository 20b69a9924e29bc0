"""Questions to the owner: asked, decided once, and ended by the clock when nobody decides.

While a question is open its requests wait in the ledger, unanswered. Whoever has asked is told when it is decided; of
an approved payment, when that has ended.
"""

from __future__ import annotations

import logging
import math
from typing import Any, Final, Protocol, assert_never

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
)
from kitestring.base.clocks import AHEAD_S
from kitestring.base.commands import Journaled, freeze, thaw
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.records import Message, Request
from kitestring.base.transactions.answers import (
    AlreadyDecided,
    Claimed,
    DecisionStored,
    Denied,
    Finished,
    Running,
    Stale,
)
from kitestring.base.transactions.approvals import AskOwner, AwaitApproval, Decide
from kitestring.base.transactions.owner import SaveBlock, Write
from kitestring.base.transactions.payments import ClaimPayment
from kitestring.engine.answers import Answers, new_request
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.engine.forgotten import may_be_paid

log = logging.getLogger("kitestring.engine")

#: Questions of one key at one target, and of all strangers together, over one wire within :data:`GATE_S`. As many again
#: are kept for the keys that have a grant, or were paid before.
MAX_OF_CALLER: Final = 3
MAX_OF_ALL: Final = 60
#: More questions than can be open over three wires are never looked at.
MAX_OPEN: Final = 3 * 2 * 2 * MAX_OF_ALL
#: Seconds between two looks at what has expired.
LOOK_S: Final = 5.0

_DENIED: Final = Refused(Reason.NOT_PERMITTED, "the owner said no")
_SUPERSEDED: Final = Refused(
    Reason.NOT_PERMITTED, "superseded by a newer request of the same key", {"reason": "superseded"}
)
_NOBODY: Final = Refused(Reason.UNDECIDED)


class Case(Protocol):
    """The part of a question that is different for each kind of command; one file each, made known to
    :class:`Approvals`."""

    def target(self, incoming: Incoming, asked: Any) -> str:
        """The target of the question: one caller has one question there."""
        ...

    def ends(self, asked: Any) -> int | None:
        """The time (Unix seconds) after which nobody needs a decision any more."""
        ...

    async def approve(self, asked: Approval, word: OwnersWord) -> Approval:
        """Carry out a yes, with all that follows from it in one commit. Raises as :meth:`Approvals.decide`."""
        ...

    async def told(self, asked: Approval) -> Outcome:
        """The yes, as those are told who have waited for it and heard nothing."""
        ...


class Approvals:
    """Every question of this process. Decisions come by :meth:`decide` alone, through whatever door."""

    def __init__(self, context: Context, answers: Answers) -> None:
        self._context = context
        self._answers = answers
        self._cases: dict[type[Journaled], Case] = {}
        self._seen: dict[str, float] = {}

    def know(self, command: type[Journaled], case: Case) -> None:
        """From now on ask the owner about commands of this kind too."""
        self._cases[command] = case

    # ------------------------------------------------------------ ask

    async def ask(
        self, incoming: Incoming, asked: Journaled, kind: ApprovalKind, token: Token | None, *, has_grant: bool
    ) -> Refused | None:
        """Store the question; None when that is done, or when the request waits for, or has, an answer already."""
        store, command, target = self._context.store, freeze(asked), self._cases[type(asked)].target(incoming, asked)
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
        self, incoming: Incoming, asked: Journaled, kind: ApprovalKind, token: Token | None,
        before: Approval | None, now: int, is_known: bool,
    ) -> AskOwner:  # fmt: skip
        ends = (incoming.expires_at, self._cases[type(asked)].ends(asked))
        approval = Approval(
            approval_id=self._context.new_id(now),
            kind=kind,
            wire=incoming.wire,
            caller=incoming.author,
            target=self._cases[type(asked)].target(incoming, asked),
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
            return as_told_before(asked, word)
        if asked.version != word.version:
            text = f"this is version {asked.version} of the question, not {word.version}: look at it again"
            raise KitestringError(Reason.BUSY, text)
        if self._is_over(asked):
            await self.end(asked, ApprovalState.EXPIRED, _NOBODY)
            raise KitestringError(Reason.UNDECIDED, "it was too late: whoever asked was told that nobody has decided")
        if word.verdict in {Ruling.DENY, Ruling.BLOCK}:
            return await self._deny(asked, word)
        return await self._approve(asked, word)

    async def _deny(self, asked: Approval, word: OwnersWord) -> Approval:
        block = SaveBlock(asked.caller, Block(asked.caller, self._context.clock.now(), word.note))
        writes = (block,) if word.verdict is Ruling.BLOCK else ()
        return await self.end(asked, ApprovalState.DENIED, _DENIED, word, writes)

    async def _approve(self, asked: Approval, word: OwnersWord) -> Approval:
        if await self._context.store.is_blocked(asked.caller):
            raise KitestringError(Reason.NOT_PERMITTED, "this key is blocked since: let it ask again first")
        return await self._case(asked).approve(asked, word)

    def _case(self, asked: Approval) -> Case:
        return self._cases[type(thaw(asked.command))]

    def decision(
        self, asked: Approval, word: OwnersWord, writes: tuple[Write, ...], claim: ClaimPayment | None
    ) -> Decide:
        return Decide(
            asked.approval_id, word.version, ApprovalState.APPROVED, self._context.clock.now(), word.by, word.key,
            word.verdict.value, writes, claim,
        )  # fmt: skip

    # ------------------------------------------------------------ ended without a payment

    async def end(
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
            return answer.approval if word is None else as_told_before(answer.approval, word)
        if isinstance(answer, Denied):
            raise KitestringError(answer.reason)
        if not isinstance(answer, DecisionStored):
            raise KitestringError(Reason.BUSY, "something has changed since it was looked at: look again")
        self._seen.pop(asked.approval_id, None)
        for request in answer.unanswered:
            await self._finish(asked, request, outcome)
        return await self.as_stored(asked)

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

    async def as_stored(self, asked: Approval) -> Approval:
        return await self._context.store.approval(asked.approval_id) or asked

    async def watch(self) -> None:
        """End what nobody has decided in time, forever."""
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
                await self.end(one, ApprovalState.EXPIRED, _NOBODY)

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
            outcome = await self._case(asked).told(asked)
        await self._finish(asked, request, outcome)


#: The end of a question by a no, as those who waited are told of it.
_ENDED: Final[dict[ApprovalState, Outcome]] = {
    ApprovalState.DENIED: _DENIED,
    ApprovalState.EXPIRED: _NOBODY,
    ApprovalState.SUPERSEDED: _SUPERSEDED,
}


def _waiting_request(incoming: Incoming, now: int, approval_id: str) -> Request:
    """The row of a request that waits for a question, where what it asks for is kept: once, for strangers may ask for
    much, and often."""
    return msgspec.structs.replace(new_request(incoming, now, approval_id), command=b"")


def as_told_before(asked: Approval, word: OwnersWord) -> Approval:
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
