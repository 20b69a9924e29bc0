"""Questions that the owner is asked, and the owner's decisions."""

from __future__ import annotations

from kitestring.base.approvals import Approval, ApprovalState, PromptGate, Token
from kitestring.base.records import Message, Request
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
    Tx,
)
from kitestring.base.transactions.owner import Write
from kitestring.base.transactions.payments import ClaimPayment


class AskOwner(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Claim a request that has to wait for the owner's decision, and store the question.

    ``replaces`` is the open question of the same caller at the same target, "" for none: it is superseded, and
    ``messages`` are the replies to all requests that waited for it, with whatever else is to be told. Stale where that
    is not how it is any more.
    Beyond the ``gate`` it is denied as RATE_LIMITED. The ``token`` is held until it is decided.
    """

    request: Request
    approval: Approval
    gate: PromptGate
    replaces: str = ""
    messages: tuple[Message, ...] = ()
    token: Token | None = None


class AwaitApproval(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Claim a request that asks for the same as an open question: it gets the same answer. Stale: that has ended.
    Denied as RATE_LIMITED where :data:`~kitestring.base.approvals.MAX_WAITING` wait for it already."""

    request: Request
    approval_id: str


class Decide(Tx[DecisionStored | AlreadyDecided | Stale | Denied | Joined | AlreadyPaid], frozen=True):
    """End an open question, once: everything of it in one commit, or nothing.

    ``version`` is that of the question as whoever decides has seen it. ``writes`` are done first (the grant that it
    makes). ``claim`` is the payment that was asked for, whose id is the question's: charged, covered and claimed as of
    now, and every request that waits goes on to wait for it; for anything but Claimed nothing is decided. Without a
    ``claim`` the ``messages`` are the replies to the requests that wait; without a yes these are refusals from then on,
    kept for :data:`~kitestring.base.approvals.REFUSED_S`, and so are those that are answered later.

    A ``claim`` of another payment, or where the ``state`` is not approved, raises KitestringError(INTERNAL).
    """

    approval_id: str
    version: int
    state: ApprovalState
    now: int
    decided_by: str = ""
    decided_as: str = ""
    decision: str = ""
    writes: tuple[Write, ...] = ()
    claim: ClaimPayment | None = None
    messages: tuple[Message, ...] = ()
