"""What is no amount and no hash is refused at once, by a sentence."""

from __future__ import annotations

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.sdk.amounts import digits_of, money, positive


@pytest.mark.parametrize("wrong", [210, 2.5, True, "210"])
def test_a_bare_number_is_no_amount(wrong: object) -> None:
    for check in (money, positive):
        with pytest.raises(TypeError, match=r"an amount is written sat\(210\)"):
            check(wrong)  # type: ignore[type-var]  # what mypy refuses too


def test_an_amount_is_not_negative_and_one_that_is_asked_for_is_more_than_nothing() -> None:
    assert money(None) is positive(None) is None
    assert (money(sat(0)), positive(sat(1))) == (sat(0), sat(1))
    with pytest.raises(KitestringError, match="not negative"):
        money(Msat(-1))
    with pytest.raises(KitestringError, match="at least one") as refused:
        positive(sat(0))
    assert refused.value.reason is Reason.AMOUNT_OUT_OF_RANGE


@pytest.mark.parametrize("wrong", ["", "ab", "zz" * 32, "ab" * 33])
def test_a_hash_is_64_digits(wrong: str) -> None:
    assert digits_of("AB" * 32, "a payment hash") == "ab" * 32
    with pytest.raises(KitestringError, match="a payment hash is 64 hexadecimal digits"):
        digits_of(wrong, "a payment hash")
