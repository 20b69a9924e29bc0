"""The ledger's witness: is this the ledger that served here last, and is it still the file that was opened?

What a wrong ledger has forgotten it would pay once more. So where its marker says otherwise, or there is none, spending
is stopped before anything is recovered, and receiving goes on. A clean ``audit --node`` or the owner's word lifts that.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from kitestring.app.home.marker import read_marker, write_marker
from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock
from kitestring.base.records import Generation, StopCause
from kitestring.base.store import Store
from kitestring.base.transactions.service import SetSpending

log = logging.getLogger("kitestring")

#: How often the marker follows the ledger, and the file is looked at. What is committed meanwhile is not witnessed.
LOOK_S: Final = 2.0

_NO_MARKER: Final = "there is no marker beside the ledger, so nobody can tell whether it is the newest"
_OTHER: Final = "this is not the ledger that served here last: its marker names another one"
_GONE: Final = "the file of the ledger was taken away or replaced while the service runs: put it back and start again"


class Witness:
    """Of one ledger. Made as soon as it is open: what its path leads to from then on is the file that was opened."""

    def __init__(self, store: Store, ledger: Path, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._marker = ledger.with_suffix(".marker")
        self._clock = clock
        self._file = _identity(ledger)
        self._written: Generation | None = None
        self._has_begun = False
        self._is_gone = False
        self._failed = False

    async def begin(self) -> None:
        """Compare ledger and marker; before anything is recovered."""
        why = _doubt(await self._store.generation(), read_marker(self._marker))
        if why and not await self._is_doubted():  # what was found first stays: since then it has received
            await self._stop(StopCause.LEDGER, why)
        for stop in await self._store.stops():
            log.error("nothing is spent: %s", stop.why)
        self._has_begun = True
        await self.look()

    async def watch(self) -> None:
        """Forever."""
        while True:
            await self._clock.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look at the file, and let the marker follow the ledger; not one that is doubted, or was not compared yet."""
        if not self._has_begun:
            return
        try:
            if not self._is_gone and _identity(self._ledger) != self._file:
                await self._stop(StopCause.FILE, _GONE)
                self._is_gone = True  # not before: a stop that could not be stored is stored at the next look
            if not self._is_gone and not await self._is_doubted():
                await self._follow(await self._store.generation())
            self._failed = False
        except (KitestringError, OSError) as failure:
            if not self._failed:  # said once, not every other second
                log.warning("the marker of the ledger is not written: %s", failure)
            self._failed = True

    async def _is_doubted(self) -> bool:
        return any(stop.cause is StopCause.LEDGER for stop in await self._store.stops())

    async def _follow(self, generation: Generation) -> None:
        if generation != self._written:
            await asyncio.to_thread(write_marker, self._marker, generation)
            self._written = generation

    async def _stop(self, cause: StopCause, why: str) -> None:
        await self._store.apply(SetSpending(True, why, self._clock.now(), cause))


def _doubt(ledger: Generation, marker: Generation | None) -> str:
    """The reason why this may not be the ledger that served last; "" where it is."""
    if marker is None:
        return "" if ledger.is_blank else _NO_MARKER
    if marker.ledger_id != ledger.ledger_id:
        return _OTHER
    missing = ledger.misses(marker)
    return f"the ledger is older than its marker: at least {missing} rows are missing" if missing else ""


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino)
