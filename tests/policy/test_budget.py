from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.budgets import Budget, Period
from kitestring.base.grants import Grant
from kitestring.base.money import Msat, sat
from kitestring.base.records import Charge
from kitestring.base.zones import UTC, Zone
from kitestring.policy.budget import charges, counting, goes_on, length_s, oldest, renews_at

NOW = 1_760_000_000  # Thursday 2025-10-09 08:53:20 UTC
DAY = 86_400


def grant(*budgets: Budget) -> Grant:
    return Grant(grant_id="g1", name="app", wire="nwc", budgets=budgets)


def spend(budget: Budget, payments: list[tuple[int, int]], zone: Zone = UTC) -> list[tuple[int, int]]:
    """What a ledger lets through: (time, amount) pairs that fitted, by the buckets alone."""
    buckets: dict[int, int] = {}
    passed = []
    for now, amount in payments:
        (charged,) = charges(grant(budget), Msat(amount), now, zone)
        used = sum(total for start, total in buckets.items() if start >= charged.oldest)
        if used + amount <= charged.limit_msat:
            buckets[charged.bucket] = buckets.get(charged.bucket, 0) + amount
            passed.append((now, amount))
    return passed


def test_a_charge_names_its_bucket_and_the_oldest_that_counts() -> None:
    day = NOW - NOW % DAY
    assert charges(grant(Budget.daily(sat(5))), Msat(7), NOW, UTC) == (
        Charge("g1", Msat(7), sat(5), day, day, ends=day + DAY, at=NOW),
    )
    assert charges(grant(Budget.total(sat(5))), Msat(7), NOW, UTC) == (Charge("g1", Msat(7), sat(5), 0, 0, at=NOW),)
    assert charges(grant(), Msat(7), NOW, UTC) == ()


def test_what_is_used_goes_on_to_count_in_a_budget_that_is_as_long() -> None:
    week, day, total = Budget(sat(1), "week", 0, 3), Budget(sat(1), "day", 0, 4), Budget(sat(1), budget_id=5)
    before = (week, day, total)
    assert goes_on(Budget.weekly(sat(9)), before) == 3
    assert goes_on(Budget.rolling(sat(9), 7 * DAY), before) == 3
    assert goes_on(Budget.rolling(sat(9), 7 * DAY), (week, Budget(sat(1), "rolling", 7 * DAY, 6))) == 6
    assert goes_on(Budget.total(sat(9)), before) == 5
    assert goes_on(Budget.monthly(sat(9)), before) is None
    assert (length_s(Budget.monthly(sat(1))), length_s(total)) == (30 * DAY, 0)


def test_each_budget_of_a_grant_is_charged_under_its_own_number() -> None:
    day = NOW - NOW % DAY
    both = grant(Budget.daily(sat(5)), Budget(sat(20), budget_id=1))
    assert charges(both, Msat(7), NOW, UTC) == (
        Charge("g1", Msat(7), sat(5), day, day, ends=day + DAY, at=NOW),
        Charge("g1", Msat(7), sat(20), 0, 0, budget_id=1, at=NOW),
    )


STEPS = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 60)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20_000), STEPS)
def test_no_rolling_window_ever_holds_more_than_the_limit(length_s: int, steps: list[tuple[int, int]]) -> None:
    now, payments = NOW, []
    for step, amount in steps:
        now += step
        payments.append((now, amount))
    passed = spend(Budget.rolling(Msat(100), length_s), payments)
    for end, _ in passed:
        assert sum(amount for time, amount in passed if end - length_s < time <= end) <= 100


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400 * DAY), st.integers(0, 4_000_000_000))
def test_a_rolling_window_has_few_buckets_and_gives_back_soon(length_s: int, now: int) -> None:
    budget = Budget.rolling(sat(1), length_s)
    width = max(1, -(-length_s // 64))
    last, first, _ = counting(budget, now, UTC)
    assert first <= now - length_s + 1
    assert now - length_s + 1 - first < width
    assert (last - first) // width + 1 <= 65
    renewed = renews_at(budget, now, UTC)
    assert renewed is not None
    assert oldest(budget, renewed, UTC) > last >= oldest(budget, renewed - 1, UTC)


@pytest.mark.parametrize("zone", [UTC, Zone("Asia/Kathmandu", (), (20_700,))], ids=lambda zone: zone.name)
@pytest.mark.parametrize("period", ["day", "week", "month", "year"])
def test_a_calendar_budget_is_empty_again_when_it_renews_and_not_a_second_before(period: Period, zone: Zone) -> None:
    budget = Budget(Msat(100), period)
    renewed = renews_at(budget, NOW, zone)
    assert renewed is not None
    assert (renewed + zone.offset_s(renewed)) % DAY == 0
    payments = [(NOW, 100), (renewed - 1, 1), (renewed, 100), (renewed + 1, 1)]
    assert spend(budget, payments, zone) == [(NOW, 100), (renewed, 100)]


def test_a_budget_that_never_renews_is_spent_once() -> None:
    budget = Budget.total(Msat(100))
    assert renews_at(budget, NOW, UTC) is None
    assert spend(budget, [(NOW, 60), (NOW + 10**9, 41), (NOW + 10**9, 40)]) == [(NOW, 60), (NOW + 10**9, 40)]
