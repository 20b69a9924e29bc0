"""Budgets: compared and reserved with a claim, corrected with the truth."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.budgets import Budget
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.records import Charge
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Denied
from kitestring.base.zones import UTC, Zone
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.policy.budget import charges, oldest
from kitestring.policy.calendar import period_of
from tests.kit.ledger.place import ledger_path
from tests.kit.ledger.values import (
    SERVICE,
    answered,
    charge,
    claim,
    fail,
    payment,
    setting,
    settle,
)


async def test_a_budget_counts_reservations_and_tells_what_would_have_fitted(store: Store) -> None:
    assert await store.apply(claim("a", payment("a"), charge(1100, 2000))) == Claimed()
    denied = await store.apply(claim("b", payment("b"), charge(1100, 2000)))
    assert denied == Denied(Reason.OVER_BUDGET, Msat(900))
    assert await store.request("ask-b") is None
    await store.apply(settle("a", 10, answered("a")))
    assert await store.budget_used("app", 0) == 1010
    assert await store.apply(claim("b", payment("b", 890), charge(990, 2000))) == Claimed()
    await store.apply(fail("b", answered("b")))
    assert await store.budget_used("app", 0) == 1010


async def test_buckets_that_left_the_window_are_subtracted_and_not_corrected_any_more(store: Store) -> None:
    await store.apply(claim("a", payment("a"), charge(1100, 2000, bucket=10, oldest=5)))
    await store.apply(claim("b", payment("b", 500, 0), charge(500, 2000, bucket=11, oldest=6)))
    assert await store.budget_used("app", 6) == 1600
    assert await store.budget_used("app", 11) == 500
    assert await store.apply(claim("c", payment("c"), charge(1500, 2000, bucket=12, oldest=11))) == Claimed()
    assert await store.budget_used("app", 11) == 2000
    await store.apply(settle("a", 10, answered("a")))
    assert await store.budget_used("app", 11) == 2000
    denied = await store.apply(claim("d", payment("d"), charge(1, 2000, bucket=9, oldest=0)))
    assert denied == Denied(Reason.OVER_BUDGET, Msat(0))


async def test_no_bucket_gives_back_more_than_it_holds(store: Store, ledger: Path) -> None:
    """Another bucket of the same window keeps what was used in it."""
    await store.apply(claim("a", payment("a"), charge(1100, 2000, bucket=10, oldest=5)))
    await store.apply(claim("b", payment("b", 500, 0), charge(500, 2000, bucket=11, oldest=5)))
    with closing(sqlite3.connect(ledger)) as books, books:
        books.execute("UPDATE buckets SET used_msat = 300 WHERE bucket = 10")
        books.execute("UPDATE budgets SET used_msat = 800")
    await store.apply(fail("a", answered("a")))
    assert await store.budget_used("app", 5) == 500


async def test_a_calendar_budget_begins_anew_with_its_period_and_is_corrected_in_it_alone(store: Store) -> None:
    march, april = 100, 200
    await store.apply(claim("a", payment("a"), charge(1100, 2000, march, march)))
    assert await store.budget_used("app", march) == 1100
    assert await store.budget_used("app", april) == 0  # before anybody has charged it
    assert await store.apply(claim("b", payment("b"), charge(1100, 2000, april, april))) == Claimed()
    assert await store.budget_used("app", april) == 1100
    await store.apply(settle("a", 10, answered("a")))  # of the last period: nothing to give back any more
    assert await store.budget_used("app", april) == 1100
    await store.apply(settle("b", 10, answered("b")))
    assert await store.budget_used("app", april) == 1010


async def test_a_period_that_has_passed_frees_nothing_of_the_one_that_has_begun(store: Store) -> None:
    await store.apply(claim("a", payment("a"), charge(1100, 1500, 200, 200)))
    late = await store.apply(claim("b", payment("b"), charge(1100, 1500, 100, 100)))
    assert late == Denied(Reason.OVER_BUDGET, Msat(400))


async def test_a_budget_is_used_up_to_its_last_msat_and_a_lower_limit_leaves_nothing(store: Store) -> None:
    assert await store.apply(claim("a", payment("a"), charge(1100, 1100))) == Claimed()
    assert await store.apply(claim("b", payment("b"), charge(1, 1100))) == Denied(Reason.OVER_BUDGET, Msat(0))
    assert await store.apply(claim("c", payment("c"), charge(1, 500))) == Denied(Reason.OVER_BUDGET, Msat(0))


async def test_a_payment_may_be_charged_to_several_budgets_and_each_has_to_cover_it(store: Store) -> None:
    both = (charge(1100, 5000), charge(1100, 1000, grant="bobs"))
    assert await store.apply(claim("a", payment("a"), *both)) == Denied(Reason.OVER_BUDGET, Msat(1000))
    assert await store.budget_used("app", 0) == 0
    await store.apply(claim("b", payment("b"), charge(1100, 5000), charge(1100, 2000, grant="bobs")))
    assert [await store.budget_used(name, 0) for name in ("app", "bobs")] == [1100, 1100]
    await store.apply(settle("b", 10, answered("b")))
    assert [await store.budget_used(name, 0) for name in ("app", "bobs")] == [1010, 1010]


def day_and_total(day: int, in_all: int) -> tuple[Charge, Charge]:
    return charge(1100, 2000, day, day), charge(1100, in_all, 0, 0, budget_id=1)


async def test_budgets_of_one_grant_are_counted_apart_and_the_tightest_says_what_is_left(store: Store) -> None:
    assert await store.apply(claim("a", payment("a"), *day_and_total(200, 9000))) == Claimed()
    tight = await store.apply(claim("b", payment("b"), *day_and_total(200, 9000)))
    assert tight == Denied(Reason.OVER_BUDGET, Msat(900), budget_id=0)
    in_all = await store.apply(claim("c", payment("c"), *day_and_total(300, 1200)))
    assert in_all == Denied(Reason.OVER_BUDGET, Msat(100), budget_id=1)
    await store.apply(claim("d", payment("d"), *day_and_total(300, 9000)))
    await store.apply(fail("d", answered("d")))
    await store.apply(settle("a", 10, answered("a")))
    assert [await store.budget_used("app", 0, number) for number in (0, 1)] == [0, 1010]


async def test_a_clock_that_was_ahead_and_is_right_again_keeps_no_truth_out(store: Store) -> None:
    """The bucket of the first payment is forgotten; the third must not make it anew, or the first ends below zero."""
    await store.apply(claim("a", payment("a", 1000, 0), charge(1000, 5000, bucket=10, oldest=5)))
    await store.apply(claim("b", payment("b", 1, 0), charge(1, 5000, bucket=20, oldest=15)))
    await store.apply(claim("c", payment("c", 1, 0), charge(1, 5000, bucket=10, oldest=5)))
    assert await store.budget_used("app", 15) == 2
    await store.apply(fail("a", answered("a")))
    assert await store.budget_used("app", 15) == 2
    await store.apply(fail("c", answered("c")))
    assert await store.budget_used("app", 15) == 1


async def test_a_charge_from_before_the_period_counts_in_it_and_is_released_from_it(store: Store) -> None:
    await store.apply(claim("a", payment("a"), charge(1100, 5000, 200, 200)))
    await store.apply(claim("b", payment("b"), charge(1100, 5000, 100, 100)))
    assert await store.budget_used("app", 200) == 2200
    await store.apply(fail("b", answered("b")))
    assert await store.budget_used("app", 200) == 1100


async def test_a_budget_that_is_edited_to_a_longer_period_still_gives_back_what_fails(store: Store) -> None:
    day, month, hour = 200, 100, 150
    await store.apply(claim("a", payment("a"), charge(1100, 9000, day, day)))
    await store.apply(claim("b", payment("b"), charge(1100, 9000, month, month)))
    await store.apply(claim("c", payment("c"), charge(1100, 9000, hour + 10, hour)))
    assert await store.budget_used("app", 200) == 3300
    for name in ("c", "a", "b"):
        await store.apply(fail(name, answered(name)))
    assert await store.budget_used("app", 200) == 0


# ------------------------------------------------------------ the owner moves to another zone

DAY_S = 86_400
MIDNIGHT = 20_000 * DAY_S
HOUR = 3_600
NEW_YORK, BERLIN = Zone("America/New_York", (), (-5 * HOUR,)), Zone("Europe/Berlin", (), (HOUR,))
#: A day apart and more: 25 hours.
KIRITIMATI, PAGO_PAGO = Zone("Pacific/Kiritimati", (), (14 * HOUR,)), Zone("Pacific/Pago_Pago", (), (-11 * HOUR,))
DAILY = Budget.daily(Msat(1_100))
APP = Grant(grant_id="app", name="app", wire="nwc", budgets=(DAILY,))


async def spend(store: Store, name: str, hours: float, zone: Zone, amount: int = 1_100) -> bool:
    """Whether the daily budget of 1,100 msat lets it through so many hours after midnight."""
    now = MIDNIGHT + round(hours * HOUR)
    used = await store.budget_used("app", oldest(DAILY, now, zone), now=now)
    answer = await store.apply(claim(name, payment(name, amount, 0), *charges(APP, Msat(amount), now, zone)))
    assert answer == (Claimed() if used + amount <= 1_100 else Denied(Reason.OVER_BUDGET, Msat(max(0, 1_100 - used))))
    return answer == Claimed()


async def test_no_day_has_two_budgets_because_it_begins_later_in_another_zone(store: Store) -> None:
    assert await spend(store, "a", 8, UTC)
    assert not await spend(store, "b", 9, NEW_YORK)  # its day has begun at 5, and the payment at 8 lies in it
    assert not await spend(store, "c", 28.9, NEW_YORK)
    assert await spend(store, "d", 29, NEW_YORK)


async def test_a_day_that_has_begun_goes_on_to_its_end_in_another_zone(store: Store) -> None:
    assert await spend(store, "a", 3, UTC)
    assert not await spend(store, "b", 9, NEW_YORK)  # spent on the day before by its clocks, today by those of before
    assert await spend(store, "c", 24, NEW_YORK)
    assert not await spend(store, "d", 28.9, NEW_YORK)
    assert await spend(store, "e", 29, NEW_YORK)


async def test_no_day_has_two_budgets_because_it_ends_earlier_in_another_zone(store: Store) -> None:
    assert await spend(store, "a", 10, UTC)
    assert not await spend(store, "b", 23.5, BERLIN)
    assert await spend(store, "c", 24, BERLIN)
    assert not await spend(store, "d", 46.9, BERLIN)
    assert await spend(store, "e", 47, BERLIN)


async def test_what_was_spent_in_both_days_counts_in_both(store: Store) -> None:
    assert await spend(store, "a", 10, UTC, 600)
    assert await spend(store, "b", 23.5, UTC, 500)  # on the next day by the clocks of Berlin
    assert not await spend(store, "c", 24.5, BERLIN)
    assert not await spend(store, "d", 46.9, BERLIN)
    assert await spend(store, "e", 47, BERLIN)


async def test_who_moves_back_gets_no_second_budget_either(store: Store) -> None:
    assert await spend(store, "a", 23.5, UTC, 600)
    assert await spend(store, "b", 23.6, NEW_YORK, 500)  # on a day that ends at 29
    assert not await spend(store, "c", 24.2, UTC)
    assert not await spend(store, "d", 28.9, UTC)
    assert await spend(store, "e", 29, UTC)


async def test_who_moves_over_the_date_line_gets_no_second_budget(store: Store) -> None:
    assert await spend(store, "a", 10, KIRITIMATI)  # on a day from 10 to 34
    assert not await spend(store, "b", 11, PAGO_PAGO)  # on a day from 11 to 35
    assert not await spend(store, "c", 33.9, KIRITIMATI)
    assert await spend(store, "d", 34, PAGO_PAGO)
    assert not await spend(store, "e", 34.9, KIRITIMATI)
    assert await spend(store, "f", 58, KIRITIMATI)


async def test_what_was_spent_before_a_midnight_counts_in_a_day_that_now_begins_before_it(store: Store) -> None:
    assert await spend(store, "a", 10, UTC, 1_000)
    assert await spend(store, "b", 24, UTC, 50)
    assert not await spend(store, "c", 25, KIRITIMATI, 51)  # on a day from 10 to 34
    assert await spend(store, "d", 33.9, KIRITIMATI, 50)
    assert not await spend(store, "e", 47.9, UTC, 1_001)
    assert await spend(store, "f", 58, KIRITIMATI)


async def test_what_fails_is_given_back_after_the_owner_has_moved(store: Store) -> None:
    assert await spend(store, "a", 8, UTC, 600)
    assert await spend(store, "b", 9, NEW_YORK, 500)
    await store.apply(fail("a", answered("a")))
    await store.apply(fail("b", answered("b")))
    assert await spend(store, "c", 25, NEW_YORK)


async def test_a_day_by_the_calendar_that_becomes_the_last_24_hours_goes_on_to_count(store: Store) -> None:
    assert await spend(store, "a", 23, UTC)
    rolling = Budget.rolling(Msat(1_100))
    app = Grant(grant_id="app", name="app", wire="nwc", budgets=(rolling,))
    for name, hours, passes in (("b", 23.5, False), ("c", 46.9, False), ("d", 47.5, True)):
        charged = charges(app, Msat(1_100), int(MIDNIGHT + hours * HOUR), UTC)
        assert (await store.apply(claim(name, payment(name, 1_100, 0), *charged)) == Claimed()) == passes, name


ZONES = (UTC, NEW_YORK, BERLIN, KIRITIMATI, PAGO_PAGO, Zone("Asia/Kathmandu", (), (20_700,)))
MOVES = st.lists(st.tuples(st.sampled_from(ZONES), st.integers(0, 26 * HOUR), st.integers(1, 700)), max_size=14)


@settings(max_examples=40, deadline=None)
@given(MOVES)
def test_no_period_of_a_payment_has_more_than_the_limit_wherever_the_owner_moves(
    moves: list[tuple[Zone, int, int]],
) -> None:
    """Neither from its beginning to the payment, nor from the payment to its end."""

    async def played() -> None:
        passed, now = list[tuple[int, int, int, int]](), MIDNIGHT
        with ledger_path() as path:
            store = await SqliteStore.open(path, SERVICE)
            await store.apply(setting())
            for number, (zone, seconds, amount) in enumerate(moves):
                now += seconds
                if await spend(store, f"p{number}", (now - MIDNIGHT) / HOUR, zone, amount):
                    passed.append((now, amount, *period_of("day", now, zone)))
            await store.close()
        for at, _, start, end in passed:
            assert sum(amount for other, amount, _, _ in passed if start <= other <= at) <= 1_100
            assert sum(amount for other, amount, _, _ in passed if at <= other < end) <= 1_100

    asyncio.run(played())
