"""Trouble with relays, in their own words: one line of the log when it begins and one when it is over."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from kitestring.app.service.relay_word import auth_words
from kitestring.base.ports import Clock
from kitestring.transport.link import RelayStatus
from kitestring.transport.relays import RelayPool

log = logging.getLogger("kitestring.relays")

#: Seconds between two looks. What is over by then is not told.
LOOK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind of trouble: how it is told, and how its end. It is told when it was seen ``looks`` times in a row."""

    begins: str
    ends: str
    looks: int = 1


#: Most relays that go away are back within seconds.
AWAY: Final = Trouble("is away", "is back", looks=3)
REFUSED: Final = Trouble("does not serve our subscriptions", "serves our subscriptions again")
REJECTED: Final = Trouble("does not take our events", "takes our events again")
ASKS_WHO: Final = Trouble("wants to know who listens", "knows who listens")
UNKNOWN_KEY: Final = Trouble("does not accept one of our keys", "accepts our keys again")


def troubles(row: RelayStatus) -> dict[Trouble, str]:
    """The troubles with a relay now, each with its own words about that."""
    said = {
        AWAY: "" if row.connected else row.last_error or "no answer",
        REFUSED: row.refused,
        REJECTED: row.rejected,
        ASKS_WHO: auth_words(row.auth_s),
        UNKNOWN_KEY: row.auth_error,
    }
    return {trouble: words for trouble, words in said.items() if words}


class RelayWatch:
    """Watches the relays of one service."""

    def __init__(self, pool: RelayPool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._looks: dict[tuple[str, Trouble], int] = {}

    async def watch(self) -> None:
        """Look forever."""
        while True:
            await self._clock.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Tell what has begun or ended since the last look."""
        found = {(row.url, trouble): words for row in self._pool.status() for trouble, words in troubles(row).items()}
        for (url, trouble), words in found.items():
            if self._looks.get((url, trouble), 0) + 1 == trouble.looks:
                log.warning("%s %s: %s", url, trouble.begins, words)
        for (url, trouble), looks in self._looks.items():
            if (url, trouble) not in found and looks >= trouble.looks:
                log.info("%s %s", url, trouble.ends)
        self._looks = {key: self._looks.get(key, 0) + 1 for key in found}
