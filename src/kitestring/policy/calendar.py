"""Calendar periods by integer arithmetic alone. Times are Unix seconds, also before 1970.

A period begins with the first moment at which local clocks show its first day: at 01:00 where they skip midnight. Where
they are set back over midnight, the hour before it comes twice and belongs to the new day the second time: the periods
of a zone stand in one row, without gaps.
"""

from __future__ import annotations

from typing import Final, Literal

from kitestring.base.budgets import DAY_S
from kitestring.base.zones import UTC, Zone

CalendarPeriod = Literal["day", "week", "month", "year"]
_DAYS_PER_ERA: Final = 146_097
_MONTHS: Final[dict[str, int]] = {"month": 1, "year": 12}


def period_start(period: CalendarPeriod, now: int, zone: Zone) -> int:
    """The first second of the period of ``zone`` that ``now`` lies in. Weeks begin on Monday."""
    return period_of(period, now, zone)[0]


def period_end(period: CalendarPeriod, now: int, zone: Zone) -> int:
    """The first second of the next period."""
    return period_of(period, now, zone)[1]


def period_of(period: CalendarPeriod, now: int, zone: Zone) -> tuple[int, int]:
    """The first second of the period of ``zone`` that ``now`` lies in, and that of the next one."""
    if zone is UTC:
        first, after = _days(period, now // DAY_S)
        return first * DAY_S, after * DAY_S
    first, after = _days(period, (now + zone.offset_s(now)) // DAY_S)
    end = zone.first_moment(after * DAY_S)
    if now >= end:  # the hour before midnight for the second time
        first, after = _days(period, after)
        return end, zone.first_moment(after * DAY_S)
    return zone.first_moment(first * DAY_S), end


def time_text(moment: int, zone: Zone) -> str:
    """For people: ``2026-11-22 00:00 UTC``, ``2026-11-22 00:00 UTC+5:45``. Seconds are left out. The zone's name is not
    in it: others need not know where the owner lives."""
    offset_s = zone.offset_s(moment)
    day, second = divmod(moment + offset_s, DAY_S)
    year, month = _civil(day)
    day_of_month = day - _first_day(12 * year + month - 1) + 1
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    offset = f"{'-' if offset_s < 0 else '+'}{hours}{f':{minutes:02d}' if minutes else ''}" if offset_s else ""
    return f"{year:04d}-{month:02d}-{day_of_month:02d} {second // 3600:02d}:{second % 3600 // 60:02d} UTC{offset}"


def _days(period: CalendarPeriod, day: int) -> tuple[int, int]:
    """The first day of the period that ``day`` lies in, and that of the next one; days since 1970-01-01."""
    if period == "day":
        return day, day + 1
    if period == "week":
        first = day - (day + 3) % 7  # 1970-01-01 was a Thursday
        return first, first + 7
    length = _MONTHS[period]
    year, month = _civil(day)
    month_number = (12 * year + month - 1) // length * length
    return _first_day(month_number), _first_day(month_number + length)


def _civil(day: int) -> tuple[int, int]:
    """Year and month of a day since 1970-01-01: years are counted from March, so that the leap day comes last."""
    era, day_of_era = divmod(day + 719_468, _DAYS_PER_ERA)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return era * 400 + year_of_era + (month <= 2), month


def _first_day(month_number: int) -> int:
    """Days since 1970-01-01 of the first of month ``12 · year + month − 1``."""
    year, month_from_march = divmod(month_number - 2, 12)
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * month_from_march + 2) // 5
    return era * _DAYS_PER_ERA + 365 * year_of_era + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
