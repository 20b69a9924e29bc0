"""What is typed, and how it is shown again."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import click
import pytest

from kitestring.app.cli import values
from kitestring.app.cli.values import (
    BudgetType,
    InCurrency,
    Moment,
    MomentType,
    PastType,
    PriceTyped,
    Sats,
    ToPay,
    TypedBudget,
    amount,
    budget,
    budget_of,
    budget_params,
    facts,
    flat_budget_params,
    quoted,
    short_key,
    table,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5000/day", (5000, "day", 0)),
        ("1/week", (1, "week", 0)),
        ("5000/month", (5000, "month", 0)),
        ("5000/year", (5000, "year", 0)),
        ("5000/total", (5000, "never", 0)),
        ("5000/24h", (5000, "rolling", 86_400)),
        ("5000/7d", (5000, "rolling", 604_800)),
        ("5000/90min", (5000, "rolling", 5_400)),
        ("5000/90s", (5000, "rolling", 90)),
    ],
)
def test_budgets_are_read_and_shown(text: str, value: tuple[int, str, int]) -> None:
    sats, period, length_s = value
    assert BudgetType().convert(text, None, None) == TypedBudget(sats, period, length_s)
    shown = budget(sats * 1000, period, length_s)
    assert shown.startswith(f"{sats:,} sat ")
    assert BudgetType().convert(f"{sats}/{shown.rpartition(' ')[2]}", None, None) == TypedBudget(*value)


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("10EUR/day", TypedBudget(1_000, "day", 0, "EUR"), "10.00 EUR (≈ 21 sat) per day"),
        ("3.50 usd/24h", TypedBudget(350, "rolling", 86_400, "USD"), "3.50 USD (≈ 21 sat) in any 24h"),
        ("500JPY/total", TypedBudget(500, "never", 0, "JPY"), "500 JPY (≈ 21 sat) in total"),
    ],
)
def test_budgets_in_a_currency_are_read_and_shown(text: str, value: TypedBudget, shown: str) -> None:
    assert BudgetType().convert(text, None, None) == value
    row = {"limit_msat": 21_000, **budget_params(value)}
    assert budget_of(row) == shown
    assert flat_budget_params(value) == {
        "currency": value.currency, "budget_minor": value.limit, "period": value.period, "length_s": value.length_s,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["10EUX/day", "0.001EUR/day", "1.5.5EUR/day", "0EUR/day", "1.5JPY/day"])
def test_an_amount_that_no_currency_has_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"currency|decimals|amount"):
        BudgetType().convert(text, None, None)


@pytest.mark.parametrize(
    "text", ["5000", "5000/", "/day", "0/day", "-1/day", "1.5/day", "5/hour", "5/1m", "5/0d", "5/400d", "5 /day"]
)
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a budget"):
        BudgetType().convert(text, None, None)


@pytest.mark.parametrize("text", ["9007199254741", "2100000000000000", "9999999999999999"])
def test_an_amount_that_nobody_could_write_exactly_is_refused_by_the_option(text: str) -> None:
    sentence = f"{text} sat is more than the largest amount here, 9,007,199,254,740 sat"
    with pytest.raises(click.BadParameter, match=sentence):
        Sats().convert(text, None, None)
    with pytest.raises(click.BadParameter, match="is not a budget"):
        BudgetType().convert(f"{text}/day", None, None)
    assert Sats().convert("9007199254740", None, None) == 9_007_199_254_740


def test_an_amount_to_pay_is_typed_in_sats_or_in_a_currency() -> None:
    assert ToPay().convert("210", None, None) == 210
    assert ToPay().convert("4.50eur", None, None) == ToPay().convert("4.5 EUR", None, None) == InCurrency(450, "EUR")
    for wrong in ("4.50", "4.501EUR", "4.50XXQ", "0EUR", "-4EUR", "1,000EUR", "EUR"):
        with pytest.raises(click.BadParameter):
            ToPay().convert(wrong, None, None)


def test_too_few_sats_are_told_how_many_it_takes() -> None:
    with pytest.raises(click.BadParameter, match="0 sat is too little: write at least 1"):
        Sats().convert("0", None, None)
    assert Sats(least=0).convert("0", None, None) == 0


@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", "21 sat", "", "1,000", "x"])
def test_what_is_no_whole_number_of_sats_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a whole number of sats, such as 21"):
        Sats().convert(text, None, None)


@pytest.mark.parametrize("text", ["0", "-1", "3.50", "3,50EUR", "€3", "EUR", "1,000", "x", ""])
def test_what_is_no_price_is_refused_with_both_forms_of_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no price; write whole sats, such as 1000, or 3\.50EUR"):
        PriceTyped().convert(text, None, None)


def test_a_rolling_window_is_shown_in_its_largest_unit() -> None:
    assert budget(1_000, "rolling", 86_400) == "1 sat in any 24h"
    assert budget(1_000, "rolling", 5_400) == "1 sat in any 90min"
    assert budget(1_000, "week", 0) == "1 sat per week"
    assert budget(None, None, None) == "no budget limit"


def test_moments_are_days_or_spans() -> None:
    assert MomentType().convert("30d", None, None) == Moment(None, 30 * 86_400)
    assert MomentType().convert("36500d", None, None) == Moment(None, 36_500 * 86_400)
    assert MomentType().convert("2027-01-31", None, None) == Moment(1_801_353_600, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [("2027-13-31", "is no time"), ("0d", "is no time"), ("1m", "90min"), ("99999d", "at most 36500d")],
)
def test_other_moments_are_refused(text: str, words: str) -> None:
    with pytest.raises(click.BadParameter, match=words):
        MomentType().convert(text, None, None)


def test_times_that_have_been_are_spans_days_or_unix_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.9)
    assert PastType().convert("24h", None, None) == 1_800_000_000 - 86_400
    assert PastType().convert("99999w", None, None) == 0
    assert PastType().convert("1700000000", None, None) == 1_700_000_000
    assert PastType().convert("2027-01-31", None, None) == 1_801_353_600
    assert PastType(whole_day=True).convert("2027-01-31", None, None) == 1_801_353_600 + 86_399
    for wrong in ("2027-13-31", "1m", "-5", "yesterday", str(2**35 + 1)):
        with pytest.raises(click.BadParameter, match="is no time; write 24h"):
            PastType().convert(wrong, None, None)


def test_amounts_have_their_unit() -> None:
    assert amount(1_234_567) == "1,234.567 sat"
    assert amount(None) == "–"


def test_no_cell_forges_a_row_or_steers_a_terminal() -> None:
    assert table([("a\n999 sat", "\x1b[1A\x1b[2Kb\u202e")], ("what", "note")) == (
        "what       note\na 999 sat  [1A [2Kb"
    )
    assert facts([("memo", "tea\npaid  yes"), ("empty", "")]) == "memo  tea paid  yes"


def test_tables_align_numbers_to_the_right() -> None:
    assert table([("a", "5"), ("bb", "10")], ("name", "sat ")) == "name  sat\na       5\nbb     10"
    assert facts([("a", "1"), ("long", "2"), ("none", "")]) == "a     1\nlong  2"


def test_the_words_of_others_stand_in_quotes_that_they_cannot_end() -> None:
    assert quoted('tea" (paid)\n\x1b[31m') == '"tea\' (paid) [31m"'
    assert quoted("x" * 9, 3) == '"xxx"'


def test_a_budget_is_handed_on_in_msat_and_a_key_is_cut_in_its_middle() -> None:
    assert budget_params(TypedBudget(5, "rolling", 60)) == {"limit_msat": 5_000, "period": "rolling", "length_s": 60}
    assert short_key("npub1" + "x" * 52 + "abcdef") == "npub1xxxxxxx…abcdef"


def test_a_table_that_is_too_wide_for_the_terminal_is_told_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    heads, rows = ("when", "", "amount ", "id"), [("today", "in", "1 sat", "a" * 64), ("tomorrow", "out", "", "b" * 64)]
    wide = table(rows, heads)
    assert len(wide.splitlines()) == 3
    monkeypatch.setattr(values, "columns", lambda: 87)
    assert table(rows, heads) == wide
    monkeypatch.setattr(values, "columns", lambda: 86)
    assert table(rows, heads) == (
        f"when    today\nway     in\namount  1 sat\nid      {'a' * 64}\n\nwhen  tomorrow\nway   out\nid    {'b' * 64}"
    )


def test_only_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert values.columns() == sys.maxsize
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    assert values.columns() == 80
    monkeypatch.setattr("sys.stdout", None)
    assert values.columns() == sys.maxsize


def test_no_name_before_a_value_forges_a_line() -> None:
    assert facts([("offer tea\n+1 sat  paid", "noffer1x"), ("é", "y")]).splitlines() == [
        "offer tea +1 sat  paid  noffer1x",
        f"é{' ' * 21}  y",
    ]
