"""The shares of every caller in what all of them use: one table, made from the settings and from the node.

Whoever asks for more is told RATE_LIMITED by every wire, and when to come again. It is decided in the transaction that
takes the place (:mod:`kitestring.base.shares` says by which rule), so no restart and no race lets anybody have more.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import Reason
from kitestring.base.node import Capabilities
from kitestring.base.outcomes import Refused
from kitestring.base.shares import Share, others_share, owners_share
from kitestring.engine.limits import Limits

#: Seconds after which somebody whose share is full asks again: that is how often open invoices are looked through.
TRY_AGAIN_S: Final = 60


class ShareTable:
    """The shares in one service."""

    def __init__(self, limits: Limits, can: Capabilities) -> None:
        slots = min(limits.open_payments, can.payment_slots or limits.open_payments)
        self._owners_payments: Final = owners_share(slots)
        self._payments: Final = others_share(slots, limits.open_payments_per_connection)

    def payments(self, grant_id: str) -> Share:
        """Payments under way at the node."""
        return self._owners_payments if grant_id == OWNER_GRANT else self._payments


def full(message: str, now: int) -> Refused:
    """The refusal to somebody whose share is full."""
    return Refused(Reason.RATE_LIMITED, message, {"retry_after": now + TRY_AGAIN_S})
