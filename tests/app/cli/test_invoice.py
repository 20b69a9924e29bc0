"""Asking to be paid: the invoice is a line that can be piped on."""

from __future__ import annotations

import click
import pytest

from kitestring.app.cli.invoice import command
from tests.kit.app.console import Service, run

MADE = {"amount_msat": 21_000, "expires_at": 0, "bolt11": "lnbcrt210n1xyz"}


def test_an_invoice_is_asked_for_in_sats_and_lasts_an_hour_unless_it_is_said() -> None:
    said = run(command, "21", "--description", "tea", "--expiry", "600", "--idempotency-key", "k", answer=MADE)
    assert said.asked == [
        ("invoice", {"amount_msat": 21_000, "description": "tea", "expiry_s": 600, "account": "owner"}, "k")
    ]
    ((_, params, _),) = run(command, "21", answer=MADE).asked
    assert params == {"amount_msat": 21_000, "description": "", "expiry_s": 3_600, "account": "owner"}


def test_the_text_alone_is_the_answer() -> None:
    said = run(command, "21", answer=MADE)
    assert said.out == "lnbcrt210n1xyz\n"
    assert said.err.startswith("an invoice for 21 sat, valid until ")


def test_an_invoice_can_be_piped_and_is_paid_by_somebody_out_there(service: Service) -> None:
    result = service.run("invoice", "21", "--description", "tea")
    assert result.stdout.startswith("lnbcrt210n1")
    assert result.stdout.count("\n") == 1
    assert service.ok("decode", result.stdout)["description"] == "tea"
    assert service.ok("sandbox", "pay", result.stdout.strip())["amount_msat"] == 21_000


def test_a_wallet_makes_an_invoice_without_an_amount_and_the_payer_names_it(service: Service) -> None:
    uri = service.ok("connect", "till without amounts")["nwc_uri"]
    made = service.ok("invoice", "--wallet", "-", stdin=uri)
    assert made["amount_msat"] is None
    assert service.ok("sandbox", "pay", made["bolt11"], "7")["amount_msat"] == 7_000
    assert service.run("invoice", "--wallet", "-", stdin=uri).stderr.startswith("an invoice for what the payer names, ")


def test_the_service_says_what_to_make_instead_of_an_invoice_without_an_amount() -> None:
    with pytest.raises(click.UsageError, match=r"takes by an offer \(`kitestring offer create LABEL`\)"):
        run(command)
