"""What came and went, as a table and as CSV."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pytest

from kitestring.app.cli import columns, values
from kitestring.app.cli.shell import Shell
from kitestring.app.cli.transactions import CSV_FIELDS, CSV_PAGE, command, show_wallet
from kitestring.app.cli.values import when
from kitestring.base.errors import KitestringError
from tests.kit.app.console import Service, run

HASH = "0123456789abcdef" * 4
ROW: dict[str, Any] = {
    "type": "incoming", "state": "settled", "settled_at": 1, "created_at": 0, "amount_msat": 21_000, "fee_msat": 0,
    "service_fee_msat": 0, "account": "owner", "description": "tea", "npub": None, "charged_to": None,
    "connection": None, "offer": None, "reason": None, "payment_hash": HASH, "connection_id": None,
    "offer_id": None, "price": None,
}  # fmt: skip
OUT = {**ROW, "type": "outgoing"}
REST = {"next": None, "searched_back_to_at": None, "total": None}


def answer(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"transactions": list(rows), **REST, **more}


NOTHING = answer()
ASKED = {
    "limit": 20, "offset": 0, "direction": "", "unpaid": False, "since": 0, "until": 0, "states": [], "account": "",
    "connection": "", "offer": "", "search": "", "after": "",
}  # fmt: skip


def lines(*rows: dict[str, Any]) -> list[str]:
    return run(command, answer=answer(*rows)).lines


@pytest.mark.parametrize(
    ("row", "heads", "cells"),
    [
        (ROW, "when (UTC) amount state hash about", "in +21 sat received 01234567 tea"),
        ({**ROW, "state": "pending"}, "when (UTC) amount state hash about", "in +21 sat pending 01234567 tea"),
        ({**ROW, "state": "accepted"}, "when (UTC) amount state hash about", "in +21 sat held 01234567 tea"),
        ({**OUT, "fee_msat": 5}, "when (UTC) amount fee state hash about", "out -21 sat 0.005 sat paid 01234567 tea"),
        (
            {**OUT, "fee_msat": 5, "service_fee_msat": 2_000},
            "when (UTC) amount fee state hash about",
            "out -21 sat 2.005 sat paid 01234567 tea",
        ),
        (
            {**OUT, "state": "failed", "reason": "no route", "connection": "my shop"},
            "when (UTC) amount fee state hash through about",
            "out -21 sat 0 sat failed 01234567 my shop no route (tea)",
        ),
        (
            {**ROW, "offer": "cup", "account": "bob"},
            "when (UTC) amount state hash account through about",
            "in +21 sat received 01234567 bob cup tea",
        ),
        (
            {**ROW, "description": "x" * 70},
            "when (UTC) amount state hash about",
            f"in +21 sat received 01234567 {'x' * 70}",
        ),
    ],
)
def test_a_row_says_which_way_the_money_went_how_it_ended_and_for_whom(
    row: dict[str, Any], heads: str, cells: str
) -> None:
    head, body = lines(row)
    assert (head.split(), body.split()[2:]) == (heads.split(), cells.split())


def test_a_row_has_the_time_of_its_end_or_else_of_its_beginning() -> None:
    assert lines({**ROW, "settled_at": None, "created_at": 86_400 * 365})[1].startswith("1971-01-01 00:00  in")
    assert lines({**ROW, "settled_at": 86_400 * 365})[0].startswith("when (UTC) ")


def test_a_memo_neither_erases_the_true_row_nor_adds_a_false_one() -> None:
    memo = "tea\x1b[1A\x1b[2K\n2026-11-29 05:00  in  +999 sat"
    said = run(command, answer=answer({**ROW, "description": memo, "connection": memo, "reason": memo}))
    assert len(said.lines) == 2
    assert said.lines[1].endswith("tea [1A [2K 2026-11-29 05:00  in  +999 sat")
    assert "\x1b" not in said.out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_fits_the_terminal_and_says_more_on_a_wide_one(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for where in (columns, values):
        monkeypatch.setattr(where, "columns", lambda: width)
    failed = {**OUT, "state": "failed", "reason": "no route to the payee", "connection": "the phone of alice"}
    found = lines({**ROW, "description": "x" * 60}, failed, {**ROW, "offer": "a cup"})
    assert len(found) == 4
    assert all(len(line) <= width for line in found)
    assert {"when", "(UTC)", "amount", "state"} < set(found[0].split())
    assert "hash" in found[0]
    assert ("about" in found[0], "through" in found[0]) == (True, width >= 80)
    assert [line.split()[2] in ("in", "out") for line in found[1:]] == [width >= 80] * 3


def test_options_choose_what_is_listed() -> None:
    def asked(*options: str) -> dict[str, Any]:
        ((name, params),) = run(command, *options, answer=NOTHING).asked
        assert name == "transactions"
        return {key: value for key, value in params.items() if ASKED[key] != value}

    assert asked() == {}
    assert asked("--limit", "5", "--offset", "2", "--out", "--unpaid", "--account", "bob") == {
        "limit": 5, "offset": 2, "direction": "outgoing", "unpaid": True, "account": "bob",
    }  # fmt: skip
    assert asked("--in") == {"direction": "incoming"}
    assert asked("--in", "--out") == {}
    assert asked("--state", "failed", "--state", "held") == {"states": ["failed", "accepted"]}
    assert asked("--connection", "c", "--offer", "o", "--search", "s", "--after", "1-2") == {
        "connection": "c", "offer": "o", "search": "s", "after": "1-2",
    }  # fmt: skip


def test_times_choose_what_is_listed_and_a_day_counts_to_its_end() -> None:
    ((_, asked),) = run(command, "--since", "2026-11-30", "--until", "2026-11-30", answer=NOTHING).asked
    assert (asked["since"], asked["until"]) == (1_795_996_800, 1_796_083_199)
    with pytest.raises(KitestringError, match="--since is later than --until"):
        run(command, "--since", "2", "--until", "1")


def test_an_empty_list_says_why_it_is_empty() -> None:
    none = run(command, answer=NOTHING).out
    assert none == "no transactions; --unpaid lists those too that are open, failed or expired\n"
    assert run(command, "--unpaid", answer=NOTHING).out == "no transactions\n"
    assert run(command, "--state", "failed", answer=NOTHING).out == "no such transactions\n"
    assert run(command, "--offset", "5000", answer=answer(total=1_234)).out == "no more; there are 1,234\n"


def test_a_list_that_was_not_looked_through_says_how_to_go_on() -> None:
    said = run(command, "--search", "tea", answer=answer(ROW, next="99-7", searched_back_to_at=99))
    assert said.err == f"not all was looked through, only back to {when(99)}; to go on: --after 99-7\n"
    assert run(command, answer=answer(ROW, next="99-7")).err == ""


def test_a_debit_is_shown_with_the_key_that_took_it_and_what_it_is_charged_to() -> None:
    npub = "npub1wusltn6th3nj95qjqykw5trv4m96l28jqnxnjjj4xeq2ngp9tuqqe3gnkj"
    head, debit, other = lines({**OUT, "npub": npub, "charged_to": "bean shop"}, ROW)
    assert head.endswith("debit of             charged to  about")
    assert debit.split()[-4:] == ["npub1wusltn6…e3gnkj", "bean", "shop", "tea"]
    assert other.split()[-3:] == ["received", "01234567", "tea"]


def test_the_list_of_a_wallet_has_no_account_and_no_time_that_was_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = ("type", "state", "settled_at", "created_at", "amount_msat", "fee_msat", "description")
    paid = {**{name: OUT[name] for name in told}, "settled_at": None, "created_at": None}
    show_wallet(Shell(), {"transactions": [paid]})
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["when", "amount", "fee", "state", "about"]
    assert out[1].split() == ["–", "out", "-21", "sat", "0", "sat", "paid", "tea"]
    show_wallet(Shell(), NOTHING)
    assert capsys.readouterr().out == "the wallet lists no such transactions\n"


@pytest.mark.parametrize("option", [("--connection", "c"), ("--offer", "o"), ("--state", "failed"), ("--csv",)])
def test_what_a_wallet_cannot_tell_is_not_asked_of_it(option: tuple[str, ...]) -> None:
    with pytest.raises(KitestringError, match=f"{option[0]} is .* leave it out with --wallet"):
        run(command, "--wallet", "env:W", *option)


# ------------------------------------------------------------ CSV


def read(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def test_csv_has_amounts_in_msat_times_with_their_zone_and_no_formula() -> None:
    evil = '=HYPERLINK("http://x")\nnext'
    said = run(command, "--csv", answer=answer({**ROW, "description": evil, "settled_at": None, "connection": "+1"}))
    (row,) = read(said.out)
    assert tuple(row) == CSV_FIELDS
    assert (row["amount_msat"], row["created_at"], row["settled_at"]) == ("21000", "1970-01-01T00:00:00+00:00", "")
    assert (row["description"], row["connection"]) == ('\'=HYPERLINK("http://x") next', "'+1")
    assert row["payment_hash"] == HASH
    assert said.out.endswith("\n")


def test_csv_has_a_header_also_of_nothing() -> None:
    assert run(command, "--csv", answer=NOTHING).lines == [",".join(CSV_FIELDS)]


def test_csv_is_everything_page_after_page_unless_a_limit_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"": answer(ROW, next="9-1"), "9-1": answer(next="5-1"), "5-1": answer(OUT)}
    asked: list[dict[str, Any]] = []

    def page(_self: Shell, _name: str, params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params)
        return pages[params["after"]]

    monkeypatch.setattr("tests.kit.app.console.Noted.read", page)
    assert [row["type"] for row in read(run(command, "--csv", "--offset", "3").out)] == ["incoming", "outgoing"]
    assert [(one["limit"], one["offset"], one["after"]) for one in asked] == [
        (CSV_PAGE, 3, ""), (CSV_PAGE, 0, "9-1"), (CSV_PAGE, 0, "5-1"),
    ]  # fmt: skip
    assert len(read(run(command, "--csv", "--limit", "1").out)) == 1


def test_csv_and_json_at_once_are_refused() -> None:
    with pytest.raises(KitestringError, match="choose one"):
        run(command, "--csv", "--json")


def test_what_is_paid_is_listed_shown_and_written_as_csv(service: Service) -> None:
    bolt11 = service.ok("sandbox", "invoice", "50")["bolt11"]
    paid = service.ok("pay", bolt11)
    (row,) = service.ok("transactions", "--out", "--limit", "1")["transactions"]
    assert (row["payment_hash"], row["state"], row["reason"]) == (paid["payment_hash"], "settled", None)
    assert service.ok("transaction", "show", paid["payment_hash"][:8])["preimage"] == paid["preimage"]
    wrong = service.run("transactions", "--connection", "first walet")
    assert (wrong.exit_code, "did you mean 'first wallet'?" in wrong.stderr) == (2, True)
    assert paid["payment_hash"] in service.run("transactions", "--csv").stdout


@pytest.mark.parametrize(
    ("zone", "row", "since", "until"),
    [
        ("UTC", "2026-07-01 22:30", 1_782_864_000, 1_782_950_399),
        ("Asia/Kathmandu", "2026-07-02 04:15", 1_782_843_300, 1_782_929_699),
        ("Europe/Berlin", "2026-07-02 00:30", 1_782_856_800, 1_782_943_199),
    ],
)
def test_times_and_typed_days_are_of_the_zone_that_is_set(
    zone: str, row: str, since: int, until: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KITESTRING_ZONE", zone)
    summer = {**ROW, "settled_at": None, "created_at": 1_782_945_000}
    said = run(command, "--since", "2026-07-01", "--until", "2026-07-01", answer=answer(summer))
    assert said.lines[1].startswith(row)
    assert (said.asked[0][1]["since"], said.asked[0][1]["until"]) == (since, until)
    (written,) = read(run(command, "--csv", answer=answer(summer)).out)
    assert datetime.fromisoformat(written["created_at"]).timestamp() == 1_782_945_000
    assert written["created_at"].startswith(row.replace(" ", "T"))


def test_on_both_sides_of_a_change_of_the_clock_each_row_has_its_own_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KITESTRING_ZONE", "Europe/Berlin")
    summer, winter = ({**ROW, "settled_at": None, "created_at": at} for at in (1_782_945_000, 1_795_996_800))
    head, *rows = lines(winter, summer)
    assert head.split()[0:2] == ["when", "amount"]
    assert [row[:22].rstrip() for row in rows] == ["2026-11-30 01:00 UTC+1", "2026-07-02 00:30 UTC+2"]
