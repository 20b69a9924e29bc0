from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.policy.rate_limits import Limiter, RateLimit, take_all


def test_a_burst_passes_and_then_the_sustained_rate() -> None:
    limiter = Limiter(RateLimit(10, 60))
    assert [limiter.take("a", 1000) for _ in range(60)] == [0] * 60
    assert limiter.take("a", 1000) == 6000
    assert limiter.take("a", 6999) == 1
    assert limiter.take("a", 7000) == 0
    assert limiter.take("a", 7000) == 6000
    assert limiter.take("b", 7000) == 0


def test_waiting_takes_nothing_and_refusals_cost_nothing() -> None:
    limiter = Limiter(RateLimit(60, 1))
    assert limiter.wait_ms("a", 0) == 0
    assert limiter.take("a", 0) == 0
    assert [limiter.take("a", 500) for _ in range(5)] == [500] * 5
    assert limiter.take("a", 1000) == 0


def test_buckets_are_bounded_and_the_one_used_longest_ago_is_forgotten() -> None:
    limiter = Limiter(RateLimit(1, 1), max_buckets=2)
    limiter.take("a", 0)
    limiter.take("b", 0)
    limiter.take("c", 0)
    assert len(limiter) == 2
    assert limiter.wait_ms("a", 0) == 0
    assert limiter.wait_ms("b", 0) > 0


def test_buckets_that_are_full_again_are_forgotten_as_others_come() -> None:
    limiter = Limiter(RateLimit(60, 2))
    for number in range(100):
        assert limiter.take(str(number), number * 1_000) == 0
    assert len(limiter) == 1
    assert limiter.take("99", 99_000) == 0
    assert limiter.take("99", 99_000) == 1_000
    limiter.take("other", 100_999)
    assert len(limiter) == 2, "what is not full yet is kept"


def test_several_limits_are_taken_together_or_not_at_all() -> None:
    each, together = Limiter(RateLimit(60, 5)), Limiter(RateLimit(60, 2))
    pairs = ((each, "offer"), (together, ""))
    assert [take_all(pairs, 0) for _ in range(3)] == [0, 0, 1000]
    assert each.take("offer", 0) == each.take("offer", 0) == each.take("offer", 0) == 0
    assert each.take("offer", 0) == 1000


@pytest.mark.parametrize(("per_minute", "burst", "buckets"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_limit_of_nothing_is_no_limit(per_minute: int, burst: int, buckets: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limiter(RateLimit(per_minute, burst), buckets)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 700), st.integers(1, 20), st.lists(st.integers(0, 3000), max_size=80))
def test_no_stretch_of_time_sees_more_than_burst_and_rate(per_minute: int, burst: int, steps: list[int]) -> None:
    limiter, now, passed = Limiter(RateLimit(per_minute, burst)), 0, []
    for step in steps:
        now += step
        wait = limiter.take("a", now)
        if not wait:
            passed.append(now)
        else:
            assert limiter.wait_ms("a", now + wait) == 0
            assert limiter.wait_ms("a", now + wait - 1) > 0
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert (last - first + 1 - burst) * 60_000 <= (passed[last] - passed[first]) * per_minute


def test_a_limiter_of_so_many_times_the_rate_has_buckets_of_its_own() -> None:
    one = Limiter(RateLimit(60, 2))
    three = one.times(3)
    assert [one.take("a", 0) for _ in range(3)] == [0, 0, 1_000]
    assert [three.take("a", 0) for _ in range(7)] == [0] * 6 + [334]
