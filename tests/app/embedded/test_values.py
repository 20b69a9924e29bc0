"""Values that a program gives: what is no amount, no budget and no list is refused by a sentence."""

from __future__ import annotations

import pytest

from kitestring import KEEP, Budget, KitestringError, sat
from kitestring.app.embedded import values


def test_what_is_kept_is_left_out_and_none_is_not() -> None:
    assert values.kept_out(a=KEEP, b=None, c=1) == {"b": None, "c": 1}
    assert values.amount(KEEP) is values.methods(KEEP) is values.budgets(KEEP) is KEEP
    assert values.price(KEEP) == {}


@pytest.mark.parametrize("wrong", [5_000, True, 2.5, "5000"])
def test_what_is_no_amount_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"an amount is written sat\(210\)"):
        values.amount(wrong)  # type: ignore[arg-type]  # what mypy refuses too
    for make in (Budget.daily, Budget.weekly, Budget.monthly, Budget.yearly, Budget.total, Budget.rolling):
        with pytest.raises(TypeError, match=r"an amount is written sat\(210\)"):
            make(wrong)  # type: ignore[arg-type]  # what mypy refuses too


def test_one_word_is_no_list_of_words() -> None:
    assert values.words({"b", "a"}, "methods") == ["a", "b"]
    assert values.words(("b", "a"), "kinds") == ["b", "a"]
    with pytest.raises(TypeError, match=r"kinds are several: write kinds=\['a'\]"):
        values.words("a", "kinds")


@pytest.mark.parametrize(("text", "minor"), [("3.50 EUR", 350), ("3.5EUR", 350), ("350 JPY", 350)])
def test_a_price_is_in_sats_or_in_a_currency(text: str, minor: int) -> None:
    assert values.price(text) == {"currency": text[-3:], "price_minor": minor}
    assert values.price(sat(2)) == {"price_msat": 2_000}
    assert values.price(None) == {"price_msat": None}
    for wrong in ("3.50", "EUR 3", "3,50 EUR", "3.50 eur"):
        with pytest.raises(KitestringError, match="is no price"):
            values.price(wrong)


def test_a_budget_in_a_currency_keeps_it() -> None:
    given = Budget.in_currency("3.50", "EUR", "month")
    assert values.budget(given, "limit") == {"currency": "EUR", "limit_minor": 350, "period": "month", "length_s": 0}


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(KitestringError, match="a budget of 0 lets nothing be paid"):
        values.budget(Budget.daily(sat(0)), "limit")
