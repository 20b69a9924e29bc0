"""Events in, deliveries out: checks, storage and the index of live subscriptions. Knows no sockets."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Set
from typing import Final, Protocol

from kitestring.nostr.event import Event, tag_values, verify_event
from kitestring.nostr.filter import Filter
from kitestring.nostr.relay import delivery_prefix
from kitestring.relay.disk import Disk
from kitestring.relay.index import Index, filter_places
from kitestring.relay.limits import NEVER_PUBLISHED, PRIVATE_KINDS, Limits
from kitestring.relay.store import Entry, EventStore, Fate

_log: Final = logging.getLogger(__name__)
ACCEPTED: Final = frozenset({Fate.KEPT, Fate.PASSED_ON, Fate.DUPLICATE, Fate.OUTDATED})


class Reader(Protocol):
    """A connection that events are delivered to."""

    @property
    def authenticated(self) -> Set[str]: ...
    def send(self, frame: bytes, /) -> None: ...


class Interest:
    """One filter of a subscription, and where the index has it."""

    __slots__ = ("places", "wanted", "watch")

    def __init__(self, watch: Watch, wanted: Filter) -> None:
        self.watch: Final = watch
        self.wanted: Final = wanted
        self.places: Final = filter_places(wanted)


class Watch:
    """One open subscription of one connection."""

    __slots__ = ("filters", "interests", "prefix", "reader")

    def __init__(self, reader: Reader, subscription_id: str, filters: tuple[Filter, ...]) -> None:
        self.reader: Final = reader
        self.prefix: Final = delivery_prefix(subscription_id)
        self.filters: Final = filters
        self.interests: Final = tuple(Interest(self, wanted) for wanted in filters)


class Hub:
    """``private`` kinds reach only their author and addressees (NIP-42); the empty set switches that off."""

    def __init__(self, store: EventStore, disk: Disk | None, limits: Limits, *, auth: bool) -> None:
        self._store: Final = store
        self._disk: Final = disk
        self._limits: Final = limits
        self._private: Final = PRIVATE_KINDS if auth else frozenset[int]()
        self._live: Final[Index[Interest]] = Index()

    # ------------------------------------------------------------ reading

    def needs_auth(self, reader: Reader, filters: tuple[Filter, ...]) -> bool:
        """Whether these filters ask for private kinds although the reader has not said who it is."""
        if not self._private or reader.authenticated:
            return False
        return any(wanted.kinds is None or not self._private.isdisjoint(wanted.kinds) for wanted in filters)

    def open(self, watch: Watch, now: int) -> None:
        """Send what is stored (as much as half a reader's queue holds), then deliver what comes."""
        room = self._limits.max_queued_bytes // 2
        for entry in self._store.query(watch.filters, now):
            room -= len(entry.json)
            if room < 0:
                break
            if self._may_read(watch.reader, entry.event):
                watch.reader.send(watch.prefix + entry.json + b"]")
        for interest in watch.interests:
            self._live.add(interest, interest.places)

    def close(self, watch: Watch) -> None:
        for interest in watch.interests:
            self._live.remove(interest, interest.places)

    def _may_read(self, reader: Reader, event: Event) -> bool:
        if event.kind not in self._private:
            return True
        known = reader.authenticated
        return event.pubkey in known or any(key in known for key in tag_values(event, "p"))

    def _deliver(self, entry: Entry) -> None:
        event, event_json = entry.event, entry.json
        done: set[Watch] = set()
        for interest in self._live.find(entry.places):
            watch = interest.watch
            if watch not in done and interest.wanted.matches(event) and self._may_read(watch.reader, event):
                done.add(watch)
                watch.reader.send(watch.prefix + event_json + b"]")

    # ------------------------------------------------------------ publishing

    def objection(self, event: Event, size_bytes: int, now: int) -> str:
        """Why an event is not taken, before its (dear) signature is looked at; empty when nothing speaks against it."""
        limits = self._limits
        if size_bytes > limits.max_event_bytes:
            return f"invalid: an event must not exceed {limits.max_event_bytes} bytes"
        if (limits.kinds is not None and event.kind not in limits.kinds) or event.kind in NEVER_PUBLISHED:
            return f"blocked: kind {event.kind} is not taken here"
        if event.created_at > now + limits.max_ahead_s:
            return "invalid: created_at is in the future, check the clock"
        return ""

    async def publish(self, event: Event, size_bytes: int, now: int) -> tuple[bool, str]:
        """Check, keep and deliver one event; what its OK says. A durable one is on disk before this returns."""
        if event.id in self._store:
            return True, Fate.DUPLICATE.value
        objection = self.objection(event, size_bytes, now)
        if objection:
            return False, objection
        if not verify_event(event):
            return False, "invalid: the id or signature is wrong"
        change = self._store.add(event, now)
        if change.entry is not None:
            if change.fate is Fate.KEPT and self._disk is not None:
                try:
                    await self._disk.write(event, change.removed)
                except sqlite3.Error:
                    _log.exception("the relay's database cannot be written")
                    self._store.forget(event.id)
                    return False, "error: the relay cannot store events at the moment"
            self._deliver(change.entry)
        return change.fate in ACCEPTED, "" if change.fate is Fate.PASSED_ON else change.fate.value

    async def expire(self, now: int) -> None:
        """Drop what has ended, also on disk."""
        gone = self._store.expire(now)
        if gone and self._disk is not None:
            await self._disk.write(None, gone)
