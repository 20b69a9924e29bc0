"""Writes of the owner's commands, and what apps and enrolled keys may write of it."""

from __future__ import annotations

import msgspec

from kitestring.base.approvals import Approval, Block, DebitSession
from kitestring.base.enrolments import Enrolment
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.money import Msat
from kitestring.base.records import Message, NodeView, Request
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Running, Stale, Tx


class SaveGrant(msgspec.Struct, frozen=True):
    """Insert a grant, or replace it when ``grant.version`` is the stored one + 1."""

    grant: Grant


class SaveAccount(msgspec.Struct, frozen=True):
    """Insert an account, or change its name, and nothing else of it. Denied as CONFLICT where another account of the
    owner has this name."""

    account: Account


class CloseAccount(msgspec.Struct, frozen=True):
    """Close a sub-account forever. Stale where something of it is open: money, a payment, an invoice that may be paid,
    a grant, an offer."""

    account_id: str
    now: int


class SaveOffer(msgspec.Struct, frozen=True):
    """Insert or replace an offer. With another webhook, what waits to be told there is due at once."""

    offer: Offer


class CheckOffer(msgspec.Struct, frozen=True):
    """Look at an offer before it is written, and write nothing: what comes after it is Stale where the offer is not
    ``before`` (None = there is none) any more, or the pointer that it is managed over has ended.

    A new one is denied as OVER_BUDGET where its ``creator`` has ``most`` over this pointer, or has deleted
    ``most_deleted``.
    """

    offer_id: str
    before: Offer | None
    pointer_id: str
    creator: str
    most: int
    most_deleted: int


class EndOffers(msgspec.Struct, frozen=True):
    """Delete all standing offers that ``creator`` has made over a pointer, "" = whoever has made one over it."""

    pointer_id: str
    creator: str = ""


class Transfer(msgspec.Struct, frozen=True):
    """Move credit between accounts (funding a sub-account from the owner needs ``view``). Denied when not covered, and
    while spending is stopped unless it goes back to the owner. Of a closed account it goes back to the owner alone, and
    from him comes no more than covers what it is overdrawn by."""

    transfer_id: str
    from_account: str
    to_account: str
    amount_msat: Msat
    note: str
    now: int
    view: NodeView | None = None


class SendAgain(msgspec.Struct, frozen=True):
    """Have deliveries to webhooks tried again from the start, whatever became of them (``invoice_ids`` are theirs).
    Denied as UNKNOWN_TARGET where there is no such one."""

    invoice_ids: tuple[str, ...]


class SaveBlock(msgspec.Struct, frozen=True):
    """Block a public key, or (``block`` None) unblock it. What was decided about it just before is denied."""

    caller: str
    block: Block | None


class SaveSession(msgspec.Struct, frozen=True):
    """Make a session. Denied as ALREADY_USED where there is such a one."""

    session: DebitSession


class SaveQuestion(msgspec.Struct, frozen=True):
    """Store a question to the owner that no request waits for, in the place of the one that is open for the same caller
    at the same target."""

    approval: Approval


Write = (
    SaveGrant
    | SaveAccount
    | CloseAccount
    | SaveOffer
    | CheckOffer
    | EndOffers
    | SendAgain
    | SaveBlock
    | SaveSession
    | SaveQuestion
    | Transfer
)


class ManageOffers(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Claim the request of an app that changes its offers, do all ``writes`` or none, and store the reply.

    ``grant_id`` is the row by which ``caller`` may do it, in the version that this was decided on: Stale otherwise, and
    where that has ended. "" where it is its own account. Denied as NOT_PERMITTED for a blocked caller.
    """

    request: Request
    caller: str
    grant_id: str
    grant_version: int
    writes: tuple[Write, ...]
    message: Message


class EnrollKey(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Claim a request that enrolls a key, with all rows of its account and the reply in ``message``: all or nothing.

    Stale where the key has an account already. Denied as NOT_PERMITTED for a key that the owner has blocked, as
    OVER_BUDGET where there are ``max_accounts`` of enrolled keys.
    """

    request: Request
    enrolment: Enrolment
    message: Message
    max_accounts: int


class Execute(Tx[Claimed | Finished | Running | Denied | Stale], frozen=True):
    """One owner's command: claim its idempotency key, do all writes or none, store the result in ``message``. Running:
    a payment or an invoice has claimed the key and is not answered yet; nothing was done."""

    request: Request
    writes: tuple[Write, ...]
    message: Message
