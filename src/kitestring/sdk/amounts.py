"""Amounts and hashes that a program gives to a wallet: what is none is refused at once, by a sentence."""

from __future__ import annotations

from typing import TypeVar

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, need_msat

A = TypeVar("A", Msat, Msat | None)


def money(amount: A) -> A:
    """``amount``, if it can be one. Raises TypeError for a bare number, and KitestringError below zero."""
    if amount is not None and need_msat(amount) < 0:
        raise KitestringError(Reason.MALFORMED, "an amount is not negative")
    return amount


def digits_of(value: str, what: str) -> str:
    """32 bytes as 64 lower-case hex digits. Raises KitestringError(MALFORMED)."""
    try:
        digits = bytes.fromhex(value).hex()
    except ValueError:
        digits = ""
    if len(digits) != 64:
        raise KitestringError(Reason.MALFORMED, f"{what} is 64 hexadecimal digits")
    return digits


def positive(amount: A) -> A:
    """``amount``, if it is more than nothing. Raises as :func:`money`."""
    if money(amount) == 0:
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "an amount is at least one millisatoshi")
    return amount
