"""Events in, deliveries out: checks, storage and the index of live subscriptions. Knows no sockets."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Container, Iterable, Set
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, Protocol

from kitestring.nostr.event import Event, tag_values, verify_event
from kitestring.nostr.filter import Filter
from kitestring.nostr.kinds import is_ephemeral
from kitestring.nostr.relay import delivery_prefix
from kitestring.relay.disk import Disk
from kitestring.relay.entry import Bringer, Entry, KeptEvent
from kitestring.relay.index import Index, IndexKey, event_places, filter_places, matches, tag_sets
from kitestring.relay.limits import (
    BYTES_PER_TOKEN,
    FILTER_COST,
    LISTENERS_LOOKED_AT,
    LOOKED_AT_PER_TURN,
    MAX_MET,
    NEVER_PUBLISHED,
    OWN_MAIL_COST,
    PRIVATE_KINDS,
    PUBLISH_WAIT_S,
    RelayLimits,
)
from kitestring.relay.query import query
from kitestring.relay.shares import Shares
from kitestring.relay.store import EventStore, Fate, StoreChange
from kitestring.relay.vouched import VouchedKeys

_log: Final = logging.getLogger(__name__)
FORGED: Final = "invalid: the id or signature is wrong"
ACCEPTED: Final = frozenset({Fate.KEPT, Fate.PASSED_ON, Fate.DUPLICATE, Fate.OUTDATED})


class Reader(Protocol):
    """A connection that events are delivered to."""

    @property
    def authenticated(self) -> Set[str]: ...
    @property
    def is_own(self) -> bool: ...
    @property
    def behind(self) -> bool: ...
    @property
    def bringer(self) -> Bringer: ...
    def __hash__(self) -> int: ...
    def deliver(self, prefix: bytes, event_json: bytes, /) -> None: ...
    def cut(self) -> None: ...
    async def headroom(self) -> None: ...


class Interest:
    """One filter of a subscription, and where the index has it."""

    __slots__ = ("places", "wanted", "watch")

    def __init__(self, watch: Watch, wanted: Filter) -> None:
        self.watch: Final = watch
        self.wanted: Final = wanted
        self.places: Final = filter_places(wanted)


class Watch:
    """One open subscription of one connection. ``cost`` is what its filters take up, see :func:`filter_cost`; ``keys``
    is the number of authors and addressees that they name.
    """

    __slots__ = ("cost", "filters", "interests", "keys", "prefix", "reader")

    def __init__(self, reader: Reader, subscription_id: str, filters: tuple[Filter, ...], cost: int) -> None:
        self.reader: Final = reader
        self.prefix: Final = delivery_prefix(subscription_id)
        self.filters: Final = filters
        self.cost: Final = cost
        self.interests: Final = tuple(Interest(self, wanted) for wanted in filters)
        self.keys: Final = sum(len(wanted.authors or ()) + len(wanted.tags.get("p", ())) for wanted in filters)


def filter_cost(wanted: Filter, own: Container[str]) -> int:
    """Memory and time that a filter costs, in values. The relay owner's keys are free: they are known to be few, and
    their subscriber must not be the largest reader.
    """
    values = [wanted.ids or (), wanted.authors or (), wanted.kinds or (), *wanted.tags.values()]
    free = sum(key in own for key in wanted.tags.get("p", ()))
    return FILTER_COST + sum(map(len, values)) - free


class Hub:
    """With ``auth``, private kinds reach only their author and addressees (NIP-42), and the owner what is his."""

    def __init__(
        self, disk: Disk | None, limits: RelayLimits, *, auth: bool, vouched: VouchedKeys | None = None
    ) -> None:
        self._vouched: Final = vouched or VouchedKeys()
        self._own: Final = self._vouched.own
        self._store: Final = EventStore(limits, self._vouched, self._listeners)
        self._disk: Final = disk
        self._limits: Final = limits
        self._private: Final = PRIVATE_KINDS if auth else frozenset[int]()
        self._live: Final[Index[Interest]] = Index()
        self._costs: Final[Shares[Reader]] = Shares(limits.max_total_filter_cost, lambda reader: reader.cut())
        #: The number of keys that each reader listens for.
        self._wishes: Final[Counter[Reader]] = Counter()
        #: Sessions that were behind after a delivery: nearly always none.
        self._behind: Final[set[Reader]] = set()
        #: The number of connections that were recognised by each known key.
        self._met: Final[Counter[str]] = Counter()
        self._writing: Final = asyncio.Lock()
        self._searching: Final = asyncio.Lock()
        self._disk_fails = False

    def restore(self, kept: Iterable[KeptEvent]) -> None:
        """Put back what was on disk, the oldest first."""
        for each in kept:
            self._store.restore(each)

    # ------------------------------------------------------------ reading

    def needs_auth(self, reader: Reader, filters: tuple[Filter, ...]) -> bool:
        """Whether these filters ask for private kinds although the reader has not said who it is."""
        if not self._private or reader.authenticated or reader.is_own:
            return False
        return any(wanted.kinds is None or not self._private.isdisjoint(wanted.kinds) for wanted in filters)

    def weight(self, filters: tuple[Filter, ...]) -> int:
        """The number of stored events that :meth:`open` would look at."""
        return sum(self._store.weight(wanted) for wanted in filters if wanted.limit != 0)

    def refusal(self, reader: Reader, filters: tuple[Filter, ...], weight: int) -> str:
        """The reason why these filters are not served, the empty string when they are."""
        if self.needs_auth(reader, filters):
            return "auth-required: these events are only for their author and addressees"
        if weight > self._limits.max_looked_at:
            return "error: too many stored events to look at, name authors, ids, tags or limit 0"
        if self._costs.of(reader) + self._cost(filters) > self._limits.max_filter_cost:
            return f"error: at most {self._limits.max_filter_cost} filter values per connection"
        return ""

    def turn(self, weight: int) -> AbstractAsyncContextManager[object]:
        """To be held around :meth:`open` and :meth:`stored`: one large search at a time, because together they would
        only take longer and hold more memory.
        """
        return self._searching if weight > LOOKED_AT_PER_TURN else nullcontext()

    def open(self, reader: Reader, subscription_id: str, filters: tuple[Filter, ...]) -> Watch:
        """Deliver what comes from now on."""
        watch = Watch(reader, subscription_id, filters, self._cost(filters))
        for interest in watch.interests:
            self._live.add(interest, interest.places)
        self._costs.add(reader, watch.cost)
        self._wishes[reader] += watch.keys
        return watch

    def close(self, watch: Watch) -> None:
        for interest in watch.interests:
            self._live.remove(interest, interest.places)
        self._wishes[watch.reader] -= watch.keys
        self._costs.add(watch.reader, -min(watch.cost, self._costs.of(watch.reader)))

    def leave(self, reader: Reader) -> None:
        """The reader is gone; its watches have been closed."""
        self._costs.drop(reader)
        self._wishes.pop(reader, None)
        self._behind.discard(reader)

    def _cost(self, filters: tuple[Filter, ...]) -> int:
        return sum(filter_cost(wanted, self._own) for wanted in filters)

    async def stored(self, watch: Watch, now: int) -> list[str]:
        """Ids of what is stored for the subscription at this moment, newest first. Called at once after :meth:`open`,
        it misses nothing and repeats nothing. Ids, because a slow reader must not hold events that have gone.
        """
        found = await query(self._store, watch.filters, now, lambda wanted: self._cap(watch.reader, wanted))
        return [entry.event.id for entry in found if self._may_read(watch.reader, entry.event)]

    def _cap(self, reader: Reader, wanted: Filter) -> int:
        """Bound a filter's number of stored events. The owner gets all there is for his keys: requests that came in
        while the service was away. The store bounds them, and they go out as fast as they are read.
        """
        keys = wanted.tags.get("p", ())
        if reader.is_own and keys and all(key in self._own for key in keys):
            return len(self._store)
        return self._limits.max_results

    def _listeners(self, key: str) -> int:
        """See :data:`kitestring.relay.shelf.Listeners`."""
        places: tuple[IndexKey, ...] = (("#p", key), ("author", key))
        readers = {each.watch.reader for place in places for each in self._live.some(place, LISTENERS_LOOKED_AT)}
        return min((self._wishes[reader] for reader in readers), default=0)

    def json_of(self, event_id: str) -> bytes | None:
        """A stored event; None when it has gone meanwhile."""
        entry = self._store.get(event_id)
        return None if entry is None else entry.json

    def _may_read(self, reader: Reader, event: Event) -> bool:
        if event.kind not in self._private:
            return True
        known = self._own if reader.is_own else reader.authenticated
        return event.pubkey in known or any(key in known for key in tag_values(event, "p"))

    def _deliver(self, entry: Entry) -> None:
        interests = self._live.find(entry.places)
        if not interests:
            return
        event, tags, private = entry.event, tag_sets(entry.event), entry.event.kind in self._private
        concerned = {event.pubkey, *tags.get("p", ())}
        done: set[Watch] = set()
        for interest in interests:
            watch = interest.watch
            if watch in done or not matches(interest.wanted, event, tags):
                continue
            done.add(watch)
            known = self._own if watch.reader.is_own else watch.reader.authenticated
            if not private or not concerned.isdisjoint(known):
                watch.reader.deliver(watch.prefix, entry.json)
                if watch.reader.behind:
                    self._behind.add(watch.reader)

    # ------------------------------------------------------------ publishing

    def is_vouched(self, author: str) -> bool:
        """Whether the owner of the relay knows this key; the signature is not looked at."""
        return author in self._vouched

    def meet(self, key: str) -> bool:
        """Count one more connection as recognised by this known key; False where it has enough of them."""
        if self._met[key] >= MAX_MET:
            return False
        self._met[key] += 1
        return True

    def part(self, key: str) -> None:
        """One of these is gone; "" for any other."""
        if key:
            self._met[key] -= 1
            if not self._met[key]:
                del self._met[key]

    def cost(self, event: Event, size_bytes: int) -> float:
        """Tokens of the gate that a stranger's event costs: what is for the owner is read by his service too."""
        is_for_owner = any(key in self._own for key in tag_values(event, "p"))
        return (OWN_MAIL_COST if is_for_owner else 1) + size_bytes / BYTES_PER_TOKEN

    def objection(self, event: Event, size_bytes: int, now: int) -> str:
        """The reason why an event is not taken, before its (dear) signature is looked at; empty if there is none."""
        limits = self._limits
        if size_bytes > limits.max_event_bytes:
            return f"invalid: an event must not exceed {limits.max_event_bytes} bytes"
        if len(event.tags) > limits.max_event_tags:
            return f"invalid: an event must not have more than {limits.max_event_tags} tags"
        if (limits.kinds is not None and event.kind not in limits.kinds) or event.kind in NEVER_PUBLISHED:
            return f"blocked: kind {event.kind} is not taken here"
        if event.created_at > now + limits.max_ahead_s:
            return "invalid: created_at is in the future, check the clock"
        return ""

    async def publish(self, event: Event, size_bytes: int, now: int, by: Reader) -> tuple[bool, str]:
        """Check, keep and deliver one event; what its OK says. A durable one is on disk before this returns."""
        if event.id in self._store:
            return True, Fate.DUPLICATE.value
        objection = self.objection(event, size_bytes, now)
        if objection:
            return False, objection
        if self._behind and event.pubkey not in self._own and not await self._readers_have_room(event):
            return False, "rate-limited: whoever this is for has too much to read, send it again later"
        if not verify_event(event):
            return False, FORGED
        change = self._store.add(event, now) if is_ephemeral(event.kind) else await self._keep(event, now, by)
        if change is None:
            return False, "error: the relay cannot store events at the moment"
        if change.entry is not None:
            self._deliver(change.entry)
        return change.fate in ACCEPTED, "" if change.fate is Fate.PASSED_ON else change.fate.value

    async def _readers_have_room(self, event: Event) -> bool:
        """Wait for the owner, and for addressees who have proved that they are (NIP-42): none loses a connection
        because strangers write to him. Nobody else is waited for, or two strangers could shut the relay for whom they
        like by reading slowly what is for him; who of these reads too slowly loses his connection. What the owner
        publishes never waits, or one client that reads slowly would hold up the answers to all others.
        """
        try:
            async with asyncio.timeout(PUBLISH_WAIT_S):
                while (reader := self._one_behind(event)) is not None:
                    await reader.headroom()
        except TimeoutError:
            return False
        return True

    def _one_behind(self, event: Event) -> Reader | None:
        self._behind.difference_update([reader for reader in self._behind if not reader.behind])
        if not self._behind:
            return None
        tags = tag_sets(event)
        addressees = tags.get("p", frozenset[str]())
        for interest in self._live.find(event_places(event)):
            reader, wanted = interest.watch.reader, interest.wanted
            is_meant = not addressees.isdisjoint(self._own if reader.is_own else reader.authenticated)
            if is_meant and reader in self._behind and matches(wanted, event, tags):
                return reader
        return None

    async def _keep(self, event: Event, now: int, by: Reader) -> StoreChange | None:
        """None when the disk could not be written: then all is as before, also what the event would have replaced."""
        async with self._writing:
            change = self._store.plan(event, now, by.bringer)
            kept = KeptEvent(event, event.pubkey in self._vouched)
            if change.fate is Fate.KEPT and not await self._write(kept, change.removed):
                return None
            self._store.apply(change, now)
            return change

    async def _write(self, added: KeptEvent | None, removed: tuple[str, ...]) -> bool:
        """Told once per failure, not once per event: strangers decide how many those are."""
        if self._disk is None:
            return True
        try:
            await self._disk.write(added, removed)
        except sqlite3.Error as error:
            if not self._disk_fails:
                _log.error("the relay cannot store events: %s", self._disk.explain(error))
            self._disk_fails = True
            return False
        self._disk_fails = False
        return True

    async def expire(self, now: int) -> None:
        """Drop what has ended, also on disk (what fails there is found again at the next start)."""
        async with self._writing:
            gone = self._store.expire(now)
            if gone:
                await self._write(None, gone)
