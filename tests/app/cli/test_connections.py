"""Who may use this service as a wallet, as a table."""

from __future__ import annotations

from kitestring.app.cli.connections import command
from kitestring.app.cli.values import when
from tests.kit.app.console import Service, run

ROW = {
    "name": "agent", "account": "owner", "budgets": [{"limit_msat": 5_000_000, "period": "day", "length_s": 0}],
    "expires_at": None,
    "methods": ["get_balance", "pay_invoice"], "open_payments": 0, "open_invoices": 0, "used": True,
    "old_relays": [], "last_used_at": None,
}  # fmt: skip
USED_AT = 1_760_000_000
OPEN = {"open_payments": 3, "open_invoices": 2}


def test_connections_are_a_table_and_none_of_them_a_hint() -> None:
    shop = {**ROW, "name": "shop", "budgets": [], **OPEN}
    said = run(command, answer={"connections": [{**ROW, "last_used_at": USED_AT}, shop]})
    assert said.asked == [("connections", None)]
    assert said.lines == [
        "name   account  budget             expires  last used         open         may",
        f"agent  owner    5,000 sat per day  –        {when(USED_AT)}  –            get_balance pay_invoice",
        "shop   owner    no budget limit    –        –                 3 out, 2 in  get_balance pay_invoice",
    ]
    assert said.err == ""
    unused = run(command, answer={"connections": [ROW, {**ROW, "name": "shop", "used": False}]})
    assert unused.err == "not used yet: shop; `kitestring link NAME` shows the link again\n"
    old = run(command, answer={"connections": [ROW, {**ROW, "name": "shop", "old_relays": ["wss://left.example"]}]})
    assert "have left, and that is served for them: shop; `kitestring connection relink NAME`" in old.err
    assert "kitestring connect NAME --budget 5000/day" in run(command, answer={"connections": []}).out


def test_every_budget_is_listed_one_in_a_currency_as_such() -> None:
    euros = {"limit_msat": 10_000_000, "period": "day", "length_s": 0, "currency": "EUR", "limit_minor": 1_000}
    row = {**ROW, "budgets": [euros, {"limit_msat": 9_000, "period": "never", "length_s": 0}]}
    assert "10.00 EUR (≈ 10,000 sat) per day and 9 sat in total" in run(command, answer={"connections": [row]}).out


def test_the_first_wallet_of_a_new_service_is_listed(service: Service) -> None:
    assert "first wallet" in [found["name"] for found in service.ok("connections")["connections"]]
