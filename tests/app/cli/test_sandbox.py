"""The outside world of a sandbox: somebody pays, or is paid, and a receipt is believed by its proof."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kitestring.app.cli import sandbox
from kitestring.app.cli.main import cli
from tests.kit.app.console import Service
from tests.kit.codec.invoices import invoice


def test_somebody_out_there_pays_the_offer_over_the_relay(service: Service) -> None:
    paid = service.ok("sandbox", "pay", service.card["noffer"], "21")
    assert (paid["amount_msat"], paid["receipt"], len(paid["preimage"])) == (21_000, "proven", 64)
    newest = service.ok("transactions", "--in", "--limit", "1")["transactions"][0]
    assert (newest["amount_msat"], newest["state"], newest["payment_hash"]) == (21_000, "settled", paid["payment_hash"])


def test_somebody_out_there_tells_what_the_offer_wants_to_know_and_pays_up_to_a_most(service: Service) -> None:
    code = service.ok("offer", "create", "Mug", "--price", "9", "--ask", "email")["noffer"]
    unsaid = service.run("sandbox", "pay", code)
    assert (unsaid.exit_code, unsaid.stdout) == (2, "")
    assert "wants to know email" in unsaid.stderr
    assert "add --data 'email=…'" in unsaid.stderr
    told = ("--data", "email=b@x.example")
    assert service.run("sandbox", "pay", code, *told, "--max", "8").exit_code == 2
    assert service.ok("sandbox", "pay", code, *told, "--max", "9")["amount_msat"] == 9_000


def test_people_are_told_whether_the_receipt_came(service: Service) -> None:
    done = service.run("sandbox", "pay", service.card["noffer"], "21")
    assert done.stdout.startswith("paid 21 sat, fee 0 sat\npreimage ")
    assert done.stderr == "the receipt came, with the preimage\n"


def test_an_invoice_of_the_outside_is_a_line_that_can_be_paid(service: Service) -> None:
    done = service.run("sandbox", "invoice", "50", "--description", "a book")
    assert done.stdout.count("\n") == 1
    assert service.ok("decode", done.stdout)["description"] == "a book"
    assert service.ok("pay", done.stdout.strip())["amount_msat"] == 50_000


def test_a_node_of_the_outside_is_a_key_that_can_be_paid(service: Service) -> None:
    done = service.run("sandbox", "node")
    assert done.stdout.count("\n") == 1
    paid = service.ok("keysend", done.stdout.strip(), "50", "--message", "thanks")
    assert (paid["amount_msat"], paid["internal"]) == (50_000, False)


@pytest.mark.parametrize("proof", [None, "proven", "claimed", "false"])
def test_every_kind_of_receipt_has_its_words_and_a_false_one_is_shouted(proof: str | None) -> None:
    assert ("WRONG" in sandbox._RECEIPTS[proof]) == (proof == "false")


@pytest.mark.parametrize("words", [("pay", invoice()), ("invoice", "5")])
def test_a_real_node_has_no_outside_to_play(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text('node = "lnd+https://127.0.0.1:1?macaroon=/nowhere/m"\n')
    refused = CliRunner().invoke(cli, ["--data-dir", str(tmp_path), "sandbox", *words])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "stands on a real node, not on a sandbox" in refused.stderr
