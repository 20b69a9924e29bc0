"""The owner's time zone, read once from the system's zone data into a value."""

from __future__ import annotations

from datetime import UTC as _UTC
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.setting import TEXT, ValueKind
from kitestring.base.zones import UTC, Zone

#: The zone is looked at once a week over the years that a service may serve in; no offset has ever been changed and
#: changed back within one. After the last year its last offset stays.
_FROM: Final = int(datetime(1990, 1, 1, tzinfo=_UTC).timestamp())
_UNTIL: Final = int(datetime(2100, 1, 1, tzinfo=_UTC).timestamp())
_STEP_S: Final = 7 * 86_400


@lru_cache(maxsize=4)
def load_zone(name: str) -> Zone:
    """The zone of that name in the IANA database, such as ``Europe/Berlin``; takes some milliseconds the first time.

    Raises KitestringError(MALFORMED) with what to do where there is none, or no zone data at all.
    """
    if name == UTC.name:
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # noqa: PLC0415 - only where it is set

    try:
        found = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _unknown(name, sorted(available_timezones())) from None

    def offset_s(moment: int) -> int:
        """In whole seconds."""
        offset = datetime.fromtimestamp(moment, found).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())

    changes, offsets_s = list[int](), [offset_s(_FROM)]
    for moment in range(_FROM, _UNTIL, _STEP_S):
        early, late = moment, moment + _STEP_S
        if offset_s(late) == offsets_s[-1]:
            continue
        while late - early > 1:
            middle = (early + late) // 2
            early, late = (middle, late) if offset_s(middle) == offsets_s[-1] else (early, middle)
        changes.append(late)
        offsets_s.append(offset_s(late))
    return Zone(name, tuple(changes), tuple(offsets_s))


def _unknown(name: str, known: list[str]) -> KitestringError:
    if not known:
        text = (
            "this system has no time zone data: install the package tzdata of the system or, into the environment of"
            " kitestring, with `pip install tzdata`; or leave it at UTC"
        )
        return KitestringError(Reason.MALFORMED, text)
    lower = {one.lower(): one for one in known} | {one.rpartition("/")[2].lower(): one for one in known}
    close = get_close_matches(name[:40].lower().replace(" ", "_"), lower, n=1, cutoff=0.75)
    meant = f"; did you mean {lower[close[0]]!r}?" if close else ""
    return KitestringError(Reason.MALFORMED, f"there is no time zone {name[:40]!r}{meant}")


def _check_zone(value: object) -> str | None:
    name = TEXT.check(value)
    return None if name is None else load_zone(name).name


ZONE: Final = ValueKind("the name of a time zone, such as Europe/Berlin", _check_zone)
