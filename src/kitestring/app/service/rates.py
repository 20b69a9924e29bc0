"""The request rates of this service: which bucket each kind of caller drinks from, and how often one is told so."""

from __future__ import annotations

from typing import Final

from kitestring.app.home.config import RequestRates
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.base.ports import Clock
from kitestring.policy.rates import Limiter, Rate, take_all

#: A reply to a message nobody can read helps once; more of them would be an echo for strangers.
UNDECRYPTABLE: Final = Rate(1, 1)
#: One payer asking one offer; the other payers of the offer are not held up by it.
OFFER_PER_AUTHOR: Final = Rate(30, 30)
#: "Too many requests", per caller: one in five seconds is enough to be understood, the rest is silence.
RATE_REFUSALS: Final = Rate(12, 1)
#: "Too old" to one connection: what a relay has kept over an outage must not use up what new requests need.
STALE_REFUSALS: Final = Rate(60, 60)
#: Refusals of strangers' requests that meet no offer's bucket, all together: each costs a signature and a publication,
#: and keys of strangers are free.
STRANGER_REFUSALS: Final = Rate(600, 600)
TOGETHER: Final = ""

_Bucket = tuple[Limiter | None, str]


class Rates:
    """Token buckets in memory, bounded; what a restart forgets is at most one burst."""

    def __init__(self, rates: RequestRates, clock: Clock) -> None:
        self._clock = clock
        self._requests = _limiter(rates.requests_per_min)
        self._payments = _limiter(rates.payments_per_min)
        self._author = Limiter(OFFER_PER_AUTHOR)
        self._offer = _limiter(rates.offer_requests_per_min)
        self._offers = _limiter(rates.all_offers_requests_per_min)
        self._undecryptable = Limiter(UNDECRYPTABLE)
        self._rate_refusals = Limiter(RATE_REFUSALS)
        self._stale_refusals = Limiter(STALE_REFUSALS)
        self._stranger_refusals = Limiter(STRANGER_REFUSALS)

    # ------------------------------------------------------------ connections

    def request(self, grant_id: str) -> Refused | None:
        """Any request of a connection, well-formed or not."""
        return self._take((self._requests, grant_id))

    def payment(self, grant_id: str) -> Refused | None:
        """On top of :meth:`request`."""
        return self._take((self._payments, grant_id))

    def may_tell_limit(self, grant_id: str) -> bool:
        """Whether RATE_LIMITED is answered now; otherwise silence."""
        return self._take((self._rate_refusals, grant_id)) is None

    def may_tell_stale(self, grant_id: str) -> bool:
        return self._take((self._stale_refusals, grant_id)) is None

    def may_tell_undecryptable(self, grant_id: str) -> bool:
        return self._take((self._undecryptable, grant_id)) is None

    # ------------------------------------------------------------ strangers

    def offer(self, author: str, offer_id: str) -> Refused | None:
        """A stranger's request: per author, per offer, and all together."""
        return self._take((self._author, author), (self._offer, offer_id), (self._offers, TOGETHER))

    def may_tell_stranger(self, author: str) -> bool:
        """Whether a request that reaches no offer (unreadable JSON, version, age) is answered now."""
        return self._take((self._author, author), (self._stranger_refusals, TOGETHER)) is None

    def may_tell_stranger_limit(self, author: str) -> bool:
        return self._take((self._rate_refusals, author), (self._stranger_refusals, TOGETHER)) is None

    def _take(self, *buckets: _Bucket) -> Refused | None:
        if len(buckets) == 1:
            limiter, key = buckets[0]
            wait_ms = limiter.take(key, int(self._clock.monotonic() * 1000)) if limiter is not None else 0
            return self._wait(wait_ms) if wait_ms else None
        limits = [(limiter, key) for limiter, key in buckets if limiter is not None]
        wait_ms = take_all(limits, int(self._clock.monotonic() * 1000))
        return self._wait(wait_ms) if wait_ms else None

    def _wait(self, wait_ms: int) -> Refused:
        wait_s = -(-wait_ms // 1000)
        details = {"retry_after": self._clock.now() + wait_s}
        return Refused(Reason.RATE_LIMITED, f"too many requests: try again in {wait_s} s", details)


def _limiter(per_minute: int) -> Limiter | None:
    """A burst of one minute's worth: fifty payments at once are normal for an agent. 0 = no limit."""
    return Limiter(Rate(per_minute, per_minute)) if per_minute else None
