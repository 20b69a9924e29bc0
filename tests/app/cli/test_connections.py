"""Who may use this service as a wallet, as a table."""

from __future__ import annotations

from kitestring.app.cli.connections import command
from kitestring.app.cli.values import when
from tests.kit.app.console import Service, run

ROW = {
    "name": "agent", "account": "owner", "budgets": [{"limit_msat": 5_000_000, "period": "day", "length_s": 0}],
    "expires_at": None,
    "methods": ["get_balance", "pay_invoice"], "open_payments": 0, "open_invoices": 0, "used": True,
    "old_relays": [], "last_used_at": None, "state": "active", "left_msat": 4_999_000, "preset": None,
}  # fmt: skip
USED_AT = 1_760_000_000
OPEN = {"open_payments": 3, "open_invoices": 2}


def test_connections_are_a_table_and_none_of_them_a_hint() -> None:
    shop = {**ROW, "name": "shop", "account": "bob", "budgets": [], "left_msat": None, "preset": "full", **OPEN}
    said = run(command, answer={"connections": [{**ROW, "last_used_at": USED_AT}, shop]})
    assert said.asked == [("connections", None)]
    assert said.lines == [
        "name   account  budget                  left  last used             open         may",
        f"agent  owner    5,000 sat per day  4,999 sat  {when(USED_AT)}  –            2 methods",
        "shop   bob      no budget limit            –  –                     3 out, 2 in  everything",
    ]
    assert said.err == ""
    unused = run(command, answer={"connections": [ROW, {**ROW, "name": "shop", "used": False}]})
    assert unused.err == "not used yet: shop; `kitestring link NAME` shows the link again\n"
    old = run(command, answer={"connections": [ROW, {**ROW, "name": "shop", "old_relays": ["wss://left.example"]}]})
    assert "have left, and that is served for them: shop; `kitestring connection rotate NAME`" in old.err
    assert "kitestring connect NAME --budget 5000/day" in run(command, answer={"connections": []}).out


def test_a_usual_list_fits_into_80_columns_and_says_what_is_unusual() -> None:
    first = {**ROW, "name": "first wallet", "left_msat": 10_000_000, "last_used_at": USED_AT, "preset": "full"}
    first["budgets"] = [{"limit_msat": 10_000_000, "period": "day", "length_s": 0}]
    usual = run(command, answer={"connections": [first, {**ROW, "methods": ["pay_invoice"]}]})
    assert max(map(len, usual.lines)) <= 80
    assert usual.lines[0].split() == ["name", "budget", "left", "last", "used", "may"]
    assert usual.lines[2].endswith("  pay_invoice")
    paused = run(command, answer={"connections": [first, {**ROW, "state": "paused"}]})
    assert paused.lines[0].split()[:2] == ["name", "state"]
    assert paused.lines[2].split()[:2] == ["agent", "paused"]


def test_every_budget_is_listed_one_in_a_currency_as_such() -> None:
    euros = {"limit_msat": 10_000_000, "period": "day", "length_s": 0, "currency": "EUR", "limit_minor": 1_000}
    row = {**ROW, "budgets": [euros, {"limit_msat": 9_000, "period": "never", "length_s": 0}]}
    assert "10.00 EUR (≈ 10,000 sat) per day and 9 sat in total" in run(command, answer={"connections": [row]}).out


def test_the_first_wallet_of_a_new_service_is_listed(service: Service) -> None:
    assert "first wallet" in [found["name"] for found in service.ok("connections")["connections"]]
