"""Money is integer millisatoshi in a type of its own.

An :class:`Msat` stays one through addition and subtraction, refuses floats, booleans and strings, and has no
true division, so that a rounding decision is always written down as :meth:`Msat.sats_up` or :meth:`Msat.sats_down`.
"""

from __future__ import annotations

from typing import Final

MSAT_PER_SAT: Final = 1000
#: All bitcoin there will ever be, the upper bound of every amount on every wire.
MAX_SATS: Final = 21_000_000 * 100_000_000
MAX_MSAT: Final = MAX_SATS * MSAT_PER_SAT
#: The largest number that every reader of JSON, JavaScript's included, keeps exact.
MAX_WHOLE: Final = 2**53 - 1


class Msat(int):
    """An amount in millisatoshi. May be negative inside the ledger; wires accept 1 … 21e14·1000 only."""

    __slots__ = ()

    def __new__(cls, value: int) -> Msat:
        if value.__class__ is not int and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"an amount is an integer number of millisatoshi, not {type(value).__name__}")
        return int.__new__(cls, value)

    def __add__(self, other: int) -> Msat:
        return Msat(int.__add__(self, other if other.__class__ is Msat else Msat(other)))

    __radd__ = __add__

    def __sub__(self, other: int) -> Msat:
        return Msat(int.__sub__(self, other if other.__class__ is Msat else Msat(other)))

    def __rsub__(self, other: int) -> Msat:
        return Msat(int.__sub__(Msat(other), self))

    def __mul__(self, other: int) -> Msat:
        return Msat(int.__mul__(self, Msat(other)))

    __rmul__ = __mul__

    def __neg__(self) -> Msat:
        return Msat(int.__neg__(self))

    def __truediv__(self, other: object) -> float:
        raise TypeError("money is not divided into floats; use // or sats_up() / sats_down()")

    __rtruediv__ = __truediv__

    def sats_down(self) -> int:
        """Whole satoshis, rounded towards minus infinity: what may be *credited*."""
        return int(self) // MSAT_PER_SAT

    def sats_up(self) -> int:
        """Whole satoshis, rounded up: what is *debited* or *asked for*."""
        return -(-int(self) // MSAT_PER_SAT)

    def __str__(self) -> str:
        """For people: ``1,234 sat``, or ``1,234.567 sat`` when there is a rest."""
        sign = "-" if self < 0 else ""
        sats, rest = divmod(abs(int(self)), MSAT_PER_SAT)
        fraction = f".{rest:03d}" if rest else ""
        return f"{sign}{sats:,}{fraction} sat"

    def __repr__(self) -> str:
        return f"Msat({int(self)})"

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec) if spec else str(self)


ZERO: Final = Msat(0)


def sat(amount: int) -> Msat:
    """``amount`` whole satoshis as :class:`Msat`. Raises TypeError for a float, a bool or a string."""
    return Msat(amount) * MSAT_PER_SAT


def need_msat(amount: object) -> Msat:
    """``amount``, if it is one. Raises TypeError for a bare number: nobody could tell sats from millisats."""
    if not isinstance(amount, Msat):
        raise TypeError("an amount is written sat(210) or Msat(210_000), not as a bare number")
    return amount


def is_amount(msat: int) -> bool:
    """Whether so many msat can have been moved by anybody: more than nothing, no more than all bitcoin."""
    return 0 < msat <= MAX_MSAT


def to_stored(value: object) -> int:
    """The ``enc_hook`` of msgspec for values with amounts in them. Raises TypeError for any other type."""
    if isinstance(value, Msat):
        return int(value)
    raise TypeError(f"no stored form for {type(value).__name__}")


def from_stored(kind: type, value: object) -> Msat:
    """The ``dec_hook`` that reads what :func:`to_stored` wrote. Raises TypeError for any other type."""
    if kind is Msat and isinstance(value, int):
        return Msat(value)
    raise TypeError(f"cannot read {kind.__name__}")
