"""The request rates of this service: which bucket each kind of caller drinks from."""

from __future__ import annotations

from typing import Final

from kitestring.app.config import Limits
from kitestring.base.commands import Refused
from kitestring.base.errors import Reason
from kitestring.policy.rates import Limiter, Rate, take_all

#: A reply to a message nobody can read helps once; more of them would be an echo for strangers.
UNDECRYPTABLE: Final = Rate(1, 1)
#: One payer asking one offer; the other payers of the offer are not held up by it.
OFFER_PER_AUTHOR: Final = Rate(30, 30)
TOGETHER: Final = ""


class Rates:
    """Token buckets in memory, bounded; what a restart forgets is at most one burst."""

    def __init__(self, limits: Limits) -> None:
        self._requests = Limiter(_rate(limits.requests_per_min))
        self._payments = Limiter(_rate(limits.payments_per_min))
        self._author = Limiter(OFFER_PER_AUTHOR)
        self._offer = Limiter(_rate(limits.offer_requests_per_min))
        self._offers = Limiter(_rate(limits.all_offers_requests_per_min))
        self._undecryptable = Limiter(UNDECRYPTABLE)

    def connection(self, grant_id: str, is_payment: bool, now_ms: int) -> Refused | None:
        """One request of a connection; a payment counts on both scales."""
        limits = [(self._requests, grant_id)]
        if is_payment:
            limits.append((self._payments, grant_id))
        return _refused(take_all(limits, now_ms))

    def offer(self, author: str, offer_id: str, now_ms: int) -> Refused | None:
        """A stranger's request: per author, per offer, and all together."""
        return _refused(take_all(((self._author, author), (self._offer, offer_id), (self._offers, TOGETHER)), now_ms))

    def undecryptable(self, grant_id: str, now_ms: int) -> bool:
        return self._undecryptable.take(grant_id, now_ms) == 0


def _rate(per_minute: int) -> Rate:
    """A burst of one minute's worth: fifty payments at once are normal for an agent."""
    return Rate(per_minute, per_minute)


def _refused(wait_ms: int) -> Refused | None:
    if not wait_ms:
        return None
    return Refused(Reason.RATE_LIMITED, f"too many requests: try again in {-(-wait_ms // 1000)} s")
