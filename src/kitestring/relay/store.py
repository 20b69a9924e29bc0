"""The events a relay holds, in memory: ephemeral ones for a while, others until replaced, deleted or expired."""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kitestring.nostr.event import Event, encode_event, first_tag, tag_values
from kitestring.nostr.filter import Filter
from kitestring.nostr.kinds import DELETE, is_addressable, is_ephemeral, is_replaceable
from kitestring.relay.index import Index, IndexKey, event_places, filter_places
from kitestring.relay.limits import Limits

#: Places under which one event is kept. An event with more tags is still delivered live, and found by its first ones.
MAX_STORED_PLACES: Final = 64
#: Rough bytes of one kept event beyond its JSON: its parsed form and its index entries.
ENTRY_OVERHEAD_BYTES: Final = 1_500
PLACE_BYTES: Final = 120
NEVER: Final = float("inf")


class Entry:
    """A kept event: its JSON, where it is indexed, when it ends (Unix seconds; NIP-40, or the ephemeral time)."""

    __slots__ = ("ends_at", "event", "json", "places")

    def __init__(self, event: Event, json: bytes, ends_at: float) -> None:
        self.event: Final = event
        self.json: Final = json
        self.ends_at: Final = ends_at
        self.places: Final = event_places(event)

    @property
    def size_bytes(self) -> int:
        return len(self.json) + ENTRY_OVERHEAD_BYTES + PLACE_BYTES * len(self.places)


class Fate(Enum):
    """The fate of an event that was given to the store; the value is the message of its OK."""

    KEPT = ""
    PASSED_ON = "ephemeral"
    DUPLICATE = "duplicate: this event is here already"
    OUTDATED = "duplicate: a newer version is here already"
    DELETED = "blocked: the author has deleted this event"
    EXPIRED = "invalid: the event has expired"
    FULL = "error: the relay is full"
    QUOTA = "restricted: this author has too many events here"


@dataclass(frozen=True, slots=True)
class StoreChange:
    """``entry`` is the new event where it is to be kept; ``gone`` are those that go because of it."""

    fate: Fate
    entry: Entry | None = None
    gone: tuple[Entry, ...] = ()

    @property
    def removed(self) -> tuple[str, ...]:
        """Ids of what goes (for the disk)."""
        return tuple(entry.event.id for entry in self.gone)


def expiration(event: Event) -> float:
    """The NIP-40 time of an event in Unix seconds, infinity when it has none (or one that is no number)."""
    text = first_tag(event, "expiration")
    return float(text) if text is not None and text.isdecimal() and len(text) < 16 else NEVER


def address(event: Event) -> str | None:
    """``kind:pubkey:d`` of an event of which only the newest version counts."""
    if is_addressable(event.kind):
        return f"{event.kind}:{event.pubkey}:{first_tag(event, 'd') or ''}"
    return f"{event.kind}:{event.pubkey}:" if is_replaceable(event.kind) else None


