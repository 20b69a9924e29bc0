"""Questions to the owner: asked with the claim of their request, and decided once."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from kitestring.base.approvals import MAX_WAITING, Approval, ApprovalState, PromptGate
from kitestring.base.commands import Debit, thaw
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import REPLY, Request
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
from kitestring.base.transactions.approvals import AskOwner, AwaitApproval, Decide
from kitestring.ledger.apply import claims, owner, questions, tokens
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.together import together
from kitestring.ledger.rows import APPROVAL, REQUEST, read_approval, read_request

_BY_ID: Final = f"SELECT {APPROVAL} FROM approvals WHERE service = ? AND approval_id = ?"
_OF_CALLER: Final = (
    "SELECT count(*) FROM approvals WHERE service = ? AND asked_at > ? AND (asked_at <= ? OR state = 'open')"
    " AND wire = ? AND target = ? AND caller = ? AND state <> 'approved'"
)
_OF_ALL: Final = (
    "SELECT count(*) FROM approvals WHERE service = ? AND asked_at > ? AND (asked_at <= ? OR state = 'open')"
    " AND wire = ? AND is_known = ?"
)
_WAITING: Final = (
    f"SELECT {REQUEST} FROM requests WHERE service = ? AND payment_id = ? AND finished_at IS NULL ORDER BY received_at"
)
#: What became a payment stays with it: it says who has decided. So does the yes to an app that manages offers, and what
#: somebody still waits for: a crash may lie between the decision and its answer.
_PRUNE: Final = """
DELETE FROM approvals WHERE approval IN (SELECT a.approval FROM approvals a
  WHERE a.service = ?1 AND a.asked_at < ?2 AND a.state <> 'open'
  AND NOT (a.state = 'approved' AND a.kind = 'manage') AND NOT EXISTS
    (SELECT 1 FROM payments p WHERE p.service = ?1 AND p.payment_id = a.approval_id)
  AND NOT EXISTS (SELECT 1 FROM requests r
    WHERE r.service = ?1 AND r.payment_id = a.approval_id AND r.finished_at IS NULL) LIMIT ?3)"""

AskAnswer = Claimed | Finished | Running | Stale | Denied


def ask_owner(batch: Batch, tx: AskOwner) -> AskAnswer:
    """Store a question in the place of the one that it replaces."""
    asked = tx.approval
    answer = _unclaimed(batch, tx.request, asked.caller) or _is_stale(batch, tx) or _beyond(batch, asked, tx.gate)
    if answer is None and claims.is_blocked(batch, asked.caller):
        answer = Denied(Reason.NOT_PERMITTED)
    if answer is None and tx.token is not None:
        answer = tokens.refuse(batch, tx.token, _amount(asked), asked.asked_at, (tx.replaces,))
    if answer is not None:
        return answer
    if tx.replaces:
        questions.end(batch, tx.replaces, ApprovalState.SUPERSEDED, asked.asked_at, tx.messages)
    batch.insert_request(tx.request, asked.approval_id)
    questions.insert(batch, asked, tx.request.grant_id)
    if tx.token is not None:
        tokens.take(batch, tx.token, asked.approval_id)
    return Claimed()


def await_approval(batch: Batch, tx: AwaitApproval) -> AskAnswer:
    """Let one more request wait for an open question."""
    asked = _look_up(batch, tx.approval_id)
    answer = _unclaimed(batch, tx.request, "" if asked is None else asked.caller)
    if answer is not None:
        return answer
    if asked is None or asked.state is not ApprovalState.OPEN:
        return Stale()
    if len(_waiting(batch, tx.approval_id)) >= MAX_WAITING:
        return Denied(Reason.RATE_LIMITED)
    batch.insert_request(tx.request, tx.approval_id)
    return Claimed()


def decide(batch: Batch, tx: Decide) -> DecisionStored | AlreadyDecided | Stale | Denied | Joined | AlreadyPaid:
    """End a question. With a payment its requests go on to wait for that; nothing else may be left waiting."""
    if tx.claim is not None and (tx.claim.payment.payment_id, tx.state) != (tx.approval_id, ApprovalState.APPROVED):
        raise KitestringError(Reason.INTERNAL, "only a yes pays, and what was asked for: nothing was stored")
    asked = _look_up(batch, tx.approval_id)
    if asked is None:
        return Denied(Reason.UNKNOWN_TARGET)
    if asked.state is not ApprovalState.OPEN:
        return AlreadyDecided(asked)
    if asked.version != tx.version:
        return Stale()
    if tx.state is ApprovalState.APPROVED and tx.now >= asked.expires_at:
        return Denied(Reason.UNDECIDED)
    if tx.state is ApprovalState.APPROVED and claims.is_blocked(batch, asked.caller):
        return Denied(Reason.NOT_PERMITTED)
    refusal: owner.Refusal | claims.ClaimRefusal | None = together(batch, _steps(batch, tx))
    if refusal is not None:
        return refusal
    words = (tx.decided_by, tx.decided_as, tx.decision)
    questions.end(batch, tx.approval_id, tx.state, tx.now, tx.messages, words, has_payment=tx.claim is not None)
    return DecisionStored(() if tx.claim is not None else _waiting(batch, tx.approval_id))


def _steps(batch: Batch, tx: Decide) -> Iterator[Callable[[], owner.Refusal | claims.ClaimRefusal | None]]:
    yield from owner.steps(batch, tx.writes, tx.now)
    if tx.claim is not None:
        yield partial(claims.claim_asked, batch, tx.claim)


def _unclaimed(batch: Batch, request: Request, caller: str) -> Finished | Running | Denied | None:
    known = batch.known(request.request_id)
    if known is None and batch.is_too_old(request, caller=caller):
        return Denied(Reason.STALE_REQUEST)
    return known


def _is_stale(batch: Batch, tx: AskOwner) -> Stale | None:
    asked = tx.approval
    if questions.open_one(batch, asked) != tx.replaces:
        return Stale()
    waiting = _waiting(batch, tx.replaces) if tx.replaces else ()
    replies = {message.request_id for message in tx.messages if message.kind == REPLY}
    return None if {request.request_id for request in waiting} == replies else Stale()


def _beyond(batch: Batch, asked: Approval, gate: PromptGate) -> Denied | None:
    """The refusal where too many questions came lately. One that replaces another disturbs as much, and counts."""
    times = (batch.service, gate.since, asked.asked_at)  # a clock that was ahead once closes it to nobody
    of_caller = batch.execute(_OF_CALLER, (*times, asked.wire, asked.target, asked.caller)).fetchone()[0]
    of_all = batch.execute(_OF_ALL, (*times, asked.wire, int(asked.is_known))).fetchone()[0]
    return Denied(Reason.RATE_LIMITED) if of_caller >= gate.of_caller or of_all >= gate.of_all else None


def _amount(asked: Approval) -> int:
    """The amount in msat that a token has to be good for."""
    command = thaw(asked.command)
    return int(command.payment.amount_msat) if isinstance(command, Debit) and command.payment is not None else 0


def _look_up(batch: Batch, approval_id: str) -> Approval | None:
    row = batch.execute(_BY_ID, (batch.service, approval_id)).fetchone()
    return None if row is None else read_approval(row)


def _waiting(batch: Batch, approval_id: str) -> tuple[Request, ...]:
    return tuple(read_request(row) for row in batch.execute(_WAITING, (batch.service, approval_id)).fetchall())


def prune(batch: Batch, before: int, limit: int) -> int:
    """Forget questions that ended without a payment, asked before ``before``; tells how many."""
    return batch.execute(_PRUNE, (batch.service, before, limit)).rowcount
