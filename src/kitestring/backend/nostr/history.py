"""A wallet's list of transactions, read in pages; and the settlements in it, found by asking again and again.

NIP-47 lists by the time of creation, the newest first. So what was settled just now may stand anywhere: an invoice can
be paid days after it was made. The newest page is looked at often, everything that can still be paid now and then.
What lies deeper than a scan goes is found by the service itself, which looks up each of its open invoices.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from kitestring.base.commands import MAX_EXPIRY_S, ListTransactions
from kitestring.base.node import Settlement
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.base.payments import preimage_fits
from kitestring.base.ports import Clock

#: Rows asked for at once. Wallets answer with fewer where they are long.
PAGE: Final = 50
#: An invoice that was made earlier has expired: the longest life of one, and a day for clocks that differ.
WINDOW_S: Final = MAX_EXPIRY_S + 86_400
#: A settlement that the wallet dates further ahead of our clock, in seconds, is told and is no place to go on from:
#: behind it nothing would be news any more.
AHEAD_S: Final = 86_400
#: Rows that one scan looks at, 40 pages: a wallet allows some hundred requests a minute.
MAX_SCANNED: Final = 2_000
#: Settlements remembered as told; more than a scan sees, so that none of it is told twice.
MAX_TOLD: Final = 20_000
#: Rows of a whole list, for the audit: 2,000 pages.
MAX_LISTED: Final = 100_000
#: Hashes in a cursor: those that settled in its second.
MAX_IN_A_SECOND: Final = 50

Listing = Callable[[ListTransactions], Awaitable[tuple[Transaction, ...]]]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two questions.

    ``poll_s``: for what has settled, of the newest page; ``scan_s``: of all that can still be paid. ``track_s``: for
    the end of a payment, at most ``track_limit_s`` long. ``hold_s``: whether an invoice is held now, of each that is
    followed; ``hold_heard_s`` where the wallet tells so by itself.
    """

    poll_s: float = 3.0
    scan_s: float = 120.0
    track_s: float = 2.0
    track_limit_s: float = 120.0
    hold_s: float = 10.0
    hold_heard_s: float = 60.0


DEFAULT_PACE: Final = Pace()


class SettledBy(NamedTuple):
    """A place in the order of settlements: a second (Unix time, by the wallet's clock) and what was told of it."""

    second: int
    told: tuple[str, ...]

    @classmethod
    def of(cls, cursor: bytes) -> SettledBy:
        """Read a cursor. Raises ValueError."""
        second, *told = cursor.decode().split(" ")
        return cls(int(second), tuple(told))

    def after(self, row: Transaction, latest: int) -> SettledBy:
        """The place once ``row`` is told too; none lies behind ``latest``."""
        second = row.settled_at or 0
        if not self.second <= second <= latest:  # it was seen late, or is dated as nothing can be
            return self
        told = (*self.told, row.payment_hash) if second == self.second else (row.payment_hash,)
        return SettledBy(second, told[-MAX_IN_A_SECOND:])

    def is_before(self, row: Transaction) -> bool:
        """Whether ``row`` was not told yet."""
        second = row.settled_at or 0
        return second > self.second or (second == self.second and row.payment_hash not in self.told)

    def __bytes__(self) -> bytes:
        return " ".join((str(self.second), *self.told)).encode()


#: Before the first settlement.
BEGINNING: Final = SettledBy(-1, ())


async def rows(listing: Listing, query: ListTransactions, limit: int) -> AsyncGenerator[Transaction, None]:
    """Entries of one direction, the newest first, page by page, at most ``limit``; each hash once.

    A page that brings nothing new is the last one, also where a wallet heeds no offset. What has no hash, as money on
    chain that some wallets list, is passed over, and is new all the same.
    """
    seen: set[str | Transaction] = set()
    offset = 0
    while offset < limit:
        page = await listing(_page(query, offset))
        offset += len(page)
        fresh = [row for row in page if (row.payment_hash or row) not in seen]
        for row in fresh:
            if row.type == query.direction and row.payment_hash and row.payment_hash not in seen:
                yield row
            seen.add(row.payment_hash or row)
        if not fresh:
            return


def _page(query: ListTransactions, offset: int) -> ListTransactions:
    return ListTransactions(
        from_=query.from_, limit=PAGE, offset=offset, unpaid_incoming=query.unpaid_incoming,
        unpaid_outgoing=query.unpaid_outgoing, direction=query.direction,
    )  # fmt: skip


class Settlements:
    """The stream of what has settled. ``has`` says whether the wallet still knows an invoice by its hash."""

    def __init__(self, listing: Listing, has: Callable[[str], Awaitable[bool]], clock: Clock, pace: Pace) -> None:
        self._listing = listing
        self._has = has
        self._clock = clock
        self._pace = pace
        self._told: dict[str, None] = {}
        self._scanned_s = float("-inf")

    async def after(self, cursor: bytes) -> AsyncGenerator[Settlement, None]:
        """Settlements after ``cursor`` (a :class:`SettledBy`), forever; b"" begins with what settles from now on. A
        cursor of an invoice that the wallet does not know any more is of another life of it: then all that a scan finds
        is told. Raises what a question raises; the caller goes on from its last cursor."""
        last = SettledBy.of(cursor) if cursor else BEGINNING
        if last.second > self._latest() or (last.told and not await self._has(last.told[-1])):
            last = BEGINNING
        found = await self._settled()
        known = found if not cursor else [row for row in found if not last.is_before(row)]
        self._remember(known)
        while True:
            # Wallets tell whole seconds: within one, what was made first comes first.
            for row in sorted(found, key=lambda row: row.settled_at or 0):
                if row.payment_hash in self._told:
                    continue
                self._remember([row])
                last = last.after(row, self._latest())
                yield _settlement(row, last)
            await self._clock.sleep(self._pace.poll_s)
            found = await self._settled()

    def _latest(self) -> int:
        return self._clock.now() + AHEAD_S

    async def _settled(self) -> list[Transaction]:
        """List what has settled, the oldest first: of the newest page, or of everything that can still be paid where it
        is time for that, or where that page brings nothing but news."""
        query = ListTransactions(from_=max(self._clock.now() - WINDOW_S, 0), direction=Direction.INCOMING.value)
        now_s = self._clock.monotonic()
        if now_s - self._scanned_s < self._pace.scan_s:
            page = await self._listing(_page(query, 0))
            if not page or any(row.payment_hash in self._told for row in page):
                return [row for row in reversed(page) if _is_settled(row)]
        found = [row async for row in rows(self._listing, query, MAX_SCANNED) if _is_settled(row)]
        self._scanned_s = now_s
        found.reverse()
        return found

    def _remember(self, told: list[Transaction]) -> None:
        self._told.update((row.payment_hash, None) for row in told)
        while len(self._told) > MAX_TOLD:
            del self._told[next(iter(self._told))]


def _is_settled(row: Transaction) -> bool:
    """Wallets that heed no filter list the others too, and some list what has no hash."""
    return row.type is Direction.INCOMING and row.state is TransactionState.SETTLED and bool(row.payment_hash)


def _settlement(row: Transaction, place: SettledBy) -> Settlement:
    preimage = row.preimage if preimage_fits(row.preimage, row.payment_hash) else ""
    return Settlement(row.payment_hash, row.amount_msat, row.settled_at or 0, preimage, bytes(place))
