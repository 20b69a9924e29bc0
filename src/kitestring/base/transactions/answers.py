"""Answers of a store to a transaction, and the type that names them.

Whoever applies a transaction and forgets one of its answers does not pass the type checker.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from kitestring.base.approvals import Approval
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.records import Message, OwnInvoice, Payment, Request


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """This caller owns the request now."""


class Finished(msgspec.Struct, frozen=True):
    """The request was answered before; these are the stored answers (the reply first, a receipt if there is one)."""

    messages: tuple[Message, ...]


class Running(msgspec.Struct, frozen=True, gc=False):
    """The request is claimed and unanswered; whoever claimed it will answer."""


class Stale(msgspec.Struct, frozen=True, gc=False):
    """Decided on an old grant, or the internal invoice is not what it was: load again and decide again."""


class Denied(msgspec.Struct, frozen=True, gc=False):
    """``remaining_msat``: what would have fitted (budget or balance), when that is known. Where budgets are in the way,
    ``budget_id`` is the one of the grant that has the least left. ``reserved_msat``: what payments under way hold of
    the same account, where its balance is in the way."""

    reason: Reason
    remaining_msat: Msat | None = None
    budget_id: int = 0
    reserved_msat: Msat | None = None


class Joined(msgspec.Struct, frozen=True):
    """The same grant is paying this hash already: the request waits for that payment and gets its answer."""

    payment: Payment


class AlreadyPaid(msgspec.Struct, frozen=True):
    """The same grant has paid this hash: answer with its preimage."""

    payment: Payment


class Recorded(msgspec.Struct, frozen=True):
    """``unanswered``: requests that wait for this payment and were not among the messages. ``payment``: what
    ResolvePayment made of it; the other transactions do not read it again."""

    payment: Payment | None = None
    unanswered: tuple[Request, ...] = ()
    overdrawn: bool = False


class Done(msgspec.Struct, frozen=True, gc=False):
    """It is in the ledger."""


class More(msgspec.Struct, frozen=True, gc=False):
    """A part is done, so that payments need not wait for it; apply the same value again for the rest."""


class Unstored(msgspec.Struct, frozen=True, gc=False):
    """The request is never claimed any more, and its reply is not kept, for there are too many: whoever applied it says
    it, once."""


class DecisionStored(msgspec.Struct, frozen=True):
    """The owner's decision is in the ledger. ``unanswered``: requests that waited for it and were not among the
    messages, where nothing else will answer them."""

    unanswered: tuple[Request, ...] = ()


class AlreadyDecided(msgspec.Struct, frozen=True, gc=False):
    """It had ended before, as it is here; nothing was changed."""

    approval: Approval


class InvoiceNotOpen(msgspec.Struct, frozen=True, gc=False):
    """Our own invoice was settled or cancelled meanwhile, or is to be; the internal payment did not happen."""


class Credited(msgspec.Struct, frozen=True):
    """Booked. ``invoice`` is the settled one, None where the money is the owner's."""

    invoice: OwnInvoice | None
    surplus: bool = False


class AlreadyCredited(msgspec.Struct, frozen=True, gc=False):
    """The same settlement was booked before; only the cursor has moved."""


class NotCredited(msgspec.Struct, frozen=True, gc=False):
    """The amount cannot be true (nothing, less, or more than there is): an alarm tells it, and the cursor has moved."""


A_co = TypeVar("A_co", covariant=True)


class Tx(msgspec.Struct, Generic[A_co], frozen=True):
    """A value that a store applies in one commit, with its answers."""
