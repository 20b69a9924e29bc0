"""The shares of every caller in what all of them use: one table, made from the settings and from the node.

Whoever asks for more is told RATE_LIMITED by every wire, and when to come again. It is decided in the transaction that
takes the place (:mod:`kitestring.base.shares` says by which rule), so no restart and no race lets anybody have more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import Reason
from kitestring.base.invoices import EVERYBODY, OFFER, PAYER, STRANGERS, holders
from kitestring.base.node import Capabilities
from kitestring.base.outcomes import Refused
from kitestring.base.shares import Share, have_room, others_share, owners_share
from kitestring.base.store import Places
from kitestring.engine.limits import Limits

#: Unpaid invoices of one offer at the same time (each a row of about 1 kB, looked at once a minute): far more payers
#: than stand at one till within an hour, and strangers cannot fill the disk.
MAX_OPEN_PER_OFFER: Final = 1_000
#: Seconds after which somebody whose share is full asks again: that is how often open invoices are looked through.
TRY_AGAIN_S: Final = 60


class ShareTable:
    """The shares in one service."""

    def __init__(self, limits: Limits, can: Capabilities) -> None:
        slots = min(limits.open_payments, can.payment_slots or limits.open_payments)
        self._owners_payments: Final = owners_share(slots)
        self._payments: Final = others_share(slots, limits.open_payments_per_connection)
        total = limits.all_open_invoices
        self._owners_invoices: Final = owners_share(total)
        self._invoices: Final = others_share(total, limits.open_invoices)
        within = others_share(0, MAX_OPEN_PER_OFFER)
        self._offers: Final = (within, within, others_share(total, 0))

    def payments(self, grant_id: str) -> Share:
        """Payments under way at the node."""
        return self._owners_payments if grant_id == OWNER_GRANT else self._payments

    def invoices(self, names: Sequence[str]) -> tuple[Share, ...]:
        """Invoices that wait for a payer: the shares of these holders (:func:`kitestring.base.invoices.holders`)."""
        if STRANGERS in names:
            return self._offers[1 - len(names) :]
        return (self._owners_invoices if names[0] == OWNER_GRANT else self._invoices,)

    def full(self, places: Places) -> list[Full]:
        """The holders that have no more room, by what they hold: the one with the most of it first."""
        payments, invoices = places.payments, places.invoices
        in_all = sum(payments.values())
        found = [
            Full(grant_id, "payments", own)
            for grant_id, own in payments.items()
            if not self.payments(grant_id).has_room(own, in_all)
        ]
        found += [
            Full(names[0], "invoices", invoices[names[0]])
            for names in map(_around, invoices)
            if names and not have_room(self.invoices(names), [invoices.get(name, 0) for name in names])
        ]
        return sorted(found, key=lambda one: (one.what, -one.number, one.holder))


class Full(msgspec.Struct, frozen=True, gc=False):
    """A holder (a grant, or one of the names of open invoices) whose share of ``what`` has no more room."""

    holder: str
    what: str
    number: int


def _around(name: str) -> tuple[str, ...]:
    """A connection or an offer with the holders around it, () for all others: a payer is nobody that one knows."""
    if name.startswith(OFFER):
        return holders("", name.removeprefix(OFFER), "")
    return () if name in {EVERYBODY, STRANGERS} or name.startswith(PAYER) else holders(name, "", "")


def full(message: str, now: int) -> Refused:
    """The refusal to somebody whose share is full."""
    return Refused(Reason.RATE_LIMITED, message, {"retry_after": now + TRY_AGAIN_S})
