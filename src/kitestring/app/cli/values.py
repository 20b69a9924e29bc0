"""Values as people type and read them: amounts, budgets and times."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

import click

from kitestring.base.money import MAX_WHOLE, MSAT_PER_SAT
from kitestring.base.text import MAX_LINE_CHARS, clean
from kitestring.base.width import padded, width_of

if TYPE_CHECKING:
    from kitestring.base.zones import Zone

#: The largest amount whose millisatoshis JSON carries exactly: about 90,000 bitcoin.
MAX_TYPED_SATS: Final = MAX_WHOLE // MSAT_PER_SAT
#: The latest time that the service takes, as Unix seconds.
MAX_UNIX_TIME: Final = 2**35
#: A connection link, the longest text in a cell, has a few hundred characters, a code at most 5,000.
MAX_CELL_CHARS: Final = 16_384
#: Of a name before a value; some have the label of an offer in them, which may be a stranger's.
MAX_NAME_CHARS: Final = 32

_WHOLE: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_PRICED: Final = re.compile(r"([0-9.]{1,20}) ?([A-Za-z]{3})", re.ASCII)
_PERIODS: Final = {"day": "day", "week": "week", "month": "month", "year": "year", "total": "never"}
#: There is no "m": a budget per month that was taken for one per minute would be 43,200 times as large.
_UNITS_S: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,5})(min|[shdw])", re.ASCII)


class Sats(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """A whole number of sats; fractions, signs, separators and units are refused rather than guessed."""

    name = "sat"

    def __init__(self, least: int = 1) -> None:
        self._least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if not _WHOLE.fullmatch(str(value)):
            raise click.BadParameter(f"{value!r} is not a whole number of sats, such as 21", ctx, param)
        if int(str(value)) < self._least:
            raise click.BadParameter(f"{value} sat is too little: write at least {self._least}", ctx, param)
        if int(str(value)) > MAX_TYPED_SATS:
            raise click.BadParameter(
                f"{value} sat is more than the largest amount here, {MAX_TYPED_SATS:,} sat", ctx, param
            )
        return int(str(value))


class InCurrency(NamedTuple):
    """An amount that was typed in a currency, in its minor units."""

    minor: int
    currency: str


class ToPay(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """``210`` (sat), or ``4.50EUR``."""

    name = "amount"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | InCurrency:
        if isinstance(value, InCurrency):
            return value
        match = _PRICED.fullmatch(str(value))
        if match is None:
            return Sats().convert(value, param, ctx)
        from kitestring.base.currency import read_amount
        from kitestring.base.errors import KitestringError

        code = match[2].upper()
        try:
            return InCurrency(read_amount(match[1], code), code)
        except KitestringError as error:
            raise click.BadParameter(error.message, ctx, param) from error


class PriceTyped(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """``1000`` (sat) or ``3.50EUR``: the members of a price as the service takes them."""

    name = "price"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int | str]:
        if isinstance(value, dict):
            return value
        match = _PRICED.fullmatch(str(value))
        if match is None:
            if not (_WHOLE.fullmatch(str(value)) and int(str(value))):
                sentence = f"{value!r} is no price; write whole sats, such as 1000, or 3.50EUR with a point"
                raise click.BadParameter(sentence, ctx, param)
            return {"price_msat": msat(Sats().convert(value, param, ctx))}
        from kitestring.base.currency import read_amount
        from kitestring.base.errors import KitestringError

        code = match[2].upper()
        try:
            return {"currency": code, "price_minor": read_amount(match[1], code)}
        except KitestringError as error:
            raise click.BadParameter(error.message, ctx, param) from error


class Whole(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """A whole number from ``least`` to ``most``."""

    name = "number"

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if not _WHOLE.fullmatch(str(value)) or not self._least <= int(str(value)) <= self._most:
            sentence = f"{value!r} is not a whole number from {self._least} to {self._most}"
            raise click.BadParameter(sentence, ctx, param)
        return int(str(value))


class TypedBudget(NamedTuple):
    """A budget as it was typed: ``limit`` is in sat, or in minor units of the ``currency``; ``length_s`` is that of a
    rolling window, else 0."""

    limit: int
    period: str
    length_s: int
    currency: str = ""


class BudgetType(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """``5000/day`` (week, month, year: calendar periods), ``5000/24h`` (rolling), ``5000/total``; in a currency
    ``10EUR/day``."""

    name = "budget"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> TypedBudget:
        if isinstance(value, TypedBudget):
            return value
        amount, _, period = str(value).partition("/")
        limit, currency = self._limit(amount, param, ctx)
        if limit:
            if period in _PERIODS:
                return TypedBudget(limit, _PERIODS[period], 0, currency)
            from kitestring.app.owner.params import MAX_WINDOW_S

            length_s = _length_s(period)
            if 0 < length_s <= MAX_WINDOW_S:
                return TypedBudget(limit, "rolling", length_s, currency)
        raise click.BadParameter(
            f"{value!r} is not a budget; write 5000/day or 10EUR/day, /week, /month, /year, /24h, /90min, /total",
            ctx, param,
        )  # fmt: skip

    def _limit(self, amount: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        """The limit and its currency; 0 for none. Raises BadParameter for an amount in a currency that is none."""
        if _WHOLE.fullmatch(amount):
            return int(amount) * (int(amount) <= MAX_TYPED_SATS), ""
        priced = _PRICED.fullmatch(amount)
        if priced is None:
            return 0, ""
        from kitestring.base.currency import read_amount
        from kitestring.base.errors import KitestringError

        currency = priced[2].upper()
        try:
            return read_amount(priced[1], currency), currency
        except KitestringError as error:
            raise click.BadParameter(error.message, ctx, param) from error


class Moment(NamedTuple):
    """An end: at a time in Unix seconds, or so many seconds after the beginning; one of them is None."""

    expires_at: int | None
    expires_in_s: int | None


class MomentType(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """``30d`` from now (min, h, d, w), or a day ``2027-01-31`` (its beginning in the owner's time zone)."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        if isinstance(value, Moment):
            return value
        length_s = _length_s(str(value))
        if length_s:
            from kitestring.app.owner.connections import MAX_EXPIRY_S

            if length_s > MAX_EXPIRY_S:
                most = f"{MAX_EXPIRY_S // _UNITS_S['d']}d"
                raise click.BadParameter(f"{value!r} is too long: at most {most}, or leave it out", ctx, param)
            return Moment(None, length_s)
        try:
            return Moment(_day(str(value))[0], None)
        except ValueError as error:
            raise click.BadParameter(
                f"{value!r} is no time; write 12h, 30d, 52w, 90min or a day such as 2027-01-31", ctx, param
            ) from error


class PastType(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """``24h`` ago (min, h, d, w), a day ``2026-11-30`` in the owner's time zone (its end with ``whole_day``), or Unix
    seconds, as which it is read."""

    name = "time"

    def __init__(self, *, whole_day: bool = False) -> None:
        self._whole_day = whole_day

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        text = str(value)
        if _WHOLE.fullmatch(text) and int(text) <= MAX_UNIX_TIME:
            return int(text)
        length_s = _length_s(text)
        if length_s:
            return max(0, int(time.time()) - length_s)
        try:
            begin, after = _day(text)
        except ValueError as error:
            raise click.BadParameter(
                f"{value!r} is no time; write 24h, 30d, 52w, 90min, a day such as 2026-11-30, or Unix seconds",
                ctx,
                param,
            ) from error
        return max(0, after - 1 if self._whole_day else begin)


def _length_s(text: str) -> int:
    match = _LENGTH.fullmatch(text)
    return int(match[1]) * _UNITS_S[match[2]] if match else 0


def msat(sats: int) -> int:
    """Turn sats as they are typed into the plain number of msat that the service takes."""
    from kitestring.base.money import sat

    return int(sat(sats))


def budget_params(typed: TypedBudget) -> dict[str, object]:
    """A budget as the service takes it, out of what :class:`BudgetType` has read."""
    window = {"period": typed.period, "length_s": typed.length_s}
    if typed.currency:
        return {"currency": typed.currency, "limit_minor": typed.limit, **window}
    return {"limit_msat": msat(typed.limit), **window}


def flat_budget_params(typed: TypedBudget) -> dict[str, object]:
    """The same for a command that takes one budget among other parameters."""
    names = {"limit_msat": "budget_msat", "limit_minor": "budget_minor"}
    return {names.get(name, name): value for name, value in budget_params(typed).items()}


def short_key(npub: str) -> str:
    """A public key in a row of a terminal: its beginning and its end tell keys apart."""
    return f"{npub[:12]}…{npub[-6:]}"


def quoted(text: str, max_chars: int = MAX_LINE_CHARS) -> str:
    """The words of others, in quotes that they cannot end."""
    return f'"{clean(text, max_chars).replace(chr(34), chr(39))}"'


def amount(amount_msat: int | None) -> str:
    """``1,234 sat``, for people."""
    from kitestring.base.money import Msat

    return "–" if amount_msat is None else str(Msat(amount_msat))


def owners_zone() -> Zone:
    """The time zone that is set, UTC outside of a command. Raises KitestringError for settings that cannot be read."""
    from kitestring.app.cli.shell import Shell

    context = click.get_current_context(silent=True)
    shell = None if context is None else context.find_object(Shell)
    if shell is None:
        from kitestring.base.zones import UTC

        return UTC
    return shell.zone


def when(seconds: int | None) -> str:
    """The time in the owner's zone, to the minute: ``2026-11-30 16:20 UTC``."""
    if seconds is None:
        return "–"
    from kitestring.policy.calendar import time_text

    return time_text(seconds, owners_zone())


def _day(text: str) -> tuple[int, int]:
    """The first second of the day ``2026-11-30`` in the owner's zone, and that of the next one. Raises ValueError."""
    import calendar

    local_s = calendar.timegm(time.strptime(text, "%Y-%m-%d"))
    zone = owners_zone()
    return zone.first_moment(local_s), zone.first_moment(local_s + _UNITS_S["d"])


def budget(
    limit_msat: int | None, period: str | None, length_s: int | None, currency: str | None = None,
    limit_minor: int | None = None,
) -> str:  # fmt: skip
    """A budget in the words in which it is typed."""
    if limit_msat is None:
        return "no budget limit"
    from kitestring.base.budgets import per_period
    from kitestring.base.currency import show_amount

    limit = amount(limit_msat)
    if currency and limit_minor:
        limit = f"{show_amount(limit_minor, currency)} (≈ {limit})"
    return f"{limit} {per_period(period or 'never', length_s or 0)}"


def budget_of(row: dict[str, Any]) -> str:
    """The same of a row of a result."""
    return budget(row["limit_msat"], row["period"], row["length_s"], row.get("currency"), row.get("limit_minor"))


def budgets_of(connection: dict[str, Any]) -> str:
    """All budgets of a connection: each of them has to cover a payment."""
    return " and ".join(map(budget_of, connection["budgets"])) or budget(None, None, None)


def label(name: str) -> str:
    """The name of a member of a result, for people."""
    return name.removesuffix("_msat").replace("_", " ")


def shown(name: str, value: object) -> str:
    """The member ``name`` of a result, for people: its unit is in the name; "" for what is missing."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return amount(value) if name.endswith("_msat") else when(value) if name.endswith("_at") else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def table(rows: Sequence[tuple[str, ...]], heads: tuple[str, ...]) -> str:
    """Columns of text; those whose head ends in a blank are aligned to the right. On a terminal that is too narrow for
    them each row is a block of lines instead: no line is folded."""
    rows = [tuple(clean(cell or "", MAX_CELL_CHARS) for cell in row) for row in rows]  # none of them forges a row
    widths = [max(width_of(row[i].strip()) for row in [heads, *rows]) for i in range(len(heads))]
    if sum(widths) + 2 * (len(widths) - 1) > columns():
        named = tuple(head.strip() or "way" for head in heads)  # only the direction has no head
        return "\n\n".join(facts(list(zip(named, map(str.strip, row), strict=True))) for row in rows)
    lines = []
    for row in [heads, *rows]:
        cells = [
            padded(cell.strip(), width, right=head.endswith(" "))
            for cell, width, head in zip(row, widths, heads, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def columns() -> int:
    """The width of the terminal in characters; without one no line is too long."""
    out: TextIO | None = sys.stdout  # None where the shell has closed it
    if out is None or not out.isatty():
        return sys.maxsize
    from shutil import get_terminal_size

    return get_terminal_size().columns


def facts(pairs: list[tuple[str, str]]) -> str:
    """Names and values under each other; pairs without a value are left out."""
    shown = [(clean(name, MAX_NAME_CHARS), clean(value, MAX_CELL_CHARS)) for name, value in pairs if value]
    width = max((width_of(name) for name, _ in shown), default=0)
    return "\n".join(f"{padded(name, width)}  {value}" for name, value in shown)
