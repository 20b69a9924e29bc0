"""All facts of one payment, for people."""

from __future__ import annotations

from typing import Any

from kitestring.app.cli.transaction_show import command
from tests.kit.app.console import run

ROW: dict[str, Any] = {
    "type": "outgoing", "state": "failed", "settled_at": None, "created_at": 0, "expires_at": None,
    "amount_msat": 21_000, "fee_msat": 0, "service_fee_msat": 0, "account": "owner", "npub": None,
    "description": "tea\x1b\nfree", "charged_to": None, "connection": "my shop", "connection_id": "ab12",
    "offer": None, "offer_id": None, "reason": "no route", "payment_hash": "ab" * 32, "price": None,
    "payer_data": None, "internal": False,
    "preimage": "cd" * 32,
}  # fmt: skip


def test_a_failed_payment_is_shown_with_its_reason_and_who_asked_for_it() -> None:
    said = run(command, "abababab", answer={**ROW, "others": []})
    assert said.asked == [("transaction_show", {"payment_hash": "abababab"})]
    shown = dict(line.split("  ", 1) for line in said.lines)
    assert {name: value.strip() for name, value in shown.items()} | {} == {
        "payment hash": "ab" * 32, "direction": "out", "state": "failed", "reason": "no route", "amount": "21 sat",
        "routing fee": "0 sat", "made": shown["made"].strip(), "account": "owner", "connection": "my shop (ab12)",
        "description": "tea free",
    }  # fmt: skip


def test_the_proof_is_shown_to_whom_asks_for_it() -> None:
    settled = {**ROW, "state": "settled", "others": []}
    assert "cd" * 32 not in run(command, "abababab", answer=settled).out
    assert "cd" * 32 in run(command, "--preimage", "abababab", answer=settled).out
    assert run(command, "--json", "abababab", answer=settled).json["preimage"] == "cd" * 32


def test_what_else_has_the_hash_is_shown_below() -> None:
    invoice = {**ROW, "type": "incoming", "state": "accepted", "connection": "", "offer": "tea", "offer_id": "x1"}
    out = run(command, "abababab", answer={**invoice, "others": [ROW]}).out
    first, second = out.split("\n\n")
    assert "held" in first
    assert "tea (x1)" in first
    assert "failed" in second
