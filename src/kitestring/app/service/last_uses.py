"""The last use of each connection by its app: for its owner, and to listen first for those that are in use."""

from __future__ import annotations

import logging
from typing import Final

from kitestring.app.service.seldom import Seldom
from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock
from kitestring.base.store import Store
from kitestring.base.transactions.service import NoteUses

log = logging.getLogger("kitestring")

#: Seconds between two looks at what is to be stored.
STORE_EVERY_S: Final = 60.0
#: A use is stored when the stored one is so many seconds older: an app that asks all day costs six rows an hour.
STORED_AGE_S: Final = 600


class LastUses:
    """Memory of the running service in front of what is stored, which may be ten minutes older."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._log: Final = Seldom(log, clock)
        self._seen: Final[dict[str, int]] = {}
        self._stored: Final[dict[str, int]] = {}

    def seen(self, grant_id: str) -> None:
        """Note that its app has asked for something just now."""
        self._seen[grant_id] = self._clock.now()

    async def load(self) -> dict[str, int]:
        """Read what is stored, by grant, in Unix seconds."""
        self._stored.update(await self._store.last_uses())
        return dict(self._stored)

    async def keep(self) -> None:
        """Store what is new, forever."""
        while True:
            await self._clock.sleep(STORE_EVERY_S)
            await self.save(STORED_AGE_S)

    async def save(self, age_s: int = 1) -> None:
        """Store each use whose stored one is at least ``age_s`` seconds away; a clock that was ahead leaves none that
        is never replaced. What the ledger cannot take now is stored another time."""
        due = {name: at for name, at in self._seen.items() if abs(at - self._stored.get(name, 0)) >= age_s}
        if not due:
            return
        try:
            await self._store.apply(NoteUses(tuple(due.items())))
        except KitestringError as failure:
            self._log.warning("when connections were last used is not stored yet: %s", failure.message)
        else:
            self._stored.update(due)
