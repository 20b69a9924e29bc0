from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.zones import UTC as NO_ZONE
from kitestring.base.zones import Zone
from kitestring.policy.calendar import period_end, period_of, period_start, time_text

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
    assert time_text(now, NO_ZONE) == f"{moment.year:04d}-{moment:%m-%d %H:%M} UTC"


@settings(max_examples=100, deadline=None)
@given(SECONDS)
def test_periods_agree_with_the_calendar_of_the_standard_library(now: int) -> None:
    for period in ("day", "week", "month", "year"):
        assert (period_start(period, now, NO_ZONE), period_end(period, now, NO_ZONE)) == oracle(period, now)


@pytest.mark.parametrize(
    "moment",
    ["2024-02-29", "2025-02-28", "2000-02-29", "1900-02-28", "2100-02-28", "2026-12-31", "2027-01-01", "1969-12-31"],
)
def test_month_ends_and_leap_years(moment: str) -> None:
    midnight = int(datetime.fromisoformat(f"{moment}T00:00:00+00:00").timestamp())
    for now in (midnight - 1, midnight, midnight + 86_399, midnight + 86_400):
        for period in ("day", "week", "month", "year"):
            assert (period_start(period, now, NO_ZONE), period_end(period, now, NO_ZONE)) == oracle(period, now)


HOUR = 3_600
BERLIN = Zone("Europe/Berlin", (1_774_746_000, 1_792_890_000), (HOUR, 2 * HOUR, HOUR))  # 2026-03-29, 2026-10-25
SANTIAGO = Zone("America/Santiago", (1_788_667_200,), (-4 * HOUR, -3 * HOUR))  # 2026-09-06: midnight is skipped
TORONTO = Zone("America/Toronto", (-1_601_753_400,), (-5 * HOUR, -4 * HOUR))  # 1919-03-30: 23:30 becomes 00:30
APIA = Zone("Pacific/Apia", (1_325_239_200,), (-10 * HOUR, 14 * HOUR))  # 2011-12-30 never was
ST_JOHNS = Zone("America/St_Johns", (1_289_097_060,), (-9_000, -12_600))  # 2010-11-07: 00:01 becomes 23:01


def utc(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp())


@pytest.mark.parametrize(
    ("zone", "moment", "first", "after"),
    [
        (BERLIN, "2026-03-29 12:00", "2026-03-28 23:00", "2026-03-29 22:00"),  # 23 hours
        (BERLIN, "2026-10-25 00:30", "2026-10-24 22:00", "2026-10-25 23:00"),  # 25 hours
        (Zone("Asia/Kathmandu", (), (20_700,)), "2026-11-22 18:14", "2026-11-21 18:15", "2026-11-22 18:15"),
        (Zone("Australia/Adelaide", (), (37_800,)), "2026-11-22 13:30", "2026-11-22 13:30", "2026-11-23 13:30"),
        (SANTIAGO, "2026-09-06 03:59", "2026-09-05 04:00", "2026-09-06 04:00"),
        (SANTIAGO, "2026-09-06 04:00", "2026-09-06 04:00", "2026-09-07 03:00"),  # begins at 01:00
        (TORONTO, "1919-03-31 04:30", "1919-03-31 04:30", "1919-04-01 04:00"),  # begins at 00:30
        (APIA, "2011-12-30 09:59", "2011-12-29 10:00", "2011-12-30 10:00"),
        (APIA, "2011-12-30 10:00", "2011-12-30 10:00", "2011-12-31 10:00"),
    ],
)
def test_a_day_is_as_long_as_its_zone_makes_it(zone: Zone, moment: str, first: str, after: str) -> None:
    assert period_of("day", utc(moment), zone) == (utc(first), utc(after))


def test_an_hour_that_comes_twice_before_midnight_belongs_to_the_new_day_the_second_time() -> None:
    (change,) = ST_JOHNS.changes
    before, after = period_of("day", change - 61, ST_JOHNS), period_of("day", change - 60, ST_JOHNS)
    assert before[1] == after[0] == change - 60
    for again in (0, 30 * 60, 59 * 60, HOUR):
        assert period_of("day", change + again, ST_JOHNS) == after
    assert after[1] - after[0] == 25 * HOUR


@pytest.mark.parametrize(
    ("offset_s", "text"),
    [
        (0, "2026-11-22 00:00 UTC"),
        (20_700, "2026-11-22 05:45 UTC+5:45"),
        (-12_600, "2026-11-21 20:30 UTC-3:30"),
        (7_200, "2026-11-22 02:00 UTC+2"),
    ],
)
def test_a_time_is_told_with_its_offset_and_without_the_name_of_the_zone(offset_s: int, text: str) -> None:
    assert time_text(utc("2026-11-22 00:00"), Zone("Home/Town", (), (offset_s,))) == text
