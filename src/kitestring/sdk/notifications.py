"""Tell what happens in a wallet, as it happens: an iterator that goes on over lost connections and restarts.

The wallet tells, and whoever was not there to hear looks at its list: at the beginning, whenever a relay was away, and
now and then. So nothing is lost, and what is told and found is told once.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.base.ports import Clock
from kitestring.sdk.position import Position
from kitestring.sdk.source import Hears, PaymentSource
from kitestring.wire.ask.nwc.notifications import HELD_TYPE, SETTLED_TYPES, TYPES, Notification

_log: Final = logging.getLogger(__name__)

#: Seconds before the beginning that count as now: the clocks of wallet and program differ.
CLOCKS_S: Final = 60
#: Seconds that the relays have to begin telling, before the first look at the list.
LISTEN_S: Final = 10.0
#: Transactions asked for at once, and the pages that one look reads at most: of more, the older ones are not found.
PAGE: Final = 50
MAX_PAGES: Final = 400
#: No wallet has pages shorter than this, so that a shorter one is the last; and one that shows so many pages without
#: anything new turns none.
SHORT_PAGE: Final = 10
MAX_OLD_PAGES: Final = 5
#: Seconds between two looks at the last day. A wallet that does not promise to tell is looked at more often, and its
#: newest page all the time.
LOOK_S: Final = 600.0
POLL_RECENT_S: Final = 60.0
POLL_S: Final = 5.0
RECENT_S: Final = 86_400
#: Seconds from one look to the next, whatever was missed or has failed.
AGAIN_S: Final = 5.0
#: For good: the wallet does not show its list to this connection.
_CLOSED: Final = frozenset({Reason.NOT_PERMITTED, Reason.UNSUPPORTED})


class Notifications:
    """Made by ``Wallet.notifications``. Use it in ``async for``; it ends with its wallet, or with :meth:`close`.

    ``position`` is the place up to which it has told. A program that keeps it, after it has dealt with what it was
    told, gives it back as ``since`` and goes on where it was: nothing is left out, and only what it was dealing with
    when it died comes again.
    """

    def __init__(
        self, source: PaymentSource, clock: Clock, since: int | str | None, types: Iterable[str], lifetime_s: int
    ) -> None:
        self._types: Final = frozenset(types)
        unknown = sorted(self._types - TYPES.keys())
        if unknown or not self._types:
            wrong = f"{unknown[0]!r} is no type of notification" if unknown else "notifications need a type"
            raise KitestringError(Reason.MALFORMED, f"{wrong}; there are {', '.join(TYPES)}")
        self._wants_held: Final = HELD_TYPE in self._types  # the only one for which what is unpaid is listed
        self._source: Final = source
        self._clock: Final = clock
        self._lifetime_s: Final = lifetime_s
        self._back_s: int = RECENT_S if since is None else lifetime_s  # of the first look: nobody was away before it
        self._place: Final = _place(since, clock.now())
        self._hearing: Final[Hears] = source.hearing(self._place.floor)
        self._is_open = self.is_closed = False
        self._ready: Final[deque[Notification]] = deque()
        self._can_look = True
        self._not_before = self._recent_due = self._newest_due = 0.0  # when to look, by the monotonic clock
        self._was_warned = False

    @property
    def position(self) -> str:
        """The place after the notification that came last, as a text of at most 13,000 characters."""
        return str(self._place)

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it: whoever waits for the next one is told that there is none."""
        self.is_closed = True
        await self._hearing.close()

    async def __anext__(self) -> Notification:
        """The next notification; waits for it, forever. A connection that is lost comes back by itself. Raises
        KitestringError: NOT_PERMITTED or UNSUPPORTED where the wallet promises to tell nothing, and shows no list;
        CONNECTION_ENDED where the connection was revoked or has expired."""
        await self._open()
        while not self._ready:
            if self.is_closed:
                raise StopAsyncIteration
            wait_s = self._due() - self._clock.monotonic()
            if wait_s <= 0:
                await self._look()
            else:
                await self._hear(min(wait_s, LOOK_S))
        found = self._ready.popleft()
        self._place.add(found.type, found.transaction, self._clock.now())
        return found

    async def _open(self) -> None:
        """Listen first, then look: what comes in between is heard, found, or both."""
        if not self._is_open and not self.is_closed:
            await self._hearing.open(LISTEN_S)
            self._is_open = True

    async def _hear(self, wait_s: float) -> None:
        heard = await self._hearing.next(wait_s)
        if heard is not None:
            self._offer([heard])

    def _offer(self, found: Iterable[Notification]) -> None:
        """Have those told that were not told yet. Each is there once, and nothing else waits to be told."""
        now = self._clock.now()
        self._ready.extend(
            one for one in found if one.type in self._types and self._place.is_new(one.type, one.transaction, now)
        )

    # ------------------------------------------------------------ looked for

    def _due(self) -> float:
        """The time of the next look."""
        if not self._can_look:
            return float("inf")
        wanted = 0.0 if self._hearing.has_missed else min(self._recent_due, self._newest_due)
        return max(wanted, self._not_before)

    async def _look(self) -> None:
        """Look at the list as far back as is due. A list that is not shown is not asked for again."""
        now, hearing = self._clock.monotonic(), self._hearing
        is_full, is_recent = hearing.has_missed, hearing.has_missed or now >= self._recent_due
        back_s = self._back_s if is_full else RECENT_S
        hearing.has_missed = False
        self._not_before = now + AGAIN_S
        try:
            found = await self._find(max(0, self._place.floor - back_s), MAX_PAGES if is_recent else 1)
        except BaseException as failure:  # whoever waits may be cancelled, and ask again
            hearing.has_missed = hearing.has_missed or is_full
            if not isinstance(failure, KitestringError):
                self._not_before = now
                raise
            self._note_failure(failure)
            return
        self._was_warned = False
        if is_full:
            self._back_s = self._lifetime_s
        if is_recent:
            self._recent_due = now + (LOOK_S if hearing.is_promised else POLL_RECENT_S)
        self._newest_due = self._recent_due if hearing.is_promised else now + POLL_S
        self._offer(found)

    def _note_failure(self, failure: KitestringError) -> None:
        if failure.reason is Reason.CONNECTION_ENDED:
            raise failure  # nothing will ever be told over it
        if failure.reason in _CLOSED:
            if not self._hearing.is_promised:
                raise failure
            self._can_look = False
            _log.warning("the wallet does not show its list: what it says while no relay is there is lost")
        elif not self._was_warned:
            self._was_warned = True
            _log.warning("the wallet's list cannot be read, and is tried again: %s", failure.message)

    async def _find(self, since: int, pages: int) -> list[Notification]:
        """List what has ended or is held, and was made since then, the oldest end first. Pages go by time: what comes
        meanwhile moves no other one out of sight."""
        found: dict[tuple[str, str, str], Transaction] = {}
        until = offset = old_pages = 0
        for _ in range(pages):
            query = ListTransactions(
                from_=since, until=until, limit=PAGE, offset=offset, direction=self._direction(),
                unpaid_incoming=self._wants_held, unpaid_outgoing=self._wants_held,
            )  # fmt: skip
            page = await self._source.transactions(query)
            new = {(row.type.value, row.state.value, row.payment_hash): row for row in page}
            old_pages = old_pages + 1 if new.keys() <= found.keys() else 0
            found |= new
            if len(page) < SHORT_PAGE or old_pages >= MAX_OLD_PAGES:
                break
            oldest = min(row.created_at for row in page)
            is_further = not old_pages and oldest > 0 and oldest + 1 != until
            until, offset = (oldest + 1, 0) if is_further else (until, offset + len(page))
        else:
            if pages > 1:
                _log.warning("of the wallet's list only the newest %d were looked at", len(found))
        told = [Notification(name, row) for row in found.values() if (name := _told_of(row)) and row.payment_hash]
        return sorted(told, key=lambda one: one.transaction.settled_at or one.transaction.created_at)

    def _direction(self) -> str:
        """The only direction that is asked for, "" for both."""
        wanted = {TYPES[name] for name in self._types} & self._hearing.directions
        return wanted.pop().value if len(wanted) == 1 else ""


def _told_of(row: Transaction) -> str:
    """The type of the notification that this row of a list stands for, "" for none."""
    if row.state is TransactionState.SETTLED:
        return SETTLED_TYPES[row.type]
    is_held = row.state is TransactionState.ACCEPTED and row.type is Direction.INCOMING
    return HELD_TYPE if is_held else ""


def _place(since: int | str | None, now: int) -> Position:
    if since is None:
        return Position(max(0, now - CLOCKS_S))
    return Position.read(since) if isinstance(since, str) else Position(max(0, since))
