"""The orders that a client has given to one wallet, by payment hash: which may still be carried out."""

from __future__ import annotations

from typing import Final, NamedTuple

from kitestring.base.ports import Clock

#: Hashes of unpaid payments remembered (about 200 bytes each). With more, none counts as one that was never asked for.
MAX_HASHES: Final = 10_000


class Attempt(NamedTuple):
    """``is_first``: no other order of its hash may still be carried out. ``sent_at`` (Unix seconds) is None where there
    was an earlier one at all: a date is then no proof that a failure is of this attempt, because the clock here may
    have been set back, or the wallet's be ahead."""

    payment_hash: str
    is_first: bool
    sent_at: int | None


class Attempts:
    """Counts, for each hash that was asked for and is not paid, the orders whose end nobody has told."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._open: Final[dict[str, int]] = {}

    def begin(self, payment_hash: str) -> Attempt:
        """One more is given to the wallet now."""
        known = self._open.get(payment_hash)
        if known is None and len(self._open) >= MAX_HASHES:
            return Attempt(payment_hash, is_first=False, sent_at=None)
        self._open[payment_hash] = (known or 0) + 1
        return Attempt(payment_hash, is_first=not known, sent_at=self._clock.now() if known is None else None)

    def unsent(self, attempt: Attempt) -> None:
        """It never left."""
        self._end(attempt.payment_hash)
        if attempt.sent_at is not None and not self._open.get(attempt.payment_hash):
            self.forget(attempt.payment_hash)

    def refused(self, attempt: Attempt) -> None:
        """It will not be carried out. That was told of the first one alone, or else of all of its hash."""
        if attempt.is_first:
            self._end(attempt.payment_hash)
        elif attempt.payment_hash in self._open:
            self._open[attempt.payment_hash] = 0

    def forget(self, payment_hash: str) -> None:
        """The hash is paid, or whoever has asked for it knows that no order is on its way."""
        self._open.pop(payment_hash, None)

    def _end(self, payment_hash: str) -> None:
        if payment_hash in self._open:
            self._open[payment_hash] = max(0, self._open[payment_hash] - 1)
