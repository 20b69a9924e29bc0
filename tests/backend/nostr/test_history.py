"""A wallet's list in pages, and the settlements that are found in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from kitestring.backend.nostr import history
from kitestring.backend.nostr.history import DEFAULT_PACE, PAGE, WINDOW_S, Pace, SettledBy, Settlements, rows
from kitestring.base.commands import ListTransactions
from kitestring.base.money import ZERO, Msat
from kitestring.base.node import Settlement
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.base.payments import preimage_fits
from tests.kit.changed import replace
from tests.kit.clock import NOW, WalkingClock
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE

INCOMING = ListTransactions(direction="incoming")
SETTLED, PENDING = TransactionState.SETTLED, TransactionState.PENDING


def row(number: int, settled_at: int | None = None, type_: Direction = Direction.INCOMING) -> Transaction:
    """The invoice with this number, made in that second."""
    state = PENDING if settled_at is None else SETTLED
    return Transaction(type_, state, f"{number:064x}", Msat(1_000), ZERO, number, settled_at=settled_at)


class Wallet:
    """Lists what it has, the newest first, ``page`` rows at a time, and only what has settled unless asked for more."""

    def __init__(self, *entries: Transaction, page: int = PAGE) -> None:
        self.entries = list(entries)
        self.page = page
        self.asked: list[ListTransactions] = []

    async def list(self, query: ListTransactions) -> tuple[Transaction, ...]:
        self.asked.append(query)
        shown = [entry for entry in self.entries if query.unpaid_incoming or entry.state is SETTLED]
        shown = sorted(shown, key=lambda entry: -entry.created_at)[query.offset :]
        return tuple(shown[: min(query.limit, self.page)])

    async def has(self, payment_hash: str) -> bool:
        return any(entry.payment_hash == payment_hash for entry in self.entries)

    def settle(self, number: int, at: int) -> None:
        self.entries = [entry for entry in self.entries if entry.created_at != number]
        self.entries.append(row(number, at))

    def stream(
        self, clock: WalkingClock, cursor: bytes = b"", pace: Pace = DEFAULT_PACE
    ) -> AsyncGenerator[Settlement, None]:
        return Settlements(self.list, self.has, clock, pace).after(cursor)


async def read(wallet: Wallet, query: ListTransactions = INCOMING, limit: int = 1_000) -> list[int]:
    return [entry.created_at async for entry in rows(wallet.list, query, limit)]


async def take(stream: AsyncGenerator[Settlement, None], count: int) -> list[Settlement]:
    return [await anext(stream) for _ in range(count)]


def numbers(found: list[Settlement]) -> list[int]:
    return [int(entry.payment_hash, 16) for entry in found]


async def test_a_list_is_read_to_its_end_whatever_the_length_of_the_pages() -> None:
    entries = [row(number, 1) for number in range(1, 8)]
    for page in (1, 3, 7, 50):
        assert await read(Wallet(*entries, page=page)) == [7, 6, 5, 4, 3, 2, 1]


async def test_a_list_is_read_no_longer_than_allowed() -> None:
    wallet = Wallet(*[row(number, 1) for number in range(1, 8)], page=2)
    assert await read(wallet, limit=4) == [7, 6, 5, 4]


async def test_what_comes_twice_or_is_of_the_other_direction_is_left_out() -> None:
    wallet = Wallet(row(1, 1), row(2, 1, Direction.OUTGOING), row(2, 1, Direction.OUTGOING), row(3, 1), page=3)
    assert await read(wallet) == [3, 1]


async def test_a_page_of_entries_without_a_hash_hides_nothing_behind_it() -> None:
    on_chain = [replace(row(number, 1), payment_hash="") for number in range(2, 8)]
    wallet = Wallet(row(1, 1), *on_chain, row(8, 1), page=3)
    assert await read(wallet) == [8, 1]


async def test_a_wallet_that_heeds_no_offset_is_not_asked_for_ever() -> None:
    class Stuck(Wallet):
        async def list(self, query: ListTransactions) -> tuple[Transaction, ...]:
            return await super().list(replace(query, offset=0))

    wallet = Stuck(row(1, 1), row(2, 1), page=1)
    assert await read(wallet) == [2]
    assert len(wallet.asked) == 2


async def test_from_now_on_means_that_the_past_is_not_told() -> None:
    class Sold(Wallet):
        """The second invoice is paid right after the first look."""

        async def list(self, query: ListTransactions) -> tuple[Transaction, ...]:
            found = await super().list(query)
            self.settle(2, 20)
            return found

    stream = Sold(row(1, 10), row(2), row(3)).stream(WalkingClock())
    assert numbers(await take(stream, 1)) == [2]
    await stream.aclose()


async def test_what_settled_while_nobody_looked_is_told_in_its_order_and_nothing_twice() -> None:
    clock, wallet = WalkingClock(), Wallet(row(1, 30), row(2, 20), row(3, 20), row(4, 10), row(5))
    beginning = wallet.stream(clock, bytes(SettledBy(9, (f"{4:064x}",))))
    found = await take(beginning, 4)
    await beginning.aclose()
    assert numbers(found) == [4, 2, 3, 1]  # by the second, and within it by age
    for done, entry in enumerate(found[:-1]):
        resumed = wallet.stream(clock, entry.cursor)
        assert numbers(await take(resumed, 3 - done)) == numbers(found[done + 1 :])
        await resumed.aclose()


async def test_behind_one_that_is_dated_far_ahead_whatever_settles_is_still_told() -> None:
    """A wallet that tells one time in milliseconds: after the next break nothing else would have been news."""
    clock, wallet = WalkingClock(), Wallet(row(1, 10), row(2, NOW * 1_000))
    stream = wallet.stream(clock, bytes(SettledBy(9, (f"{1:064x}",))))
    *_, last = await take(stream, 2)
    await stream.aclose()
    wallet.entries.append(row(3, NOW))
    for cursor in (last.cursor, bytes(SettledBy(NOW * 1_000, (f"{2:064x}",)))):  # one of an earlier version, too
        resumed = wallet.stream(clock, cursor)
        assert 3 in numbers(await take(resumed, 2))
        await resumed.aclose()


async def test_what_has_no_hash_is_no_settlement() -> None:
    """It would be booked under no hash at all, and be a place that no wallet knows again."""
    wallet = Wallet(row(1, 10))
    stream = wallet.stream(WalkingClock(), bytes(SettledBy(9, (f"{1:064x}",))))
    assert numbers(await take(stream, 1)) == [1]
    wallet.entries += [replace(row(2, 11), payment_hash=""), row(3, 12)]
    assert numbers(await take(stream, 1)) == [3]
    await stream.aclose()


async def test_an_old_invoice_that_is_paid_today_is_found_however_many_newer_ones_were_paid_before() -> None:
    clock = WalkingClock()
    newer = [row(number, 10) for number in range(2, 2 + 2 * PAGE)]
    wallet = Wallet(row(1), *newer)
    stream = wallet.stream(clock, bytes(SettledBy(10, (newer[0].payment_hash,))))
    await take(stream, len(newer) - 1)
    wallet.settle(1, 11)
    began_s = clock.monotonic()
    assert numbers(await take(stream, 1)) == [1]
    assert clock.monotonic() - began_s <= DEFAULT_PACE.scan_s + DEFAULT_PACE.poll_s
    await stream.aclose()


async def test_one_of_the_newest_is_found_at_the_next_poll_with_one_question() -> None:
    clock = WalkingClock()
    wallet = Wallet(row(1), row(2, 10), row(3, 10))
    stream = wallet.stream(clock, bytes(SettledBy(9, (f"{2:064x}",))))
    await take(stream, 2)
    wallet.settle(1, 11)
    before, began_s = len(wallet.asked), clock.monotonic()
    assert numbers(await take(stream, 1)) == [1]
    assert (len(wallet.asked) - before, clock.monotonic() - began_s) == (1, DEFAULT_PACE.poll_s)
    await stream.aclose()


async def test_a_page_of_nothing_but_news_is_read_on_at_once() -> None:
    clock, wallet = WalkingClock(), Wallet(row(1, 10))
    stream = wallet.stream(clock, bytes(SettledBy(9, (f"{1:064x}",))))
    await take(stream, 1)
    wallet.entries += [row(number, 20) for number in range(2, 3 * PAGE)]
    began_s = clock.monotonic()
    assert len(await take(stream, 3 * PAGE - 2)) == 3 * PAGE - 2
    assert clock.monotonic() - began_s == DEFAULT_PACE.poll_s
    await stream.aclose()


async def test_only_what_can_still_be_paid_is_asked_for() -> None:
    clock, wallet = WalkingClock(), Wallet(row(1, 10))
    stream = wallet.stream(clock, bytes(SettledBy(9, (f"{1:064x}",))))
    await take(stream, 1)
    assert {query.from_ for query in wallet.asked} == {clock.now() - WINDOW_S}
    await stream.aclose()


@pytest.mark.parametrize("cursor", [b"5000 " + b"ab" * 32, b"1 " + b"ab" * 32])
async def test_a_cursor_that_the_wallet_does_not_know_hides_nothing(cursor: bytes) -> None:
    wallet = Wallet(row(1, 10), row(2, 20))
    stream = wallet.stream(WalkingClock(), cursor)
    assert numbers(await take(stream, 2)) == [1, 2]
    await stream.aclose()


async def test_a_cursor_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await anext(Wallet().stream(WalkingClock(), b"x"))


def test_a_place_that_was_seen_late_does_not_lead_back() -> None:
    place = SettledBy(20, ("a",))
    assert place.after(row(1, 10), 99) == place
    assert place.after(row(1, 20), 99).told == ("a", f"{1:064x}")
    assert place.after(row(1, 21), 99) == SettledBy(21, (f"{1:064x}",))
    assert place.after(row(1, 100), 99) == place


async def test_what_is_remembered_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_TOLD", 2)
    stream = Settlements(Wallet().list, Wallet().has, WalkingClock(), DEFAULT_PACE)
    stream._remember([row(1, 1), row(2, 1), row(3, 1)])
    assert list(stream._told) == [f"{2:064x}", f"{3:064x}"]


@pytest.mark.parametrize("preimage", [PREIMAGE, "00" * 32, ""])
async def test_a_preimage_is_handed_on_only_if_it_fits(preimage: str) -> None:
    paid = Transaction(
        Direction.INCOMING, SETTLED, PAYMENT_HASH, Msat(7), ZERO, 1, settled_at=10, preimage=preimage
    )  # fmt: skip
    wallet = Wallet(paid)
    stream = wallet.stream(WalkingClock(), bytes(SettledBy(9, (PAYMENT_HASH,))))
    (found,) = await take(stream, 1)
    assert (found.received_msat, found.settled_at) == (Msat(7), 10)
    assert found.preimage == (preimage if preimage_fits(preimage, PAYMENT_HASH) else "")
    await stream.aclose()
