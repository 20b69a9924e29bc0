"""A kept event, and the connection that brought it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kitestring.nostr.event import Event
from kitestring.relay.index import event_places

#: Rough bytes of one kept event beyond its JSON: its parsed form and its index entries.
ENTRY_OVERHEAD_BYTES: Final = 1_500
PLACE_BYTES: Final = 120
NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event on disk. ``is_vouched``: when it came there was always room for its author."""

    event: Event
    is_vouched: bool


class Bringer:
    """A connection as the store knows it: whether it is still here, and how many kept events came over it."""

    __slots__ = ("is_here", "kept")

    def __init__(self) -> None:
        self.is_here = True
        self.kept = 0


class Entry:
    """A kept event: its JSON, where it is indexed, when it ends (Unix seconds; NIP-40, or the ephemeral time)."""

    __slots__ = ("bringer", "ends_at", "event", "json", "places")

    def __init__(self, event: Event, json: bytes, ends_at: float, bringer: Bringer | None = None) -> None:
        self.event: Final = event
        self.json: Final = json
        self.ends_at: Final = ends_at
        self.places: Final = event_places(event)
        self.bringer: Final = bringer

    @property
    def size_bytes(self) -> int:
        return len(self.json) + ENTRY_OVERHEAD_BYTES + PLACE_BYTES * len(self.places)
