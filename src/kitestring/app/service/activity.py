"""Refusals and commands of the owner, which leave no row in the feed. Whoever listens is told.

Refusals are made by others, as many as they like: of those with a grant and of strangers so many are told in a while,
the rest is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from kitestring.base.commands import AskOffer, Journaled
from kitestring.base.errors import TABLE, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Refused
from kitestring.base.ports import Clock

#: Refusals that are told one by one in :data:`WINDOW_S` seconds, of callers with a grant, and as many of strangers.
MAX_TOLD: Final = 10
WINDOW_S: Final = 10.0
#: Not told: relays show old requests at every start.
_SILENT: Final = frozenset({Reason.STALE_REQUEST})


class Turned(msgspec.Struct, frozen=True, gc=False):
    """A request that was refused. ``grant_id`` and ``offer_id`` are "" where there is none, ``wire`` is its
    protocol."""

    at: int
    wire: str
    reason: Reason
    message: str
    grant_id: str = ""
    offer_id: str = ""
    payment_hash: str = ""
    amount_msat: Msat | None = None


class TurnedMore(msgspec.Struct, frozen=True, gc=False):
    """``count`` refusals beyond those that were told one by one."""

    at: int
    count: int
    by_strangers: bool


class Did(msgspec.Struct, frozen=True, gc=False):
    """A command of the owner that changed something of which the feed tells nothing; ``what`` names it."""

    at: int
    what: str


Unkept = Turned | TurnedMore | Did
Hear = Callable[[Unkept], None]


class Activity:
    """Passes them on. Where nobody listens it costs nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._listeners: Final[set[Hear]] = set()
        self._told: Final = {False: 0, True: 0}
        self._more: Final = {False: 0, True: 0}
        self._begun: Final = asyncio.Event()

    @contextmanager
    def heard_by(self, hear: Hear) -> Iterator[None]:
        """Have ``hear`` called with each; it must return at once."""
        self._listeners.add(hear)
        try:
            yield
        finally:
            self._listeners.discard(hear)

    def did(self, what: str) -> None:
        """Tell of a command of the owner."""
        self._tell(Did(self._clock.now(), what))

    def refused(self, wire: str, grant_id: str, refused: Refused, command: Journaled | None = None) -> None:
        """Tell of a refusal; of a stranger's the ``grant_id`` is ""."""
        if not self._listeners or refused.reason in _SILENT:
            return
        is_stranger = not grant_id
        self._begun.set()
        if self._told[is_stranger] >= MAX_TOLD:
            self._more[is_stranger] += 1
            return
        self._told[is_stranger] += 1
        self._tell(
            Turned(
                self._clock.now(), wire, refused.reason, refused.message or TABLE[refused.reason].sentence, grant_id,
                command.offer_id if isinstance(command, AskOffer) else "",
                getattr(command, "payment_hash", ""), getattr(command, "amount_msat", None),
            )
        )  # fmt: skip

    async def count(self) -> None:
        """Tell how many more were refused, once in :data:`WINDOW_S` seconds, forever."""
        while True:
            await self._begun.wait()
            await self._clock.sleep(WINDOW_S)
            self._begun.clear()
            for is_stranger, more in self._more.items():
                if more:
                    self._tell(TurnedMore(self._clock.now(), more, is_stranger))
                self._told[is_stranger] = self._more[is_stranger] = 0

    def _tell(self, one: Unkept) -> None:
        for hear in tuple(self._listeners):
            hear(one)
