"""Calendar periods in UTC by integer arithmetic alone. Times are Unix seconds, also before 1970."""

from __future__ import annotations

from typing import Final, Literal

from kitestring.base.budgets import DAY_S

CalendarPeriod = Literal["day", "week", "month", "year"]
_DAYS_PER_ERA: Final = 146_097
_MONTHS: Final[dict[str, int]] = {"month": 1, "year": 12}


def period_start(period: CalendarPeriod, now: int) -> int:
    """The first second of the period that ``now`` lies in. Weeks begin on Monday."""
    return _bounds(period, now)[0]


def period_end(period: CalendarPeriod, now: int) -> int:
    """The first second of the next period."""
    return _bounds(period, now)[1]


def utc_text(moment: int) -> str:
    """For people: ``2026-11-22 00:00 UTC``. Seconds are left out."""
    day, second = divmod(moment, DAY_S)
    year, month = _civil(day)
    day_of_month = day - _first_day(12 * year + month - 1) + 1
    return f"{year:04d}-{month:02d}-{day_of_month:02d} {second // 3600:02d}:{second % 3600 // 60:02d} UTC"


def _bounds(period: CalendarPeriod, now: int) -> tuple[int, int]:
    day = now // DAY_S
    if period == "day":
        first, after = day, day + 1
    elif period == "week":
        first = day - (day + 3) % 7  # 1970-01-01 was a Thursday
        after = first + 7
    else:
        length = _MONTHS[period]
        year, month = _civil(day)
        month_number = (12 * year + month - 1) // length * length
        first, after = _first_day(month_number), _first_day(month_number + length)
    return first * DAY_S, after * DAY_S


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