class EventStore:
    """Not thread-safe; every method returns at once. ``own`` are authors for whom there is always room."""

    def __init__(self, limits: Limits, own: Container[str] = ()) -> None:
        self._limits: Final = limits
        self._own: Final = own
        self._by_id: Final[dict[str, Entry]] = {}
        self._index: Final[Index[Entry]] = Index()
        self._by_address: Final[dict[str, Entry]] = {}
        self._fifo: Final[deque[Entry]] = deque()
        self._ephemeral_bytes = 0
        self._durable_by_author: Final[dict[str, int]] = {}
        self._durable_count = self._durable_bytes = 0
        self._ending: Final[dict[Entry, None]] = {}

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    # ------------------------------------------------------------ adding

    def plan(self, event: Event, now: int) -> StoreChange:
        """The fate that :meth:`apply` would give a verified event at Unix second ``now``; nothing has changed yet, so
        that a disk that cannot be written loses nothing. No other durable event may be applied in between.
        """
        if event.id in self._by_id:
            return StoreChange(Fate.DUPLICATE)
        ends_at = expiration(event)
        if ends_at <= now:
            return StoreChange(Fate.EXPIRED)
        if is_ephemeral(event.kind):
            ends_at = min(ends_at, now + self._limits.ephemeral_ttl_s)
            return StoreChange(Fate.PASSED_ON, Entry(event, encode_event(event), ends_at))
        return self._plan_durable(Entry(event, encode_event(event), ends_at))

    def apply(self, change: StoreChange, now: int) -> None:
        for each in change.gone:
            self._remove_durable(each)
        if change.entry is not None and change.fate is Fate.KEPT:
            self._keep(change.entry, address(change.entry.event))
        elif change.entry is not None:
            self._pass_on(change.entry, now)

    def add(self, event: Event, now: int) -> StoreChange:
        """:meth:`plan` and :meth:`apply`, for what is kept in memory only."""
        change = self.plan(event, now)
        self.apply(change, now)
        return change

    def _pass_on(self, entry: Entry, now: int) -> None:
        self._link(entry)
        self._fifo.append(entry)
        self._ephemeral_bytes += entry.size_bytes
        limits, fifo = self._limits, self._fifo
        while fifo and (
            len(fifo) > limits.max_ephemeral_events
            or self._ephemeral_bytes > limits.max_ephemeral_bytes
            or fifo[0].ends_at <= now
        ):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        entry = self._fifo.popleft()
        self._ephemeral_bytes -= entry.size_bytes
        self._unlink(entry)

    def _plan_durable(self, entry: Entry) -> StoreChange:
        event, where = entry.event, address(entry.event)
        if self._is_deleted(event, where):
            return StoreChange(Fate.DELETED)
        older = self._by_address.get(where) if where is not None else None
        if older is not None:
            if (older.event.created_at, event.id) > (event.created_at, older.event.id):
                return StoreChange(Fate.OUTDATED)
            return StoreChange(Fate.KEPT, entry, (older,))
        if (full := self._no_room(event.pubkey)) is not None:
            return StoreChange(full)
        return StoreChange(Fate.KEPT, entry, tuple(self._deleted_by(event)) if event.kind == DELETE else ())

    def _no_room(self, author: str) -> Fate | None:
        if author in self._own:
            return None
        if self._durable_by_author.get(author, 0) >= self._limits.max_durable_events_per_author:
            return Fate.QUOTA
        limits = self._limits
        full = self._durable_count >= limits.max_durable_events or self._durable_bytes >= limits.max_durable_bytes
        return Fate.FULL if full else None

    def _keep(self, entry: Entry, where: str | None) -> None:
        author = entry.event.pubkey
        self._durable_count += 1
        self._durable_bytes += entry.size_bytes
        if entry.ends_at != NEVER:
            self._ending[entry] = None
        self._durable_by_author[author] = self._durable_by_author.get(author, 0) + 1
        if where is not None:
            self._by_address[where] = entry
        self._link(entry)

    def restore(self, event: Event) -> None:
        """Put back an event that was on disk, without asking again whether it may be kept."""
        self._keep(Entry(event, encode_event(event), expiration(event)), address(event))

    # ------------------------------------------------------------ NIP-09

    def _is_deleted(self, event: Event, where: str | None) -> bool:
        places: list[IndexKey] = [("#e", event.id)]
        if where is not None:
            places.append(("#a", where))
        return any(
            entry.event.kind == DELETE
            and entry.event.pubkey == event.pubkey
            and (event.id in tag_values(entry.event, "e") or entry.event.created_at >= event.created_at)
            for entry in self._index.find(places)
        )

    def _deleted_by(self, deletion: Event) -> list[Entry]:
        named = [self._by_id.get(event_id) for event_id in tag_values(deletion, "e")]
        addressed = [self._by_address.get(where) for where in tag_values(deletion, "a")]
        aged = [entry for entry in addressed if entry and entry.event.created_at <= deletion.created_at]
        found = [entry for entry in (*named, *aged) if entry and entry.event.pubkey == deletion.pubkey]
        return list(
            {entry: None for entry in found if entry.event.kind != DELETE and not is_ephemeral(entry.event.kind)}
        )

    # ------------------------------------------------------------ finding and removing

    def candidates(self, wanted: Filter) -> list[Entry]:
        """The few among which everything that matches can be found, as of now."""
        return list(self._index.find(filter_places(wanted)))

    def weight(self, wanted: Filter) -> int:
        """The number of entries that :meth:`candidates` would come across."""
        return self._index.weight(filter_places(wanted))

    def get(self, event_id: str) -> Entry | None:
        return self._by_id.get(event_id)

    def expire(self, now: int) -> tuple[str, ...]:
        """Drop what has ended; the ids of the durable ones among them (for the disk)."""
        while self._fifo and self._fifo[0].ends_at <= now:
            self._drop_oldest()
        ended = [entry for entry in self._ending if entry.ends_at <= now]
        for entry in ended:
            self._remove_durable(entry)
        return tuple(entry.event.id for entry in ended)

    def _remove_durable(self, entry: Entry) -> None:
        author, where = entry.event.pubkey, address(entry.event)
        self._durable_count -= 1
        self._durable_bytes -= entry.size_bytes
        self._ending.pop(entry, None)
        left = self._durable_by_author[author] - 1
        if left:
            self._durable_by_author[author] = left
        else:
            del self._durable_by_author[author]
        if where is not None and self._by_address.get(where) is entry:
            del self._by_address[where]
        self._unlink(entry)

    def _link(self, entry: Entry) -> None:
        self._by_id[entry.event.id] = entry
        self._index.add(entry, entry.places[:MAX_STORED_PLACES])

    def _unlink(self, entry: Entry) -> None:
        del self._by_id[entry.event.id]
        self._index.remove(entry, entry.places[:MAX_STORED_PLACES])
