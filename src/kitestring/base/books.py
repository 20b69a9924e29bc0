"""The owner's view of the books: what of them is asked for, and how each entry stands."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from kitestring.base.records import OwnInvoice, Payment

#: One payment out, or one invoice.
BookEntry = Payment | OwnInvoice


class BookState(StrEnum):
    """The state of an entry as the owner sees it, who is told more than an app."""

    PENDING = "pending"
    ACCEPTED = "accepted"  # an invoice alone: paid, and held until somebody settles or cancels it
    UNKNOWN = "unknown"  # a payment alone: nobody knows its end yet
    RESOLVED = "resolved"  # a payment alone: closed by the owner's word, without proof
    SETTLED = "settled"
    FAILED = "failed"  # a payment alone
    EXPIRED = "expired"  # an invoice alone
    CANCELED = "canceled"  # an invoice alone


OF_PAYMENTS: Final = frozenset(
    {BookState.PENDING, BookState.UNKNOWN, BookState.RESOLVED, BookState.SETTLED, BookState.FAILED}
)
OF_INVOICES: Final = frozenset(
    {BookState.PENDING, BookState.ACCEPTED, BookState.SETTLED, BookState.EXPIRED, BookState.CANCELED}
)


class BookPlace(msgspec.Struct, frozen=True, gc=False):
    """A place in the list, right behind one entry: when that was made (Unix seconds), and its number in the ledger."""

    made_at: int
    number: int


class BookQuery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Wishes for a list, the newest first. ``since`` and ``until`` are inclusive Unix seconds at which one was made
    (``until`` 0 = any time). ``direction`` is "", "incoming" or "outgoing". ``states`` are wanted alone. ``search`` is
    looked for in descriptions, in what a payer has told, and in why a payment failed, whatever its case in ASCII.
    ``after`` goes on behind an entry."""

    states: frozenset[BookState] = frozenset({BookState.SETTLED})
    direction: str = ""
    since: int = 0
    until: int = 0
    account_id: str = ""
    grant_id: str = ""
    offer_id: str = ""
    search: str = ""
    limit: int = 20
    offset: int = 0
    after: BookPlace | None = None


class BookPage(msgspec.Struct, frozen=True, gc=False):
    """A page of entries. ``next`` is where the list goes on, None at its end. With ``is_cut`` the page may have fewer
    entries than were asked for, because a store looks through a bounded number at once."""

    entries: tuple[BookEntry, ...]
    next: BookPlace | None = None
    is_cut: bool = False
