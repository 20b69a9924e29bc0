"""The states of an incoming invoice and the steps between them: one table.

An invoice is made in two transactions, like a payment. The first claims the request and stores the invoice as
``creating``, with the hash and the preimage if we draw them ourselves; then the node is asked; the second stores the
node's text and makes it ``open``. A crash in between leaves ``creating``: the next start asks the node again, with our
own preimage for the same invoice.

Money may arrive in any state but ``settled``: the node's stream may overtake the second transaction, and a node may
take a payment of an invoice that we call expired. Only the node's word ends an invoice; what it settled is credited.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class InvoiceState(StrEnum):
    """The life of one incoming invoice."""

    CREATING = "creating"  # claimed; the node may not know it yet
    OPEN = "open"  # waits for a payer
    SETTLED = "settled"
    EXPIRED = "expired"  # the node has said that it is unpaid
    CANCELED = "canceled"


TRANSITIONS: Final[dict[InvoiceState, frozenset[InvoiceState]]] = {
    InvoiceState.CREATING: frozenset({InvoiceState.OPEN, InvoiceState.SETTLED}),
    InvoiceState.OPEN: frozenset({InvoiceState.SETTLED, InvoiceState.EXPIRED, InvoiceState.CANCELED}),
    InvoiceState.EXPIRED: frozenset({InvoiceState.SETTLED}),
    InvoiceState.CANCELED: frozenset({InvoiceState.SETTLED}),
    InvoiceState.SETTLED: frozenset(),
}

#: States in which somebody may be about to pay: they count against the limits, and their requests are kept.
AWAITED: Final = frozenset({InvoiceState.CREATING, InvoiceState.OPEN})


def may_become(before: InvoiceState, after: InvoiceState) -> bool:
    """Whether the table leads from ``before`` to ``after``."""
    return after in TRANSITIONS[before]
