"""The events a relay holds, in memory: ephemeral ones for a while, others until replaced, deleted or expired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kitestring.nostr.event import Event, encode_event, first_tag, tag_values
from kitestring.nostr.filter import Filter
from kitestring.nostr.kinds import DELETE, is_addressable, is_ephemeral, is_replaceable
from kitestring.relay.entry import NEVER, Bringer, Entry, KeptEvent
from kitestring.relay.index import Index, IndexKey, filter_places
from kitestring.relay.limits import RelayLimits
from kitestring.relay.ring import Ring
from kitestring.relay.shelf import Shelf
from kitestring.relay.vouched import VouchedKeys

#: Places under which one event is kept. An event with more tags is still delivered live, and found by its first ones.
MAX_STORED_PLACES: Final = 64


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


def _nobody(_: str) -> int:
    return 0


class EventStore:
    """Not thread-safe; every method returns at once. For ``vouched`` authors there is always room: what strangers
    publish takes none of it. ``listeners`` is as in :mod:`kitestring.relay.shelf`.
    """

    def __init__(
        self, limits: RelayLimits, vouched: VouchedKeys | None = None, listeners: Callable[[str], int] = _nobody
    ) -> None:
        self._limits: Final = limits
        self._vouched: Final = vouched or VouchedKeys()
        self._by_id: Final[dict[str, Entry]] = {}
        self._index: Final[Index[Entry]] = Index()
        self._by_address: Final[dict[str, Entry]] = {}
        self._passing: Final = {True: Ring(limits), False: Ring(limits)}
        self._shelf: Final = Shelf(limits, self._vouched, listeners)
        self._durable_by_author: Final[dict[str, int]] = {}
        self._ending: Final[dict[Entry, None]] = {}

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    # ------------------------------------------------------------ adding

    def plan(self, event: Event, now: int, bringer: Bringer | None = None) -> StoreChange:
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
        return self._plan_durable(Entry(event, encode_event(event), ends_at, bringer))

    def apply(self, change: StoreChange, now: int) -> None:
        for each in change.gone:
            self._remove_durable(each)
        if change.entry is not None and change.fate is Fate.KEPT:
            author = change.entry.event.pubkey
            self._keep(change.entry, address(change.entry.event), is_vouched=author in self._vouched)
        elif change.entry is not None:
            self._pass_on(change.entry, now)

    def add(self, event: Event, now: int) -> StoreChange:
        """:meth:`plan` and :meth:`apply`, for what is kept in memory only."""
        change = self.plan(event, now)
        self.apply(change, now)
        return change

    def _pass_on(self, entry: Entry, now: int) -> None:
        self._link(entry)
        for gone in self._passing[entry.event.pubkey in self._vouched].add(entry, now):
            self._unlink(gone)

    def _plan_durable(self, entry: Entry) -> StoreChange:
        event, where = entry.event, address(entry.event)
        if self._is_deleted(event, where):
            return StoreChange(Fate.DELETED)
        older = self._by_address.get(where) if where is not None else None
        if older is not None:
            if (older.event.created_at, event.id) > (event.created_at, older.event.id):
                return StoreChange(Fate.OUTDATED)
            return self._with_room(entry, (older,))
        if event.pubkey not in self._vouched.own and self._has_quota(event.pubkey):
            return StoreChange(Fate.QUOTA)
        return self._with_room(entry, tuple(self._deleted_by(event)) if event.kind == DELETE else ())

    def _has_quota(self, author: str) -> bool:
        """Whether this author has as many events here as one may have."""
        return self._durable_by_author.get(author, 0) >= self._limits.max_durable_events_per_author

    def _with_room(self, entry: Entry, going: tuple[Entry, ...]) -> StoreChange:
        is_vouched = entry.event.pubkey in self._vouched
        evicted = [] if is_vouched else self._shelf.room_for(entry.size_bytes, going)
        return StoreChange(Fate.FULL) if evicted is None else StoreChange(Fate.KEPT, entry, (*going, *evicted))

    def _keep(self, entry: Entry, where: str | None, *, is_vouched: bool) -> None:
        author = entry.event.pubkey
        if not is_vouched:
            self._shelf.add(entry)
        if entry.ends_at != NEVER:
            self._ending[entry] = None
        self._durable_by_author[author] = self._durable_by_author.get(author, 0) + 1
        if where is not None:
            self._by_address[where] = entry
        self._link(entry)

    def restore(self, kept: KeptEvent) -> None:
        """Put back an event that was on disk, without asking again whether it may be kept. ``is_vouched`` is as it was
        when it came: at a start the owner has not told all his keys yet."""
        event = kept.event
        entry = Entry(event, encode_event(event), expiration(event))
        self._keep(entry, address(event), is_vouched=kept.is_vouched)

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
        for ring in self._passing.values():
            for entry in ring.expire(now):
                self._unlink(entry)
        ended = [entry for entry in self._ending if entry.ends_at <= now]
        for entry in ended:
            self._remove_durable(entry)
        return tuple(entry.event.id for entry in ended)

    def _remove_durable(self, entry: Entry) -> None:
        author, where = entry.event.pubkey, address(entry.event)
        self._shelf.remove(entry)
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
