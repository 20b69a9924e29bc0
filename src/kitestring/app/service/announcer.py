"""Announcements of connections: on every relay, said again until it has them, and deleted at the end.

Relays are told at each change, where a look at what they show finds that they lack it, and once a day; else they are
left in peace.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.background import Background
from kitestring.app.service.read_back import KEYS, ReadBack
from kitestring.app.service.receptions import OnReception, Reception
from kitestring.app.service.rendezvous import WAITS_S, Rendezvous
from kitestring.app.service.seldom import Seldom
from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Grant
from kitestring.base.plugins import MethodPlugin
from kitestring.base.ports import Clock, Entropy
from kitestring.base.records import Message
from kitestring.base.store import Reads
from kitestring.nostr.event import Event, sign_event, verify_event
from kitestring.transport.publications import ACCEPTED, UNANSWERED, PublishResult, RelayAnswer, Verdict
from kitestring.transport.relays import RelayPool
from kitestring.wire.grammar import Draft
from kitestring.wire.registry import ANNOUNCED
from kitestring.wire.serve.nwc.foreign import allowed

log = logging.getLogger("kitestring.announce")

#: The kind of message that a change of a connection is in the outbox.
ANNOUNCEMENT: Final = "announcement"
#: Published anew this often, because relays may forget what is old.
REFRESH_S: Final = 86_400
#: Relays are asked this often what they show …
LOOK_S: Final = 3_600
#: … and so long after the last look where one has been connected anew: it may have lost all it had, and no new app
#: finds the connections meanwhile.
LOOK_ANEW_S: Final = 60
#: What a relay has not taken is tried again this often, once the relay is there.
MISSING_S: Final = 5
#: Seconds until every relay must have taken an event.
PUBLISH_S: Final = 10.0
#: Once one relay is connected, the others get so many seconds to be connected too, or to have failed once.
OTHERS_S: Final = 3.0
#: Relays that refuse a deletion are asked again for so many seconds after the end of the connection: they may only have
#: refused a clock that was ahead.
DELETE_S: Final = 86_400
#: Events that are signed and sent in one go (some 5 ms): requests have their turn in between.
TOGETHER: Final = 50

#: No refusals: one value for all connections, of which there may be 100,000.
NOTHING: Final[Mapping[str, Verdict]] = MappingProxyType({})
#: One for all connections: each empty set of its own would take 216 bytes.
NOWHERE: Final[frozenset[str]] = frozenset()


@dataclass(slots=True, eq=False)
class _Announced:
    """About one connection: the version of its grant that relays know, the event they have, and what is missing where
    (``event``, made for version ``made_for``, on the relays ``missing``). Who announces a version has the ``turn``."""

    version: int = 0
    signed_at: int = 0
    taken_at: int = 0  # the time of the newest event that a relay has
    said_id: str = ""
    event: Event | None = None
    made_for: int = 0
    missing: frozenset[str] = NOWHERE
    in_vain: frozenset[str] = NOWHERE  # relays that lacked it though they were told: not told again before the next
    refusals: Mapping[str, Verdict] = field(
        default_factory=lambda: NOTHING
    )  # the latest words of those that have not taken it
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def has_said_before(self, version: int) -> bool:
        """Whether this process has announced the connection, and relays do not know ``version`` yet."""
        return bool(self.said_id) and self.version < version

    def has_ready(self, version: int, now: int) -> bool:
        """Whether the event of this version is signed, and not so far ahead that every relay refuses it."""
        return self.event is not None and self.made_for == version and self.event.created_at <= now + AHEAD_S

    def misses(self, urls: frozenset[str]) -> frozenset[str]:
        """The relays that lack the announcement: all of ``urls`` as long as none has it, for they may have refused."""
        return urls if self.version < self.made_for else self.missing

    def note(self, asked: Iterable[str], result: PublishResult) -> None:
        """Note who took ``event``. What was refused for good is not sent again soon: that would only annoy."""
        refusals = {**self.refusals, **result.relays}
        self.refusals = {u: v for u, v in refusals.items() if v.answer is not RelayAnswer.ACCEPTED} or NOTHING
        taken = {url for url in asked if _answer(result, url) is RelayAnswer.ACCEPTED}
        if taken:
            self.version = max(self.version, self.made_for)
        refused = {url for url in asked if _answer(result, url) is RelayAnswer.REFUSED}
        self.missing = (self.missing - taken - refused) or NOWHERE
        if not self.missing:
            self.event = None


class Announcer:
    """Publishes, refreshes and deletes what is announced about connections, on every relay of the pool.

    A change comes as a message of the outbox and goes through :meth:`carry`; each concerns one connection only. What
    is said of a connection, and in which kind of event, its wire knows; nothing is said of the methods in ``without``.
    """

    def __init__(
        self, pool: RelayPool, store: Reads, keyring: Keyring, clock: Clock, entropy: Entropy,
        without: frozenset[str] = frozenset(), rendezvous: Rendezvous | None = None,
        plugins: Mapping[str, MethodPlugin] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._plugins = plugins
        self._rendezvous = rendezvous
        self._pool = pool
        self._without = without
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._known: dict[str, _Announced] = {}
        self._behind: set[_Announced] = set()  # those that a relay misses: a round costs no more than these
        self._reported: set[str] = set()  # relays of which the log says already that they miss something
        self._background = Background(clock)
        self._log = Seldom(log, clock)
        self._read_back = ReadBack(pool)
        self._looked_at: float | None = None
        self._connects: dict[str, int] = {}  # how often each relay had been connected at the last look

    async def stop(self) -> None:
        """End what is being carried: the outbox has it for the next start."""
        await self._background.cancel()

    # ------------------------------------------------------------ one connection

    def carry(self, message: Message, done: OnReception) -> None:
        """Announce the grant that ``message.address`` names as it is stored now; taken as soon as one relay has it."""
        self._background.spawn(self._carry(message.address.decode(), done))

    async def _carry(self, grant_id: str, done: OnReception) -> None:
        is_taken = False
        try:
            grant = await self._store.grant(grant_id)
            is_taken = grant is None or grant.wire not in ANNOUNCED
            if grant is not None and not is_taken:
                is_taken = await self.announce(grant) and await self._tell_elsewhere(grant)
        except KitestringError as failure:
            self._log.warning("a connection is not announced yet: %s", failure.message)
        except Exception:  # noqa: BLE001 - not hidden: it is logged, and the outbox tries again
            self._log.exception("a connection is not announced yet")
        done(Reception.TAKEN if is_taken else Reception.UNSENT)

    async def _tell_elsewhere(self, grant: Grant) -> bool:
        """Tell an app that has asked for its connection, at the relays where it waits and that are none of ours."""
        if self._rendezvous is None or not grant.asked_relays:
            return True
        urls = self._rendezvous.elsewhere(grant.asked_relays, self._urls())
        if not urls:
            return True
        known, announcement = self._of(grant), ANNOUNCED[grant.wire]
        draft = self._draft(grant)
        if grant.revoked_at is not None:
            draft = announcement.deletion(grant.service_pubkey, known.said_id)
        event = self._sign(grant, known, draft)
        if await self._rendezvous.tell(event, self._keyring.connection_key(grant.grant_id), urls):
            return True
        since = grant.revoked_at or grant.created_at
        return self._clock.now() > since + WAITS_S

    async def announce(self, grant: Grant) -> bool:
        """Publish what a connection may do now, or delete what was said of one that was revoked; whether a relay has
        it. Waits for the first relay. What is older than what relays know, or is being said already, is not said
        again."""
        known = self._of(grant)
        async with known.turn:
            if known.version < grant.version:
                await self._say_new(grant, known)
        return known.version >= grant.version

    async def _say_new(self, grant: Grant, known: _Announced) -> None:
        if not known.has_ready(grant.version, self._clock.now()):
            self._prepare(grant, known)
        if known.event is not None:
            await self._relays_there()
            await self._send(known)
        if known.version < grant.version and known.event is None:
            self._stop_deleting(grant, known)

    def _stop_deleting(self, grant: Grant, known: _Announced) -> None:
        """Every relay has refused for good what was said: of an end that is long ago it is not said again."""
        if grant.revoked_at is not None and self._clock.now() - grant.revoked_at > DELETE_S:
            log.warning("no relay deletes what was announced about connection %s, which was revoked", grant.name)
            known.version = grant.version
            self._settle(known)

    def said(self, grant: Grant) -> dict[str, Verdict]:
        """The latest words of each relay about the announcement of ``grant``."""
        known = self._of(grant)
        taken = self._urls() - known.missing if known.version >= grant.version else frozenset[str]()
        now = {} if known.event is None else self._pool.verdicts(known.event.id)
        return {**dict.fromkeys(taken, ACCEPTED), **known.refusals, **now}

    # ------------------------------------------------------------ all of them

    def is_look_due(self) -> bool:
        """Whether it is time for :meth:`keep_announcing`."""
        if self._looked_at is None:
            return True
        is_anew = any(self._connects.get(row.url, 0) < row.connects for row in self._pool.status())
        return self._clock.monotonic() >= self._looked_at + (LOOK_ANEW_S if is_anew else LOOK_S)

    async def keep_announcing(self, grants: Sequence[Grant]) -> None:
        """One round of every connection that is alive, once a relay is there: relays that do not show what it may do
        are told, and all of them a day after the last time. What is being announced, waits for a relay, or was
        announced since this began is passed over."""
        wanted = [
            grant for grant in grants if grant.revoked_at is None or self._of(grant).has_said_before(grant.version)
        ]
        before = {grant.grant_id: self._of(grant).version for grant in wanted}
        await self._relays_there()
        await self._look([grant for grant in wanted if grant.revoked_at is None])
        for start in range(0, len(wanted), TOGETHER):
            part = wanted[start : start + TOGETHER]
            due = [grant for grant in part if self._is_due(grant, before[grant.grant_id])]
            await asyncio.gather(*(self._refresh(grant) for grant in due))
        await self.publish_missing()

    def _is_due(self, grant: Grant, before: int) -> bool:
        known = self._of(grant)
        on_its_way = known.turn.locked() or (
            known.version < grant.version and known.has_ready(grant.version, self._clock.now())
        )
        is_old = self._clock.now() >= known.signed_at + REFRESH_S
        return known.version == before <= grant.version and not on_its_way and (is_old or known.version < grant.version)

    async def _refresh(self, grant: Grant) -> None:
        known = self._of(grant)
        async with known.turn:
            self._prepare(grant, known)
            await self._send(known)

    async def _look(self, grants: Sequence[Grant]) -> None:
        """Compare what relays show with what is to be said, and have those told that lack it."""
        self._looked_at = self._clock.monotonic()
        self._connects = {row.url: row.connects for row in self._pool.status()}
        for kind, those in _by_kind(grants).items():
            for start in range(0, len(those), KEYS):
                part = those[start : start + KEYS]
                shown = await self._read_back.shown(kind, [grant.service_pubkey for grant in part])
                for grant in part:
                    self._compare(grant, {url: events.get(grant.service_pubkey) for url, events in shown.items()})

    def _compare(self, grant: Grant, shown: Mapping[str, Event | None]) -> None:
        known = self._of(grant)
        if known.turn.locked() or known.version < known.made_for:  # it is being said
            return
        draft = self._draft(grant)
        good = {url: event for url, event in shown.items() if event is not None and self._says(event, draft, known)}
        if known.version == 0 and good:
            self._adopt(grant, known, good)
        elif known.version == grant.version:
            known.in_vain -= good.keys()
            self._restore(grant, known, frozenset(shown.keys() - good.keys() - known.in_vain))

    def _restore(self, grant: Grant, known: _Announced, lacking: frozenset[str]) -> None:
        """Have the relays told that lack what they had taken, and no others."""
        if not lacking:
            return
        if known.event is None:
            self._prepare(grant, known)
            known.missing = NOWHERE
        known.missing |= lacking
        known.in_vain |= lacking

    def _says(self, event: Event, draft: Draft, known: _Announced) -> bool:
        """Whether ``event`` is ours, says what ``draft`` says, and is not dated so far ahead that an app passes it
        over."""
        is_same = (event.content, event.tags) == (draft.content, draft.tags)
        is_timely = event.created_at <= self._clock.now() + AHEAD_S
        return is_same and is_timely and (event.id == known.said_id or verify_event(event))

    def _adopt(self, grant: Grant, known: _Announced, good: Mapping[str, Event]) -> None:
        """Take what an earlier process has announced for our own: nobody has to be told anew but those that lack it,
        or have not shown what they have."""
        event = max(good.values(), key=lambda one: one.created_at)
        known.version = known.made_for = grant.version
        known.said_id, known.signed_at, known.taken_at = event.id, event.created_at, event.created_at
        known.missing = self._urls() - good.keys()
        if known.missing:
            known.event = event
            self._behind.add(known)

    async def publish_missing(self) -> None:
        """Send again what connected relays have not taken; the same events, so that a deletion fits all of them."""
        there = frozenset(self._pool.connected_urls())
        waiting = [known for known in self._behind if known.missing & there and not known.turn.locked()]
        for start in range(0, len(waiting), TOGETHER):
            await asyncio.gather(*(self._send(known) for known in waiting[start : start + TOGETHER]))
        self._report()

    def _report(self) -> None:
        """One line when a relay has come to miss something, for all connections and once: it may be down for long.
        What is being announced, or waits for the first relay, is not missed yet."""
        urls = self._urls()
        misses = Counter(url for known in self._behind if not known.turn.locked() for url in known.misses(urls))
        self._reported.intersection_update({url for known in self._behind for url in known.misses(urls)})
        if not misses.keys() <= self._reported:
            log.warning(
                "announcements of connections are missing on relays, and are sent again: %s",
                ", ".join(f"{url} misses {count}{self._why(url)}" for url, count in sorted(misses.items())),
            )
            self._reported.update(misses)

    def _why(self, url: str) -> str:
        """The words of one relay in brackets, as far as it has said any."""
        refused = (known.refusals[url].message for known in self._behind if url in known.refusals)
        words = next(filter(None, refused), "")
        return f" ({words})" if words else ""

    # ------------------------------------------------------------ how it is said

    def _draft(self, grant: Grant) -> Draft:
        """The announcement of what a living grant may do."""
        announcement = ANNOUNCED[grant.wire]
        return announcement.add(announcement.write(grant, self._without), allowed(self._plugins, grant))

    def _of(self, grant: Grant) -> _Announced:
        return self._known.setdefault(grant.grant_id, _Announced())

    def _urls(self) -> frozenset[str]:
        return frozenset(row.url for row in self._pool.status())

    async def _relays_there(self) -> None:
        """Wait for the first relay, and shortly for the others: that a service starts is no reason for a warning. One
        that has failed before is not waited for: it gets what it misses later, and a good one has the change at once.
        """
        if await self._pool.connected():
            await self._pool.until(self._all_tried, OTHERS_S)

    def _all_tried(self) -> bool:
        return all(row.connected or row.last_error for row in self._pool.status())

    def _prepare(self, grant: Grant, known: _Announced) -> None:
        """Sign what is to be said of ``grant``; all relays miss it then. Of what another process has announced before a
        crash nothing is known here: an end is always said."""
        announcement = ANNOUNCED[grant.wire]
        if grant.revoked_at is None:
            event = self._sign(grant, known, self._draft(grant))
            known.said_id = event.id
        else:
            event = self._sign(grant, known, announcement.deletion(grant.service_pubkey, known.said_id))
        known.event, known.made_for, known.missing = event, grant.version, self._urls()
        known.in_vain = NOWHERE
        self._behind.add(known)

    async def _send(self, known: _Announced) -> None:
        """Send the event to the connected relays that miss it."""
        event, urls = known.event, known.missing.intersection(self._pool.connected_urls())
        if event is None or not urls:
            return
        result = await self._pool.publish(event, urls, deadline_s=PUBLISH_S, every=True)
        if any(_answer(result, url) is RelayAnswer.ACCEPTED for url in urls):
            known.taken_at = max(known.taken_at, event.created_at)
        if known.event is event:
            known.note(urls, result)
            self._settle(known)

    def _settle(self, known: _Announced) -> None:
        if not known.misses(self._urls()):
            self._behind.discard(known)

    def _sign(self, grant: Grant, known: _Announced, draft: Draft) -> Event:
        key = self._keyring.connection_key(grant.grant_id)
        # Of two replaceable events of one second relays keep the lower id: a change would be lost half of the time.
        # What a clock that was ahead has signed, and no relay has taken, is no reason to stay ahead.
        now = self._clock.now()
        known.signed_at = max(now, known.taken_at + 1, min(known.signed_at, now) + 1)
        return sign_event(
            key, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=known.signed_at,
            aux=self._entropy(32),
        )  # fmt: skip


def _by_kind(grants: Iterable[Grant]) -> dict[int, list[Grant]]:
    """Grants by the kind of event that announces them."""
    found: dict[int, list[Grant]] = {}
    for grant in grants:
        found.setdefault(ANNOUNCED[grant.wire].kind, []).append(grant)
    return found


def _answer(result: PublishResult, url: str) -> RelayAnswer:
    return result.relays.get(url, UNANSWERED).answer
