"""Values that a program gives to a service, as parameters of the owner's commands. A bare number is no amount."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, TypeVar

from kitestring.base.budgets import Budget
from kitestring.base.currency import read_amount
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, need_msat

T = TypeVar("T")


class Keep(Enum):
    """The mark of a value that an update leaves as it is; None takes a limit away."""

    KEEP = "keep"


#: In the place of a value that is not changed.
KEEP: Final = Keep.KEEP
_PRICE: Final = re.compile(r"([0-9.]+) ?([A-Z]{3})", re.ASCII)


def kept_out(**values: object) -> dict[str, object]:
    """The values without those that stay as they are."""
    return {name: value for name, value in values.items() if value is not KEEP}


def amount(given: Msat | Keep | None) -> int | Keep | None:
    """An amount in msat, if there is one. Raises TypeError for a bare number."""
    return given if given is None or isinstance(given, Keep) else int(need_msat(given))


def words(given: Iterable[str], name: str) -> list[str]:
    """Several words. Raises TypeError for one alone, which is a list of its letters to Python."""
    if isinstance(given, str):
        raise TypeError(f"{name} are several: write {name}=[{given!r}]")
    return sorted(given) if isinstance(given, set | frozenset) else list(given)


def methods(given: Iterable[str] | Keep | None) -> list[str] | Keep | None:
    """The names of methods. Raises TypeError for one alone."""
    return given if given is None or isinstance(given, Keep) else sorted(words(given, "methods"))


def budgets(given: Budget | Keep | None) -> list[dict[str, object]] | Keep:
    """A list of one budget, or of none. Raises TypeError for anything else."""
    if isinstance(given, Keep):
        return given
    return [] if given is None else [budget(given, "limit")]


def budget(given: Budget, prefix: str) -> dict[str, object]:
    """One budget, whose limit begins with ``prefix``. Raises TypeError for anything else, KitestringError(MALFORMED)
    for one of nothing."""
    if not isinstance(given, Budget):
        raise TypeError("a budget is written Budget.daily(sat(5_000)), Budget.total(sat(5_000)) …")
    if not (given.limit_minor if given.currency else given.limit_msat):
        raise KitestringError(Reason.MALFORMED, "a budget of 0 lets nothing be paid: leave pay_invoice out of methods")
    window = {"period": given.period, "length_s": given.length_s}
    if given.currency:
        return {"currency": given.currency, f"{prefix}_minor": given.limit_minor, **window}
    return {f"{prefix}_msat": int(need_msat(given.limit_msat)), **window}


def price(given: Msat | str | Keep | None) -> dict[str, object]:
    """A price in sats, or in a currency as ``3.50 EUR``. Raises TypeError for a bare number, and
    KitestringError(MALFORMED)."""
    if isinstance(given, Keep):
        return {}
    if not isinstance(given, str):
        return {"price_msat": amount(given)}
    found = _PRICE.fullmatch(given)
    if found is None:
        raise KitestringError(Reason.MALFORMED, f"{given!r} is no price: write sat(210), or '3.50 EUR'")
    return {"currency": found[2], "price_minor": read_amount(found[1], found[2])}
