"""The consumer of the feed that fills the outbox: which events are told to others, and to whom.

A row of :data:`NOTICES` says which messages an event makes. Position and messages are one commit, so that over a crash
no event is passed over and none makes its messages twice.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kitestring.app.service.announcer import ANNOUNCEMENT
from kitestring.app.service.log_carrier import GOOD_NEWS
from kitestring.app.service.notifier import NOTIFIED, notification
from kitestring.app.service.seldom import Seldom
from kitestring.app.service.zap_carrier import zapped
from kitestring.base.errors import KitestringError
from kitestring.base.events import GRANT_CHANGES, EventKind, FeedEvent, Missed
from kitestring.base.grants import Grant
from kitestring.base.ports import Clock
from kitestring.base.records import LOG, Message
from kitestring.base.store import Reads
from kitestring.engine.feed import Consumer, Feed

log = logging.getLogger(__name__)

#: The name under which the feed knows this consumer.
CONSUMER: Final = "notices"
#: Seconds until a step that the disk refused is tried again.
AGAIN_S: Final = 1.0
#: Grants that are remembered (about 1 kB each); beyond it all are looked up anew.
MAX_GRANTS: Final = 10_000
#: Accounts of which is remembered who is shown all of their payments (about 200 bytes where nobody is).
MAX_ACCOUNTS: Final = 50_000
#: Connections that hear of what others did with their account: each payment makes a message for each of them. The
#: others see it in their lists.
MAX_HEARERS: Final = 100


@dataclass(frozen=True, slots=True)
class Notice:
    """Events of ``kinds`` make the messages that ``make`` gives, often none."""

    kinds: frozenset[EventKind]
    make: Callable[[FeedEvent], Iterator[Message]]


@dataclass(frozen=True, slots=True)
class GrantNotice:
    """As :class:`Notice`, for what a grant may see: ``make`` is given the grant as it is stored now, and the time (Unix
    seconds). That is the one that the event belongs to, and each that is shown all of its account."""

    kinds: frozenset[EventKind]
    make: Callable[[FeedEvent, Grant, int], Iterator[Message]]


Notices = tuple[Notice | GrantNotice, ...]


def announcement(event: FeedEvent) -> Iterator[Message]:
    """Tell the relays what a connection may do now; that is looked up when the message is sent."""
    yield Message("", ANNOUNCEMENT, b"", b"", event.at, event.subject.encode())


def alarm(event: FeedEvent) -> Iterator[Message]:
    """Tell the operator, in the log."""
    yield Message("", LOG, event.detail.encode(), b"", event.at)


def good_news(event: FeedEvent) -> Iterator[Message]:
    """Tell the operator, in the log, what is well again."""
    yield Message("", LOG, event.detail.encode(), b"", event.at, GOOD_NEWS)


NOTICES: Final[Notices] = (
    Notice(GRANT_CHANGES, announcement),
    Notice(frozenset({EventKind.ALARM}), alarm),
    Notice(frozenset({EventKind.ALLOWED}), good_news),
    GrantNotice(NOTIFIED, notification),
    Notice(frozenset({EventKind.ZAPPED}), zapped),
)


class _Grants:
    """Grants as the feed has left them: they are looked up again when one has changed, so that a payment costs no
    look-up, and none that nobody is told of is even read. Whoever tells an app reads the grant once more."""

    def __init__(self, store: Reads) -> None:
        self._store: Final = store
        self._known: Final[dict[str, Grant | None]] = {}
        self._shown: Final[dict[str, tuple[Grant, ...]]] = {}  # by account: who is shown all of it

    def heed(self, rows: Iterable[FeedEvent | Missed]) -> None:
        """Forget what has changed; all, where changes were missed."""
        for row in rows:
            if isinstance(row, Missed):
                log.error("%d events were forgotten before anybody was told of them", row.count)
                self._known.clear()
                self._shown.clear()
            elif row.kind in GRANT_CHANGES:
                self._known.pop(row.subject, None)
                self._shown.pop(row.account_id, None)

    def may_be_told(self, notice: GrantNotice, event: FeedEvent, now: int) -> bool:
        """Whether the event makes a message. One of which somebody has to be looked up may."""
        own, shown = event.grant_id, event.account_id
        if (own and own not in self._known) or (shown and shown not in self._shown):
            return True
        return any(next(notice.make(event, grant, now), None) is not None for grant in self._hearers(event))

    async def of(self, event: FeedEvent) -> list[Grant]:
        """The grants that may see what the event tells, each once. Raises KitestringError where the ledger cannot be
        read."""
        own, account_id = event.grant_id, event.account_id
        if own and own not in self._known:
            if len(self._known) >= MAX_GRANTS:
                self._known.clear()
            self._known[own] = await self._store.grant(own)
        if account_id and account_id not in self._shown:
            if len(self._shown) >= MAX_ACCOUNTS:
                self._shown.clear()
            self._shown[account_id] = tuple(await self._store.grants_shown(account_id, MAX_HEARERS))
        return self._hearers(event)

    def _hearers(self, event: FeedEvent) -> list[Grant]:
        own = self._known.get(event.grant_id)
        others = [one for one in self._shown.get(event.account_id, ()) if one.grant_id != event.grant_id]
        return others if own is None else [own, *others]


async def give_notice(feed: Feed, store: Reads, clock: Clock, notices: Notices = NOTICES) -> None:
    """Follow the feed, forever."""
    kinds = GRANT_CHANGES.union(*(notice.kinds for notice in notices))
    of_kind = {kind: tuple(notice for notice in notices if kind in notice.kinds) for kind in kinds}
    lines, grants = Seldom(log, clock), _Grants(store)

    def concerns(event: FeedEvent) -> bool:
        """Whether it may make a message, or changes what others make. That of most payments makes none."""
        now = clock.now()
        return event.kind in GRANT_CHANGES or any(
            isinstance(notice, Notice) or grants.may_be_told(notice, event, now) for notice in of_kind[event.kind]
        )

    with await feed.consumer(CONSUMER, kinds, concerns) as consumer:
        rows: list[FeedEvent | Missed] = []
        while True:
            try:
                if not rows:
                    rows = await consumer.read()
                    grants.heed(rows)  # all of them, before anything else is heard
                made = [message for row in rows async for message in _made(row, notices, grants, clock.now())]
                await _tell(consumer, made, clock, lines)
                rows = []
            except KitestringError as failure:
                lines.warning("the feed cannot be read: %s", failure.message)
                await clock.sleep(AGAIN_S)


async def _tell(consumer: Consumer, messages: list[Message], clock: Clock, lines: Seldom) -> None:
    """Store the messages, however often the disk refuses: the events that were read are not read again."""
    while True:
        try:
            await consumer.done(messages)
            return
        except KitestringError as failure:
            lines.warning("notices are not in the outbox yet: %s", failure.message)
            await clock.sleep(AGAIN_S)


async def _made(row: FeedEvent | Missed, notices: Notices, grants: _Grants, now: int) -> AsyncIterator[Message]:
    """The messages of one event. Raises KitestringError where the ledger cannot be read."""
    if isinstance(row, Missed):
        return
    for notice in notices:
        if row.kind not in notice.kinds:
            continue
        if isinstance(notice, Notice):
            for message in notice.make(row):
                yield message
        else:
            for grant in await grants.of(row):
                for message in notice.make(row, grant, now):
                    yield message
