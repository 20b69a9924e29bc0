"""Refusals that need no disk: who is told no while the ledger cannot be written is never served by a late copy.

A file beside the ledger has its room from the day it is made: an id is written into it in place. Where it cannot be
made, or is full, there are no last words, and a request that cannot be stored is met with silence.

Whether an id's time is over is told by a clock that may step. So what has to make room for another one leaves its date:
everything that was sent up to then is refused from there on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

from kitestring.base.ports import Clock

log = logging.getLogger(__name__)

#: Refusals kept at once: as many as the windows of requests can hold while a disk is full. With one more place, for the
#: time before which everything is refused, they are 64 KiB.
SLOTS: Final = 2_047
#: The time (Unix seconds) until which an id is kept, the date of the request, and the first 16 of the id's 32 bytes.
_SLOT: Final = struct.Struct(">qq16s")
_SIZE: Final = (1 + SLOTS) * _SLOT.size


class _Kept(NamedTuple):
    slot: int
    until: int
    created_at: int


class LastWords:
    """The ids of one service. Reading and writing touch 64 KiB at most."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path: Final = path
        self._clock: Final = clock
        self._kept: Final[dict[bytes, _Kept]] = {}
        self._slots: Final[list[bytes]] = [b""] * SLOTS
        self._refused_before = 0
        self._writing: Final = asyncio.Lock()
        self._has_room = self._prepare()

    def refuse(self, event_id: str, created_at: int) -> bool:
        """Whether a request of this date (Unix seconds) was refused by last words, or may have been by such as were
        forgotten."""
        if created_at < self._refused_before or not self._kept:  # hardly ever is anything kept
            return created_at < self._refused_before
        kept = self._kept.get(_name(event_id))
        return kept is not None and kept.until > self._clock.now()

    async def keep(self, event_id: str, created_at: int, until: int) -> bool:
        """Keep an id until ``until`` (Unix seconds), durably before this returns; whether it is kept."""
        name = _name(event_id)
        async with self._writing:
            known = self._kept.get(name)
            if known is not None and known.until >= until:
                return True
            slot = self._free_slot() if known is None else known.slot
            if slot is None:
                return False
            gone = self._kept.get(self._slots[slot]) if known is None else None
            before = self._refused_before if gone is None else max(self._refused_before, 1 + gone.created_at)
            try:
                await asyncio.to_thread(self._write, before, slot, _SLOT.pack(until, created_at, name))
            except OSError as failure:
                log.warning("a refusal is not kept, and not told: %s", failure)
                return False
            self._refused_before = before
            self._kept.pop(self._slots[slot], None)
            self._slots[slot], self._kept[name] = name, _Kept(slot, until, created_at)
            return True

    def _free_slot(self) -> int | None:
        """One that was never used, else that of the oldest request whose time is over."""
        if not self._has_room:
            return None
        if len(self._kept) < SLOTS:
            return next(slot for slot, name in enumerate(self._slots) if name not in self._kept)
        now = self._clock.now()
        over = [kept for kept in self._kept.values() if kept.until <= now]
        return min(over, key=lambda kept: kept.created_at).slot if over else None

    def _prepare(self) -> bool:
        """Read what an earlier run has kept, or make the file at its full size."""
        try:
            if not self._path.exists() or self._path.stat().st_size != _SIZE:
                _make(self._path)
            (self._refused_before, *_), *slots = _SLOT.iter_unpack(self._path.read_bytes())
        except OSError as failure:
            log.warning("requests that come while the disk is full will get no answer: %s", failure)
            return False
        for slot, (until, created_at, name) in enumerate(slots):
            if until:
                self._slots[slot], self._kept[name] = name, _Kept(slot, until, created_at)
        return True

    def _write(self, refused_before: int, slot: int, what: bytes) -> None:
        """The horizon first: whoever is forgotten is behind it by then."""
        with self._path.open("r+b", buffering=0) as file:
            if refused_before != self._refused_before:
                file.write(_SLOT.pack(refused_before, 0, b""))
                os.fsync(file.fileno())
            file.seek((1 + slot) * _SLOT.size)
            file.write(what)
            os.fsync(file.fileno())


def _make(path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0) as file:
        file.write(bytes(_SIZE))
        os.fsync(file.fileno())


def _name(event_id: str) -> bytes:
    return bytes.fromhex(event_id)[:16]
