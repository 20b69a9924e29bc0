"""Budgets: compared and reserved with a claim, corrected with the truth."""

import sqlite3
from contextlib import closing
from pathlib import Path

from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.records import Charge
from kitestring.base.store import Store
from kitestring.base.transactions import (
    Claimed,
    Denied,
)
from tests.kit.ledger.values import (
    answered,
    charge,
    claim,
    fail,
    payment,
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
