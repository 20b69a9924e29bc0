"""Slots for payments under way: a bound for the service, and one per connection within it."""

from __future__ import annotations

from collections import Counter

from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused


class Slots:
    """Counts payments under way, and requests that are being decided, by grant.

    A request takes a slot before anything is waited for, and its payment keeps it until the end is known.
    """

    def __init__(self, most: int, most_of_grant: int) -> None:
        """``most`` of all; ``most_of_grant`` of one connection, 0 for no bound."""
        self._most = most
        self._most_of_grant = most_of_grant
        self._under_way: Counter[str] = Counter()
        self._being_decided: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """Payments whose end is open."""
        return self._under_way.total()

    def take(self, grant_id: str, *, is_owner: bool) -> Refused | None:
        """Take a slot for a request that is being decided, or say why there is none."""
        if self._under_way.total() + self._being_decided.total() >= self._most:
            return Refused(Reason.RATE_LIMITED, "too many payments are under way; try again later")
        most = 0 if is_owner else self._most_of_grant
        if 0 < most <= self._under_way[grant_id] + self._being_decided[grant_id]:
            return Refused(Reason.RATE_LIMITED, "too many payments of this connection are under way; try again later")
        self._being_decided[grant_id] += 1
        return None

    def give_back(self, grant_id: str) -> None:
        """The request is decided; its payment, if there is one, has begun."""
        _less(self._being_decided, grant_id)

    def begin(self, grant_id: str) -> None:
        self._under_way[grant_id] += 1

    def end(self, grant_id: str) -> None:
        _less(self._under_way, grant_id)


def _less(counter: Counter[str], grant_id: str) -> None:
    counter[grant_id] -= 1
    if not counter[grant_id]:
        del counter[grant_id]
