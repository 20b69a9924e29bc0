"""The states of an incoming invoice and the steps between them: one table.

The node is asked first; then one transaction stores the invoice, its request and the reply. A crash in between leaves
an invoice at the node whose text nobody has seen: nobody can pay it, and the same request makes another one. So one
commit is enough where a payment needs two: nothing is spent by asking for an invoice twice.

The payment of a hold invoice waits: it is ``accepted`` until whoever made the invoice settles or cancels it. What they
have decided is stored before the node is told, and never changes. The payer may be a node outside, or somebody in this
service; then nothing is held at the node, and the payment stays reserved.

Money may arrive in any state but ``settled``: a node may take a payment of an invoice that we call expired. Only the
node's word ends an invoice; what it settled is credited. One of a node that is gone is left aside, not ended: nothing
of it is forgotten, it settles like any other, and it is asked about as soon as its node is back. The database keeps to
the table as well.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

#: Those with whom all open invoices are counted, and all that strangers have asked of offers.
EVERYBODY: Final = "@all"
STRANGERS: Final = "@offers"
#: Invoices of one connection that have ended unpaid: so many of the newest are kept, and any for so many seconds after
#: its expiry. An app may ask for more than a hundred thousand a day, each some 11 kB with its request and its answer.
MAX_UNPAID: Final = 5_000
KEEP_UNPAID_S: Final = 3_600
#: What the names of an offer, and of a payer of one, begin with.
OFFER: Final = "offer:"
PAYER: Final = "payer:"


class InvoiceState(StrEnum):
    """The life of one incoming invoice."""

    OPEN = "open"  # waits for a payer
    ACCEPTED = "accepted"  # its payment is held, and waits for a decision
    SETTLED = "settled"
    EXPIRED = "expired"  # the node has said that it is unpaid
    CANCELED = "canceled"  # somebody has decided so, or the node has given back what it held
    LEFT = "left"  # past its expiry, of a node on which the service does not stand: nobody can be asked about it


TRANSITIONS: Final[dict[InvoiceState, frozenset[InvoiceState]]] = {
    InvoiceState.OPEN: frozenset(
        {
            InvoiceState.ACCEPTED,
            InvoiceState.SETTLED,
            InvoiceState.EXPIRED,
            InvoiceState.CANCELED,
            InvoiceState.LEFT,
        }
    ),
    InvoiceState.ACCEPTED: frozenset({InvoiceState.SETTLED, InvoiceState.CANCELED}),
    InvoiceState.LEFT: frozenset({InvoiceState.SETTLED, InvoiceState.OPEN}),  # open: the service stands there again
    InvoiceState.EXPIRED: frozenset({InvoiceState.SETTLED}),
    InvoiceState.CANCELED: frozenset({InvoiceState.SETTLED}),
    InvoiceState.SETTLED: frozenset(),
}


#: States in which an invoice has its place among those that are bounded by shares.
WAITING: Final = frozenset({InvoiceState.OPEN, InvoiceState.ACCEPTED})


class Decision(StrEnum):
    """The decision about a hold invoice, or the one that an ordinary invoice is to be cancelled: once, for good."""

    NONE = ""
    SETTLE = "settle"
    CANCEL = "cancel"


def holders(grant_id: str, offer_id: str, payer: str) -> tuple[str, ...]:
    """The names under which an invoice that waits counts, each one among those of the next: the connection's and
    everybody; without one, the payer's (if it is known), the offer's, strangers together, and everybody."""
    if grant_id:
        return grant_id, EVERYBODY
    known = (PAYER + payer,) if payer else ()
    return *known, OFFER + offer_id, STRANGERS, EVERYBODY
