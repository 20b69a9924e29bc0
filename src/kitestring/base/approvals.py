"""Questions to the owner: a request that policy answers with *Ask*, until the one decision about it.

No payment exists before the decision; the request itself is claimed and unanswered all the while. What was shown is
what is decided: a row never changes but once, when it ends.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from kitestring.base.budgets import Budget
from kitestring.base.grants import Account, Grant
from kitestring.base.money import ZERO, Msat

#: Seconds that the owner has to decide.
DECIDE_WITHIN_S: Final = 600
#: Seconds over which questions to the owner are counted.
GATE_S: Final = 600
#: Requests that may wait for one question: those of a client that sends it anew.
MAX_WAITING: Final = 5
#: Seconds for which who was not approved is answered again when its request comes again: no age window is wider, by
#: either clock.
REFUSED_S: Final = 600
#: Questions that ended without a yes and are kept to be looked at: the newest of all strangers, and as many of known
#: keys. More are never listed.
MAX_REFUSED: Final = 1_000
#: Keys that may be blocked, about 100 bytes each.
MAX_BLOCKED: Final = 10_000


class ApprovalKind(StrEnum):
    """The kinds of things that an owner is asked for."""

    PAYMENT = "payment"  # one payment
    BUDGET = "budget"  # the right to pay without asking; without a limit where none is named
    MANAGE = "manage"  # the right to make offers
    CONNECTION = "connection"  # a connection for an app


class ApprovalState(StrEnum):
    """Whether it still waits, and how it ended."""

    OPEN = "open"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"  # nobody decided in time
    SUPERSEDED = "superseded"  # the same caller has asked for something else since


class Approval(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One question to the owner. Its id becomes that of the payment, where one follows.

    ``caller`` (a public key) asks over ``wire``, about ``target`` (what it spoke to there: the id of a pointer, or
    of the connection by which it asks for one more);
    ``command`` is the frozen command that the decision is about. ``is_known``: the caller had a grant there or an
    approved payment, so that it stands outside of the gate for strangers. Times are Unix seconds.

    ``decided_by`` is the grant of whoever decided, "" for the clock or the caller itself; ``decision`` is what was
    decided, for people; ``decided_as`` the id of the owner's command that did it.
    """

    approval_id: str
    kind: ApprovalKind
    wire: str
    caller: str
    target: str
    command: bytes
    asked_at: int
    expires_at: int
    is_known: bool = False
    version: int = 1
    state: ApprovalState = ApprovalState.OPEN
    decided_at: int | None = None
    decided_by: str = ""
    decided_as: str = ""
    decision: str = ""


#: Of an id of a question, its end is that of the connection: so a decision that is repeated finds what it made.
CONNECTION_ID_CHARS: Final = 16


def connection_id(asked: Approval) -> str:
    """The id of the connection that a question leads to."""
    return asked.approval_id[-CONNECTION_ID_CHARS:]


class Ruling(StrEnum):
    """The owner's answers to a question."""

    AS_ASKED = "as_asked"  # the payment, or the budget as it was asked for; full access is never given by this word
    BUDGET = "budget"  # a budget of the owner's own, whose first charge is the payment, if one was asked for
    ALWAYS = "always"  # without any limit
    DENY = "deny"
    BLOCK = "block"  # deny, and refuse whatever this key asks for from now on


class OwnersWord(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of the owner. ``version`` is that of the question as it was shown. ``budget`` belongs to the verdict
    of that name; ``note`` is kept with a block. ``by`` is the grant of whoever decides, ``key`` the id of the command,
    so that the same command told twice gets the same answer. To a question for a connection belongs the ``grant`` that
    the app gets, and the ``account`` that is made for it, if any."""

    approval_id: str
    version: int
    verdict: Ruling
    budget: Budget | None = None
    note: str = ""
    by: str = ""
    key: str = ""
    grant: Grant | None = None
    account: Account | None = None


class PromptGate(msgspec.Struct, frozen=True, gc=False):
    """The number of questions that may have come over one wire after ``since`` (Unix seconds): of one caller at one
    target, and of all that are known, or of all that are not. So strangers, whose keys cost nothing, close it to
    strangers alone, over that wire. What was approved does not count for its caller: it was welcome."""

    since: int
    of_caller: int
    of_all: int


class Token(msgspec.Struct, frozen=True, gc=False):
    """A word that is good once within its ``scope`` (the id of a pointer). ``minted``: only if we have made it."""

    scope: str
    value: str
    minted: bool = False


class DebitSession(msgspec.Struct, frozen=True, gc=False):
    """A token that we have made: whoever shows it may take once between ``min_msat`` and ``max_msat``, until
    ``expires_at`` (Unix seconds). ``holder`` is the payment or the approval that has it, "" while it is free."""

    scope: str
    value: str
    min_msat: Msat
    max_msat: Msat
    expires_at: int
    minted_at: int
    holder: str = ""


class Block(msgspec.Struct, frozen=True, gc=False):
    """A public key that is refused whatever it asks for, since ``at`` (Unix seconds)."""

    caller: str
    at: int
    note: str = ""


class Dealings(msgspec.Struct, frozen=True, gc=False):
    """The past of a public key here: settled payments, what they cost, and when the last one was made; ``is_approved``
    when the owner has said yes to one of them."""

    payments: int = 0
    cost_msat: Msat = ZERO
    last_at: int | None = None
    is_approved: bool = False
