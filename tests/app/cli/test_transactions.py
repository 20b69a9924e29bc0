"""What came and went, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.cli.shell import Shell
from kitestring.app.cli.transactions import _row, command, show_wallet
from kitestring.app.cli.values import when
from kitestring.base.errors import KitestringError
from tests.kit.app.console import run

ROW = {
    "type": "incoming", "state": "settled", "settled_at": 1, "created_at": 0, "amount_msat": 21_000, "fee_msat": 0,
    "account": "owner", "description": "tea", "npub": "", "charged_to": "", "connection": "",
}  # fmt: skip
NOTHING: dict[str, Any] = {"transactions": []}


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({}, ("in", "+21 sat", "", "received", "owner", "tea")),
        ({"state": "pending"}, ("in", "+21 sat", "", "pending", "owner", "tea")),
        ({"state": "expired"}, ("in", "+21 sat", "", "expired", "owner", "tea")),
        ({"type": "outgoing", "fee_msat": 5}, ("out", "-21 sat", "0.005 sat", "paid", "owner", "tea")),
        (
            {"type": "outgoing", "fee_msat": 5, "service_fee_msat": 2_000},
            ("out", "-21 sat", "2.005 sat", "paid", "owner", "tea"),
        ),
        ({"type": "outgoing", "state": "failed"}, ("out", "-21 sat", "0 sat", "failed", "owner", "tea")),
        ({"description": "x" * 60}, ("in", "+21 sat", "", "received", "owner", "x" * 48)),
    ],
)
def test_a_row_says_which_way_the_money_went_and_how_it_ended(changes: dict[str, Any], cells: tuple[str, ...]) -> None:
    assert _row({**ROW, **changes})[1:] == cells


def test_a_row_has_the_time_of_its_end_or_else_of_its_beginning() -> None:
    assert _row({**ROW, "settled_at": None, "created_at": 86_400 * 365})[0] == when(86_400 * 365)
    assert _row({**ROW, "settled_at": 86_400 * 365})[0] == when(86_400 * 365)


def test_a_memo_neither_erases_the_true_row_nor_adds_a_false_one() -> None:
    memo = "tea\x1b[1A\x1b[2K\n2026-11-29 05:00  in  +999 sat"
    said = run(command, answer={"transactions": [{**ROW, "description": memo}]})
    assert len(said.lines) == 2
    assert said.lines[1].endswith("tea [1A [2K 2026-11-29 05:00  in  +999 sat")
    assert "\x1b" not in said.out


def test_options_choose_what_is_listed() -> None:
    asked = run(command, "--limit", "5", "--offset", "2", "--out", "--unpaid", "--account", "bob", answer=NOTHING).asked
    params = {"limit": 5, "offset": 2, "direction": "outgoing", "unpaid": True, "account": "bob"}
    params |= {"since": 0, "until": 0}
    assert asked == [("transactions", params)]
    assert run(command, "--in", answer=NOTHING).asked[0][1]["direction"] == "incoming"
    assert run(command, "--in", "--out", answer=NOTHING).asked[0][1]["direction"] == ""
    assert run(command, answer=NOTHING).asked[0][1] == {
        "limit": 20, "offset": 0, "direction": "", "unpaid": False, "since": 0, "until": 0, "account": "",
    }  # fmt: skip


def test_times_choose_what_is_listed_and_a_day_counts_to_its_end() -> None:
    ((_, asked),) = run(command, "--since", "2026-11-30", "--until", "2026-11-30", answer=NOTHING).asked
    assert (asked["since"], asked["until"]) == (1_795_996_800, 1_796_083_199)
    with pytest.raises(KitestringError, match="--since is later than --until"):
        run(command, "--since", "2", "--until", "1")


def test_rows_are_a_table_and_none_of_them_a_sentence() -> None:
    said = run(command, answer={"transactions": [ROW]})
    assert said.lines[0].split() == ["when", "amount", "fee", "state", "account", "description"]
    assert len(said.lines) == 2
    none = run(command, answer=NOTHING).out
    assert none == "no transactions; --unpaid lists those too that are open, failed or expired\n"
    assert run(command, "--unpaid", answer=NOTHING).out == "no transactions\n"


def test_a_payment_of_an_app_is_shown_with_the_name_of_its_connection() -> None:
    paid = {**ROW, "type": "outgoing", "charged_to": "my\x1bshop", "connection": "my\x1bshop"}
    lines = run(command, answer={"transactions": [paid, ROW]}).lines
    assert lines[0].split() == ["when", "amount", "fee", "state", "account", "connection", "description"]
    assert lines[1].split()[-5:] == ["paid", "owner", "my", "shop", "tea"]
    assert lines[2].split()[-3:] == ["received", "owner", "tea"]


def test_a_debit_is_shown_with_the_key_that_took_it_and_what_it_is_charged_to() -> None:
    npub = "npub1wusltn6th3nj95qjqykw5trv4m96l28jqnxnjjj4xeq2ngp9tuqqe3gnkj"
    debit = {**ROW, "type": "outgoing", "npub": npub, "charged_to": "bean shop"}
    lines = run(command, answer={"transactions": [debit, ROW]}).lines
    assert lines[0].split() == ["when", "amount", "fee", "state", "debit", "of", "charged", "to", "description"]
    assert lines[1].split()[-5:] == ["paid", "npub1wusltn6…e3gnkj", "bean", "shop", "tea"]
    assert lines[2].split()[-3:] == ["received", "owner", "tea"]


def test_the_list_of_a_wallet_has_no_account_and_no_time_that_was_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    paid = {**ROW, "type": "outgoing", "settled_at": None, "created_at": None}
    show_wallet(Shell(), {"transactions": [paid]})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["when", "amount", "fee", "state", "description"]
    assert lines[1].split() == ["–", "out", "-21", "sat", "0", "sat", "paid", "tea"]
    show_wallet(Shell(), NOTHING)
    assert capsys.readouterr().out == "the wallet lists no such transactions\n"
