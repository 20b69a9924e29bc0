"""Invoices that a wallet calls pending long after their expiry: over, though it has no word for that.

By our clock alone none is: it may be ahead by a day for a moment, and what is called over can then still be paid.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.ports import Clock

#: Seconds after the expiry of an invoice before one that the wallet calls pending can be over, by the wall clock …
OVER_S: Final = 86_400
#: … and seconds in which this process has found it so at every look, by the clock that nobody can set.
SEEN_S: Final = 3_600.0
#: Hashes remembered (about 200 bytes each). One that is forgotten is looked at for another hour.
MAX_LATE: Final = 20_000


class LateInvoices:
    """The late invoices of one wallet, as this process has seen them."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._since_s: Final[dict[str, float]] = {}

    def is_over(self, payment_hash: str, expires_at: int) -> bool:
        """Whether a pending invoice that expires at ``expires_at`` (Unix seconds; 0 = not told) is over. Ask at each
        look at it."""
        if not expires_at or expires_at + OVER_S >= self._clock.now():
            self._since_s.pop(payment_hash, None)
            return False
        now_s = self._clock.monotonic()
        since_s = self._since_s.setdefault(payment_hash, now_s)
        if len(self._since_s) > MAX_LATE:
            del self._since_s[next(iter(self._since_s))]
        return now_s - since_s >= SEEN_S
