"""The owner's zone against the zone data of the system, through the standard library."""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.app.home.zones import ZONE, load_zone
from kitestring.base.errors import KitestringError
from kitestring.base.zones import UTC
from kitestring.policy.calendar import CalendarPeriod, period_of

#: 1990 … 2100; beyond these years a zone keeps its last offset.
SECONDS = st.integers(631_152_000, 4_102_444_800)
#: Offsets of 30 and 45 minutes, skipped midnights, hours before midnight that come twice, a day that never was.
NAMES = (
    "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia",
    "America/Santiago", "America/St_Johns", "Africa/Cairo", "Africa/Casablanca", "Asia/Beirut", "Atlantic/Azores",
    "Pacific/Kiritimati", "Pacific/Kwajalein",
)  # fmt: skip


@cache
def local_day(name: str, moment: int) -> date:
    return datetime.fromtimestamp(moment, zoneinfo.ZoneInfo(name)).date()


def place(period: CalendarPeriod, day: date) -> tuple[int, ...]:
    """The period that a day lies in; they are in the order of time."""
    names: dict[CalendarPeriod, tuple[int, ...]] = {
        "day": (day.toordinal(),),
        "week": (day.isocalendar().year, day.isocalendar().week),
        "month": (day.year, day.month),
        "year": (day.year,),
    }
    return names[period]


def near_changes(name: str) -> st.SearchStrategy[int]:
    """Moments of all years, most of them within two days of a change of the offset."""
    changes = load_zone(name).changes
    if not changes:
        return SECONDS
    near = st.tuples(st.sampled_from(changes), st.integers(-172_800, 172_800)).map(sum)
    return near | SECONDS


MOMENTS = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), near_changes(name)))


@settings(max_examples=200, deadline=None)
@given(MOMENTS)
def test_every_moment_has_the_offset_that_the_standard_library_gives_it(found: tuple[str, int]) -> None:
    name, moment = found
    offset = datetime.fromtimestamp(moment, zoneinfo.ZoneInfo(name)).utcoffset()
    assert offset is not None
    assert load_zone(name).offset_s(moment) == offset.total_seconds()


@settings(max_examples=200, deadline=None)
@given(MOMENTS, st.sampled_from(["day", "week", "month", "year"]), st.data())
def test_periods_begin_and_end_when_the_calendar_on_the_wall_does(
    found: tuple[str, int], period: CalendarPeriod, data: st.DataObject
) -> None:
    name, now = found
    start, end = period_of(period, now, load_zone(name))
    assert start <= now < end
    shown = place(period, local_day(name, start))
    for first in (start, end):
        assert place(period, local_day(name, first)) > place(period, local_day(name, first - 1))
    within = data.draw(st.integers(start, end - 1))
    assert period_of(period, within, load_zone(name)) == (start, end)
    # Less only where the clock was set back over midnight, and for less than an hour.
    assert place(period, local_day(name, within)) == shown or within - start < 3_600
    assert place(period, local_day(name, within)) <= shown


def test_utc_needs_no_zone_data_and_no_look_up() -> None:
    assert load_zone("UTC") is UTC
    assert ZONE.check("UTC") == "UTC"
    assert ZONE.check(3) is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Europe/berlin", "; did you mean 'Europe/Berlin'?"),
        ("new york", "; did you mean 'America/New_York'?"),
        ("../../etc/passwd", ""),
        ("", ""),
        ("Europe", ""),
        ("a" * 5_000, ""),
    ],
)
def test_a_zone_that_there_is_not_is_one_sentence_with_the_one_that_was_meant(typed: str, meant: str) -> None:
    with pytest.raises(KitestringError) as error:
        load_zone(typed)
    assert error.value.message == f"there is no time zone {typed[:40]!r}{meant}"


def test_a_system_without_zone_data_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    load_zone.cache_clear()
    zoneinfo.ZoneInfo.clear_cache()
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    monkeypatch.setattr(zoneinfo._tzpath, "TZPATH", ())  # where it is looked up
    with pytest.raises(KitestringError, match=r"no time zone data: install the package tzdata .* or leave it at UTC"):
        load_zone("Europe/Berlin")
