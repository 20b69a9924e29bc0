"""``invoice cancel`` at a real service: one that is open is ended, one that is paid stays paid."""

from __future__ import annotations

import pytest

from kitestring.app.cli.invoice_cancel import command
from tests.kit.app.console import Service, kitestring, run

HASH = "ab" * 32


@pytest.mark.parametrize(
    ("ended", "sentence"),
    [
        ({"state": "canceled", "amount_msat": 21_000}, "cancelled: nobody can pay the invoice for 21 sat any more\n"),
        ({"state": "canceled", "amount_msat": None}, "cancelled: nobody can pay the invoice any more\n"),
        (
            {"state": "expired", "amount_msat": 21_000},
            "it had expired already: nobody can pay the invoice for 21 sat any more\n",
        ),
    ],
)
def test_the_end_is_told_in_one_sentence(ended: dict[str, object], sentence: str) -> None:
    said = run(command, "ab12cd34", "--idempotency-key", "k", answer={"payment_hash": HASH, **ended})
    assert said.asked == [("invoice_cancel", {"invoice": "ab12cd34"}, "k")]
    assert said.out == sentence


def test_a_word_behind_invoice_is_a_command_and_an_amount_is_not() -> None:
    assert "HASH|INVOICE" in kitestring("invoice", "cancel", "--help").stdout
    assert "AMOUNT_SAT" in kitestring("invoice", "--help").stdout
    wrong = kitestring("invoice", "cancle", "ab12cd34")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)


def test_an_open_one_is_cancelled_by_its_text_and_a_paid_one_is_not(service: Service) -> None:
    made = service.ok("invoice", "21")
    assert service.ok("invoice", "cancel", made["bolt11"]) == {
        "payment_hash": made["payment_hash"], "state": "canceled", "amount_msat": 21_000,
    }  # fmt: skip
    assert service.run("sandbox", "pay", made["bolt11"]).exit_code != 0
    rows = service.ok("transactions", "--state", "canceled")["transactions"]
    assert made["payment_hash"] in {row["payment_hash"] for row in rows}
    paid = service.ok("invoice", "22")
    service.ok("sandbox", "pay", paid["bolt11"])
    refused = service.run("invoice", "cancel", paid["payment_hash"][:8])
    assert (refused.exit_code, "paid before it could be cancelled" in refused.stderr) == (2, True)
