from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.policy.calendar import period_end, period_start, utc_text

#: 1800 … 2500, and with it every kind of century.
SECONDS = st.integers(-5_364_662_400, 16_725_225_600)


def oracle(period: str, now: int) -> tuple[int, int]:
    day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=now // 86_400)
    if period == "day":
        first, after = day, day + timedelta(days=1)
    elif period == "week":
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
    elif period == "month":
        first = day.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
    else:
        first = day.replace(month=1, day=1)
        after = first.replace(year=first.year + 1)
    return int(first.timestamp()), int(after.timestamp())


@settings(max_examples=100, deadline=None)
@given(SECONDS)
def test_the_written_time_agrees_with_the_standard_library(now: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now)
    assert utc_text(now) == f"{moment.year:04d}-{moment:%m-%d %H:%M} UTC"


@settings(max_examples=100, deadline=None)
@given(SECONDS)
def test_periods_agree_with_the_calendar_of_the_standard_library(now: int) -> None:
    for period in ("day", "week", "month", "year"):
        assert (period_start(period, now), period_end(period, now)) == oracle(period, now)


@pytest.mark.parametrize(
    "moment",
    ["2024-02-29", "2025-02-28", "2000-02-29", "1900-02-28", "2100-02-28", "2026-12-31", "2027-01-01", "1969-12-31"],
)
def test_month_ends_and_leap_years(moment: str) -> None:
    midnight = int(datetime.fromisoformat(f"{moment}T00:00:00+00:00").timestamp())
    for now in (midnight - 1, midnight, midnight + 86_399, midnight + 86_400):
        for period in ("day", "week", "month", "year"):
            assert (period_start(period, now), period_end(period, now)) == oracle(period, now)
