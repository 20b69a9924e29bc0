"""What happens in a wallet is told once, in its order, over lost connections, restarts and wallets of every kind."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.sdk import notifications
from kitestring.sdk.notifications import AGAIN_S, LOOK_S, PAGE, POLL_RECENT_S, POLL_S, RECENT_S, Notifications
from kitestring.transport.changes import Changes
from kitestring.wire.ask.nwc.notifications import SETTLED_TYPES, Notification
from tests.kit.clock import EPOCH, VirtualClock, virtual

WEEK_S = 604_800
BOTH = ("payment_received", "payment_sent")


class Wallet:
    """A wallet that lists what it has, and tells what happens to whoever listens while ``is_heard``.

    ``cap`` is its longest page, ``fails`` the answers to the next questions, in place of a list.
    """

    def __init__(self, clock: VirtualClock, *, promises: bool = True, cap: int = 100) -> None:
        self.clock, self.promises, self.cap = clock, promises, cap
        self.rows: list[Transaction] = []
        self.fails: list[KitestringError] = []
        self.asked: list[ListTransactions] = []
        self.is_heard = True
        self.ignores: set[str] = set()
        self.hears: list[Hearing] = []
        self._numbers = itertools.count(1)

    def hearing(self, since: int) -> Hearing:
        del since
        self.hears.append(Hearing(self))
        return self.hears[-1]

    async def transactions(self, query: ListTransactions) -> tuple[Transaction, ...]:
        self.asked.append(query)
        await self.clock.sleep(0.01)
        if self.fails:
            raise self.fails.pop(0)
        until = 0 if "until" in self.ignores else query.until
        offset = 0 if "offset" in self.ignores else query.offset
        found = [
            row
            for row in sorted(self.rows, key=lambda row: -row.created_at)
            if query.from_ <= row.created_at <= (until or 1 << 40)
            and query.direction in ("", row.type.value)
            and (row.state is TransactionState.SETTLED or (query.unpaid_incoming and query.unpaid_outgoing))
        ]
        return tuple(found[offset : offset + min(query.limit, self.cap)])

    def add(self, *, made_s: int = 0, ended_s: int = 0, direction: Direction = Direction.INCOMING, **more: Any) -> int:
        """A payment that was made and has ended so many seconds ago; its number."""
        number = next(self._numbers)
        now = self.clock.now()
        row = Transaction(
            direction, TransactionState.SETTLED, f"{number:016x}" + 48 * "0", Msat(number), Msat(0),
            now - made_s - ended_s, now - ended_s,
        )  # fmt: skip
        self.rows.append(replace(row, **more))
        return number

    def happens(self, **how: Any) -> int:
        """As :meth:`add`; it is told."""
        number = self.add(**how)
        self.tell(number)
        return number

    def tell(self, number: int) -> None:
        row = self.rows[number - 1]
        for one in self.hears if self.is_heard else ():
            one.hear(Notification(SETTLED_TYPES[row.type], row))

    def comes_back(self) -> None:
        """The relay that was away is there again."""
        self.is_heard = True
        for one in self.hears:
            one.has_missed = True
            one.changes.notify()


class Hearing:
    directions = frozenset(Direction)

    def __init__(self, wallet: Wallet) -> None:
        self.wallet, self.changes = wallet, Changes(wallet.clock)
        self.heard: deque[Notification] = deque()
        self.has_missed, self.is_closed = True, False

    @property
    def is_promised(self) -> bool:
        return self.wallet.promises

    async def open(self, timeout_s: float) -> None:
        assert timeout_s == notifications.LISTEN_S
        await self.wallet.clock.sleep(0.5)

    async def next(self, timeout_s: float) -> Notification | None:
        had = self.has_missed
        await self.changes.until(lambda: bool(self.heard) or self.is_closed or (self.has_missed and not had), timeout_s)
        return self.heard.popleft() if self.heard else None

    async def close(self) -> None:
        self.is_closed = True
        self.changes.notify()

    def hear(self, one: Notification) -> None:
        self.heard.append(one)
        self.changes.notify()


@asynccontextmanager
async def stream(wallet: Wallet, since: int | str | None = None, **how: Any) -> AsyncIterator[Notifications]:
    source: Any = wallet
    async with Notifications(
        source, wallet.clock, since, how.get("types", BOTH), how.get("lifetime_s", WEEK_S)
    ) as made:
        yield made


async def told(made: Notifications, count: int) -> list[int]:
    found = [await asyncio.wait_for(made.__anext__(), 3_600) for _ in range(count)]
    return [int(one.transaction.amount_msat) for one in found]


async def silent(made: Notifications, seconds: float) -> bool:
    """Whether nothing is told for so long."""
    waiting = asyncio.ensure_future(made.__anext__())
    done, _ = await asyncio.wait((waiting,), timeout=seconds)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return not done


@virtual
async def test_what_happens_is_told_once_whether_it_was_heard_found_or_both() -> None:
    wallet = Wallet(VirtualClock())
    wallet.add(ended_s=3_600)
    async with stream(wallet) as made:
        one, two = wallet.happens(), wallet.happens(direction=Direction.OUTGOING)
        assert await told(made, 2) == [one, two]
        wallet.tell(one)  # in the other cipher, or by another relay
        assert await silent(made, 3 * LOOK_S)


@virtual
async def test_without_a_position_it_begins_now_give_or_take_the_clocks() -> None:
    wallet = Wallet(VirtualClock())
    for ended_s in (86_400, 61, 59):
        wallet.add(ended_s=ended_s)
    async with stream(wallet) as made:
        assert await told(made, 1) == [3]
        assert await silent(made, LOOK_S)
        assert wallet.asked[0].from_ == EPOCH - notifications.CLOCKS_S - RECENT_S


@virtual
async def test_what_happened_while_nobody_listened_comes_first_the_oldest_at_the_beginning() -> None:
    wallet = Wallet(VirtualClock())
    async with stream(wallet) as made:
        wallet.happens()
        assert await told(made, 1) == [1]
        position = made.position
    await wallet.clock.sleep(50_000)
    late, early = wallet.add(ended_s=100, made_s=20), wallet.add(ended_s=300, made_s=100_000)
    async with stream(wallet, position) as made:
        assert made.position == position
        assert await told(made, 2) == [early, late]
        wallet.happens()
        assert await told(made, 1) == [4]
        assert await silent(made, LOOK_S)


@virtual
async def test_a_program_that_dies_between_two_is_told_the_second_again_and_not_the_first() -> None:
    wallet = Wallet(VirtualClock())
    for _ in range(3):
        wallet.add()
    async with stream(wallet) as made:
        assert await told(made, 1) == [1]
        position = made.position
        assert await told(made, 1) == [2]
    async with stream(wallet, position) as made:
        assert await told(made, 2) == [2, 3]


@virtual
async def test_a_time_may_be_given_in_place_of_a_position() -> None:
    wallet = Wallet(VirtualClock())
    for ended_s in (300, 200, 100):
        wallet.add(ended_s=ended_s)
    async with stream(wallet, EPOCH - 200) as made:
        assert await told(made, 2) == [2, 3]
        assert wallet.asked[0].from_ == EPOCH - 200 - WEEK_S


@virtual
async def test_what_was_told_while_the_relay_was_away_is_found_when_it_is_back() -> None:
    wallet = Wallet(VirtualClock())
    async with stream(wallet) as made:
        assert await silent(made, 100)
        wallet.is_heard = False
        missed = wallet.happens(made_s=3 * RECENT_S)
        assert await silent(made, 100)
        wallet.comes_back()
        assert await told(made, 1) == [missed]


@virtual
async def test_what_a_relay_has_lost_is_found_all_the_same_by_and_by() -> None:
    wallet = Wallet(VirtualClock())
    async with stream(wallet) as made:
        assert await silent(made, 100)
        wallet.add()
        assert await told(made, 1) == [1]
        assert EPOCH + LOOK_S - 1 <= wallet.clock.now() <= EPOCH + LOOK_S + 2


@virtual
async def test_a_wallet_that_promises_nothing_is_looked_at_all_the_time() -> None:
    wallet = Wallet(VirtualClock(), promises=False)
    async with stream(wallet) as made:
        assert await silent(made, 100)
        before = wallet.clock.now()
        wallet.add()
        assert await told(made, 1) == [1]
        assert wallet.clock.now() - before <= POLL_S + 1
        assert len(wallet.asked) <= 100 / POLL_S + 100 / POLL_RECENT_S + 2
        wallet.happens()  # it tells all the same
        assert await told(made, 1) == [2]


@virtual
async def test_a_list_that_cannot_be_read_now_is_read_later(caplog: pytest.LogCaptureFixture) -> None:
    wallet = Wallet(VirtualClock())
    wallet.fails = [KitestringError(Reason.UNAVAILABLE, "the wallet did not answer")] * 5
    number = wallet.add(ended_s=5_000, made_s=3 * RECENT_S)
    async with stream(wallet, EPOCH - 9_999) as made:
        assert await told(made, 1) == [number]
        assert wallet.clock.now() - EPOCH >= 5 * AGAIN_S
        assert caplog.text.count("the wallet did not answer") == 1
        assert {query.from_ for query in wallet.asked} == {EPOCH - 9_999 - WEEK_S}
        wallet.happens()
        assert await told(made, 1) == [2]


@virtual
async def test_a_list_that_is_never_shown_leaves_what_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    wallet = Wallet(VirtualClock())
    wallet.fails = [KitestringError(Reason.NOT_PERMITTED, "no")]
    async with stream(wallet) as made:
        assert await silent(made, 100)
        wallet.comes_back()
        wallet.happens()
        assert await told(made, 1) == [1]
        assert await silent(made, 3 * LOOK_S)
        assert (len(wallet.asked), caplog.text.count("does not show its list")) == (1, 1)


@virtual
async def test_a_wallet_that_tells_nothing_and_shows_nothing_is_refused() -> None:
    wallet = Wallet(VirtualClock(), promises=False)
    wallet.fails = [KitestringError(Reason.UNSUPPORTED, "no such method")]
    async with stream(wallet) as made:
        with pytest.raises(KitestringError, match="no such method"):
            await made.__anext__()


@virtual
async def test_a_connection_that_has_ended_ends_the_wait() -> None:
    wallet = Wallet(VirtualClock())
    wallet.fails = [KitestringError(Reason.CONNECTION_ENDED, "it was revoked")]
    async with stream(wallet) as made:
        with pytest.raises(KitestringError, match="it was revoked"):
            await made.__anext__()


# ---------------------------------------------------------------- long lists


@virtual
async def test_a_long_list_is_read_page_by_page_whatever_comes_meanwhile() -> None:
    for cap, same_second in ((20, 1), (50, 7), (33, 120)):
        wallet = Wallet(VirtualClock(), cap=cap)
        for number in range(400):
            wallet.add(made_s=number // same_second, ended_s=1_000)
        async with stream(wallet, EPOCH - 5_000) as made:
            assert sorted(await told(made, 400)) == list(range(1, 401))
            assert await silent(made, 100)


@virtual
async def test_a_wallet_that_turns_no_pages_is_not_asked_for_ever() -> None:
    wallet = Wallet(VirtualClock())
    wallet.ignores = {"until", "offset"}
    for _ in range(70):
        wallet.add()
    async with stream(wallet) as made:
        assert len(await told(made, PAGE)) == PAGE
        assert await silent(made, 1)
        assert len(wallet.asked) == 1 + notifications.MAX_OLD_PAGES


@virtual
async def test_a_list_that_is_too_long_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifications, "MAX_PAGES", 2)
    wallet = Wallet(VirtualClock())
    for number in range(300):
        wallet.add(made_s=number)
    async with stream(wallet) as made:
        assert len(await told(made, 2 * PAGE - 2)) == 2 * PAGE - 2
        assert await silent(made, 1)
        assert "only the newest 98" in caplog.text


@virtual
async def test_a_list_without_times_is_read_by_number() -> None:
    wallet = Wallet(VirtualClock())
    for _ in range(120):
        wallet.add(created_at=0)
    async with stream(wallet, EPOCH - 10, lifetime_s=EPOCH) as made:
        assert len(await told(made, 120)) == 120
        assert [query.offset for query in wallet.asked] == [0, 50, 100, 120]


@virtual
async def test_what_has_not_ended_or_has_no_name_is_passed_over() -> None:
    wallet = Wallet(VirtualClock())
    wallet.add(state=TransactionState.PENDING, settled_at=None)
    wallet.add(payment_hash="")
    number = wallet.add(settled_at=None)  # some wallets tell no time
    async with stream(wallet) as made:
        assert await told(made, 1) == [number]
        assert await silent(made, 100)


@virtual
async def test_an_attempt_that_failed_before_hides_nothing() -> None:
    wallet = Wallet(VirtualClock())
    number = wallet.add(direction=Direction.OUTGOING)
    wallet.rows.append(replace(wallet.rows[0], state=TransactionState.FAILED, created_at=EPOCH - 9, settled_at=None))
    async with stream(wallet) as made:
        assert await told(made, 1) == [number]


@virtual
async def test_the_newest_page_of_a_long_list_is_enough_in_between() -> None:
    wallet = Wallet(VirtualClock(), promises=False)
    for _ in range(3 * PAGE):
        wallet.add(ended_s=3_600)
    async with stream(wallet) as made:
        assert await silent(made, 1)
        before = len(wallet.asked)
        number = wallet.add()
        assert await told(made, 1) == [number]
        assert len(wallet.asked) == before + 1


# ---------------------------------------------------------------- what is asked for


@virtual
async def test_only_the_types_that_are_wanted_are_asked_for_and_told() -> None:
    wallet = Wallet(VirtualClock())
    wallet.add()
    async with stream(wallet, types=("payment_sent",)) as made:
        wallet.happens()
        number = wallet.happens(direction=Direction.OUTGOING)
        assert await told(made, 1) == [number]
        assert await silent(made, LOOK_S)
        assert {query.direction for query in wallet.asked} == {"outgoing"}


@pytest.mark.parametrize("types", [(), ("payment_lost",), ("payment_sent", "x")])
def test_a_type_that_nobody_knows_is_refused(types: tuple[str, ...]) -> None:
    wallet: Any = Wallet(VirtualClock())
    with pytest.raises(KitestringError, match="there are payment_received, payment_sent, hold_invoice_accepted"):
        Notifications(wallet, wallet.clock, None, types, WEEK_S)


@virtual
async def test_a_position_that_is_none_is_refused_at_once() -> None:
    wallet: Any = Wallet(VirtualClock())
    with pytest.raises(KitestringError, match="is no position"):
        Notifications(wallet, wallet.clock, "yesterday", BOTH, WEEK_S)


@virtual
async def test_a_hold_invoice_that_is_accepted_and_settled_is_told_twice_as_two_things() -> None:
    wallet = Wallet(VirtualClock())
    async with stream(wallet, types=("hold_invoice_accepted", "payment_received")) as made:
        assert await silent(made, 1)
        number = wallet.add(state=TransactionState.PENDING, settled_at=None, made_s=9_999)
        held = wallet.rows[0]
        for _ in range(2):
            wallet.hears[0].hear(Notification("hold_invoice_accepted", held))
        assert await told(made, 1) == [number]
        assert await silent(made, 1)
        wallet.rows[0] = replace(held, state=TransactionState.SETTLED, settled_at=wallet.clock.now())
        wallet.tell(number)
        assert [(await made.__anext__()).type] == ["payment_received"]


HOLDS = ("hold_invoice_accepted", "payment_received")


@pytest.mark.parametrize("promises", [True, False])
@virtual
async def test_a_payment_that_is_held_since_nobody_listened_is_found_once_and_again_as_paid(promises: bool) -> None:
    """Whoever is not told of it lets it go back: it is the one thing that waits for an answer."""
    wallet = Wallet(VirtualClock(), promises=promises)
    wallet.add(state=TransactionState.PENDING, settled_at=None, made_s=500)
    held = wallet.add(state=TransactionState.ACCEPTED, settled_at=None, made_s=400)
    wallet.add(state=TransactionState.EXPIRED, settled_at=None, made_s=300)
    out = wallet.add(state=TransactionState.ACCEPTED, settled_at=None, direction=Direction.OUTGOING)
    async with stream(wallet, EPOCH - 600, types=HOLDS) as made:
        first = await asyncio.wait_for(made.__anext__(), 3_600)
        assert (first.type, int(first.transaction.amount_msat)) == ("hold_invoice_accepted", held)
        assert await silent(made, 2 * LOOK_S)
        place = made.position
    async with stream(wallet, place, types=HOLDS) as made:
        assert await silent(made, 2 * LOOK_S)
        wallet.rows[held - 1] = replace(
            wallet.rows[held - 1], state=TransactionState.SETTLED, settled_at=wallet.clock.now()
        )
        assert [(await made.__anext__()).type] == ["payment_received"]
    assert out


@virtual
async def test_who_does_not_ask_for_held_payments_does_not_have_unpaid_ones_listed() -> None:
    wallet = Wallet(VirtualClock())
    wallet.add(state=TransactionState.ACCEPTED, settled_at=None)
    async with stream(wallet) as made:
        assert await silent(made, LOOK_S)
    assert not any(query.unpaid_incoming or query.unpaid_outgoing for query in wallet.asked)


@virtual
async def test_an_end_ends_whoever_waits() -> None:
    wallet = Wallet(VirtualClock())
    async with stream(wallet) as made:
        assert made.__aiter__() is made
        waiting = asyncio.ensure_future(made.__anext__())
        await wallet.clock.sleep(10)
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert made.is_closed
    with pytest.raises(StopAsyncIteration):
        await made.__anext__()
