"""Refusals that need no disk: who is told no while the ledger cannot be written is never served by a late copy.

A file beside the ledger has its room from the day it is made: an id is written into it in place. Where it cannot be
made, or is full, there are no last words, and a request that cannot be stored is met with silence.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from pathlib import Path
from typing import Final

from kitestring.base.ports import Clock

log = logging.getLogger(__name__)

#: Refusals kept at once: as many as the windows of requests can hold while a disk is full, and 64 KiB.
SLOTS: Final = 2_048
#: The time (Unix seconds) until which an id is kept, and the first 24 of its 32 bytes.
_SLOT: Final = struct.Struct(">q24s")


class LastWords:
    """The ids of one service. Reading and writing touch 64 KiB at most."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path: Final = path
        self._clock: Final = clock
        self._kept: Final[dict[bytes, int]] = {}
        self._slots: Final[list[bytes]] = [b""] * SLOTS
        self._has_room = self._prepare()

    def __contains__(self, event_id: str) -> bool:
        return self._kept.get(_name(event_id), 0) > self._clock.now()

    async def keep(self, event_id: str, until: int) -> bool:
        """Keep an id until ``until`` (Unix seconds), durably before this returns; whether it is kept."""
        name = _name(event_id)
        if name in self._kept:
            return True
        slot = self._free_slot()
        if slot is None:
            return False
        self._kept.pop(self._slots[slot], None)
        self._slots[slot], self._kept[name] = name, until
        try:
            await asyncio.to_thread(self._write, slot, until, name)
        except OSError as failure:
            log.warning("a refusal is not kept, and not told: %s", failure)
            del self._kept[name]
            return False
        return True

    def _free_slot(self) -> int | None:
        if not self._has_room:
            return None
        now = self._clock.now()
        return next((slot for slot, name in enumerate(self._slots) if self._kept.get(name, 0) <= now), None)

    def _prepare(self) -> bool:
        """Read what an earlier run has kept, or make the file at its full size."""
        try:
            if not self._path.exists() or self._path.stat().st_size != SLOTS * _SLOT.size:
                _make(self._path)
            for slot, (until, name) in enumerate(_SLOT.iter_unpack(self._path.read_bytes())):
                if until:
                    self._slots[slot], self._kept[name] = name, until
        except OSError as failure:
            log.warning("requests that come while the disk is full will get no answer: %s", failure)
            return False
        return True

    def _write(self, slot: int, until: int, name: bytes) -> None:
        with self._path.open("r+b", buffering=0) as file:
            file.seek(slot * _SLOT.size)
            file.write(_SLOT.pack(until, name))
            os.fsync(file.fileno())


def _make(path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0) as file:
        file.write(bytes(SLOTS * _SLOT.size))
        os.fsync(file.fileno())


def _name(event_id: str) -> bytes:
    return bytes.fromhex(event_id)[: _SLOT.size - 8]
