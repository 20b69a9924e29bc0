"""The share of each connection in what all use together: beyond the limit the one that uses most has to go."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class Shares(Generic[Member]):
    """``evict`` is called with the member that holds most as often as the total exceeds ``limit``; it has left by then.

    To refuse the one that comes last would let a few strangers shut everybody else out.
    """

    __slots__ = ("_evict", "_held", "_limit", "_total")

    def __init__(self, limit: int, evict: Callable[[Member], None]) -> None:
        self._limit: Final = limit
        self._evict: Final = evict
        self._held: Final[dict[Member, int]] = {}
        self._total = 0

    def add(self, member: Member, amount: int) -> None:
        """``member`` holds so much more, or less where negative."""
        held = self._held
        held[member] = held.get(member, 0) + amount
        self._total += amount
        while self._total > self._limit:
            largest = max(held, key=held.__getitem__)
            self.drop(largest)
            self._evict(largest)

    def drop(self, member: Member) -> None:
        """``member`` holds nothing any more. May be called again."""
        self._total -= self._held.pop(member, 0)

    def of(self, member: Member) -> int:
        return self._held.get(member, 0)
