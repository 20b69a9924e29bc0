"""The phases of one outgoing payment, each a type with what is known in it.

    claimed, ours      Moving ──────────────────────────────┐
    claimed, theirs    Sending <─ Looking ───┬──────────────┤
    stored row         Stored ─┬─> Moving    │              ├─> Ended
                               └─> Seeking <─┘ ─┬───────────┤
                                    │  ^────────┘           │
                                    └─> Watching ───────────┘

``Ended`` is reached through transaction 2 alone, or when a payment is left to the node it belongs to. A crash in any
phase leaves the row of transaction 1, and the next start begins with ``Stored``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

from kitestring.base.payments import Failed, LookupAnswer, NeverSeen
from kitestring.base.records import Payment
from kitestring.engine.context import Context
from kitestring.engine.orders import Orders


class Moving(msgspec.Struct, frozen=True, gc=False):
    """Our own invoice, or the node's own key: both sides move in one transaction, no order exists at any node. A hold
    invoice is waited for first."""


class Sending(msgspec.Struct, frozen=True, gc=False):
    """An order of this payment is being given to the node, right after its claim: the only one there is, or, where
    ``seen`` is what the node said before it, one beside those that a forgotten life may have left on their way."""

    seen: NeverSeen | Failed | None = None


class Looking(msgspec.Struct, frozen=True, gc=False):
    """Claimed just now, but asked for before this life: what an earlier one has paid of it is looked for first. A *no*
    that was told is known to the witness, a payment only to the node."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """All that is known is the stored row: the process that claimed it is gone, or what it did broke off."""


@dataclass(slots=True)
class Seeking:
    """An order may have reached the node, whose last word was ``answer``. It is asked until its word is final."""

    orders: Orders
    answer: LookupAnswer


@dataclass(slots=True)
class Watching:
    """The operator has closed it: nothing is sent any more, and only its late truth is looked for."""

    answer: LookupAnswer


class Ended(msgspec.Struct, frozen=True, gc=False):
    """Nothing more is to be done here."""


Phase = Moving | Sending | Looking | Stored | Seeking | Watching | Ended


class Word(Enum):
    """The operator's word about a payment of unknown outcome."""

    NONE = "none"
    COMING = "coming"  # on its way into the ledger: from now on nothing is sent
    GIVEN = "given"


def first_phase(context: Context, payment: Payment, sent_at: int) -> Phase:
    """Begin with a look at the node where an earlier life may have paid it; where nobody knows what that life has
    told, as with a stored payment."""
    if payment.internal:
        return Moving()
    if context.earlier.may_have_answered(sent_at):
        return Stored()
    return Looking() if context.earlier.came_before(sent_at) else Sending()
