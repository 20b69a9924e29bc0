"""Money stays whole millisatoshi through everything that is done with it."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.money import MAX_MSAT, ZERO, Msat, from_stored, sat, to_stored

AMOUNTS = st.integers(-MAX_MSAT, MAX_MSAT)
NO_MONEY: list[Any] = [1.0, 0.5, float("nan"), True, False, "21", b"21", None, [21], 1j]


@pytest.mark.parametrize("value", NO_MONEY, ids=repr)
def test_only_a_whole_number_becomes_an_amount(value: Any) -> None:
    with pytest.raises(TypeError, match=f"integer number of millisatoshi, not {type(value).__name__}"):
        Msat(value)
    with pytest.raises(TypeError, match="millisatoshi"):
        sat(value)


@pytest.mark.parametrize("value", NO_MONEY, ids=repr)
@pytest.mark.parametrize("combine", [operator.add, operator.sub, operator.mul], ids=["add", "sub", "mul"])
def test_an_amount_takes_nothing_but_whole_numbers_on_its_right(combine: Callable[[Any, Any], Any], value: Any) -> None:
    with pytest.raises(TypeError):
        combine(Msat(21), value)


def test_a_float_or_a_truth_that_takes_an_amount_makes_no_money() -> None:
    for plain in (0.5 * Msat(21), 1.5 + Msat(21), 21.0 / Msat(21), True + Msat(21)):
        assert not isinstance(plain, Msat)


@pytest.mark.parametrize(("left", "right"), [(Msat(3), 2), (Msat(3), Msat(2)), (3, Msat(2)), (Msat(3), 2.0)])
def test_an_amount_is_never_divided_into_fractions(left: Any, right: Any) -> None:
    with pytest.raises(TypeError, match="not divided into floats"):
        left / right


@given(AMOUNTS, AMOUNTS)
def test_sums_and_differences_are_those_of_the_numbers_and_are_money_again(one: int, other: int) -> None:
    for total in (Msat(one) + other, Msat(one) + Msat(other), one + Msat(other), sum([Msat(one), Msat(other)])):
        assert (total, type(total)) == (one + other, Msat)
    for rest in (Msat(one) - other, Msat(one) - Msat(other), one - Msat(other)):
        assert (rest, type(rest)) == (one - other, Msat)


@given(AMOUNTS, st.integers(-1_000, 1_000))
def test_a_multiple_and_the_opposite_are_money_again(amount: int, times: int) -> None:
    for product in (Msat(amount) * times, times * Msat(amount)):
        assert (product, type(product)) == (amount * times, Msat)
    assert (-Msat(amount), type(-Msat(amount))) == (-amount, Msat)


def test_a_share_is_a_plain_number_which_has_to_be_made_money_again() -> None:
    assert (Msat(7) // 2, type(Msat(7) // 2)) == (3, int)
    assert (Msat(7) % 2, type(Msat(7) % 2)) == (1, int)


@given(AMOUNTS)
def test_a_credit_is_rounded_down_and_a_debit_up_to_whole_satoshis(amount: int) -> None:
    down, up = Msat(amount).sats_down(), Msat(amount).sats_up()
    assert (type(down), type(up)) == (int, int)
    assert down * 1_000 <= amount < (down + 1) * 1_000
    assert (up - 1) * 1_000 < amount <= up * 1_000


@pytest.mark.parametrize(
    ("amount", "down", "up"), [(0, 0, 0), (1, 0, 1), (999, 0, 1), (1_000, 1, 1), (1_001, 1, 2), (-1, -1, 0)]
)
def test_the_edges_of_a_satoshi(amount: int, down: int, up: int) -> None:
    assert (Msat(amount).sats_down(), Msat(amount).sats_up()) == (down, up)


def test_a_satoshi_is_a_thousand_millisatoshi() -> None:
    assert (sat(21), type(sat(21))) == (Msat(21_000), Msat)
    assert (sat(21_000_000 * 100_000_000), ZERO) == (MAX_MSAT, 0)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 sat"),
        (1, "0.001 sat"),
        (1_000, "1 sat"),
        (1_234_000, "1,234 sat"),
        (1_234_567, "1,234.567 sat"),
        (1_050, "1.050 sat"),
        (-1, "-0.001 sat"),
        (-1_500, "-1.500 sat"),
        (MAX_MSAT, "2,100,000,000,000,000 sat"),
    ],
)
def test_people_read_satoshis(amount: int, text: str) -> None:
    assert str(Msat(amount)) == f"{Msat(amount)}" == text


def test_programs_read_millisatoshi() -> None:
    assert repr(Msat(1_234)) == "Msat(1234)"
    assert f"{Msat(1_234_567):,} {Msat(7):d} {Msat(7):>3}" == "1,234,567 7   7"


@pytest.mark.parametrize("amount", [0, 1, -7, MAX_MSAT])
@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_is_money_again(amount: int, through: Callable[[Msat], Msat]) -> None:
    copied = through(Msat(amount))
    assert (copied, type(copied)) == (amount, Msat)


def test_an_amount_is_equal_to_its_number_and_found_by_it() -> None:
    assert Msat(5) == 5
    assert {Msat(5)} == {5}
    assert Msat(Msat(5)) == Msat(5)


def test_an_amount_holds_nothing_but_its_number() -> None:
    with pytest.raises(AttributeError):
        setattr(Msat(5), "note", "for tea")  # noqa: B010  # mypy knows that there is no such attribute


def test_an_amount_is_stored_as_a_plain_number_and_read_back_as_an_amount() -> None:
    assert to_stored(Msat(210)) == 210
    assert type(to_stored(Msat(210))) is int
    assert type(from_stored(Msat, 210)) is Msat
    with pytest.raises(TypeError):
        to_stored(object())
    for kind, value in ((Msat, "210"), (bytes, 210)):
        with pytest.raises(TypeError):
            from_stored(kind, value)
