"""The outside world of a sandbox: somebody pays, or is paid, and a receipt is believed by its proof."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from kitestring import Sandbox
from kitestring.app.cli import sandbox
from kitestring.app.cli.main import cli
from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.datadir import DataDir
from kitestring.base.errors import KitestringError, Reason
from kitestring.sdk.sandbox import FailWord
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
    assert "asks for email" in unsaid.stderr
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


def test_a_payment_that_is_held_is_listed_and_ends_as_it_is_told(service: Service) -> None:
    for word, state, told in (("settle", "settled", "has the money"), ("cancel", "failed", "has failed")):
        made = service.run("sandbox", "invoice", "50", "--hold")
        payment_hash = service.ok("decode", made.stdout)["payment_hash"]
        assert f"kitestring sandbox settle {payment_hash}" in made.stderr
        unpaid = service.run("sandbox", word, payment_hash)
        assert (unpaid.exit_code, unpaid.stdout) == (2, "")
        assert "nobody has paid it yet" in unpaid.stderr
        home = DataDir(service.home, service.home)
        with pytest.raises(KitestringError) as waiting:
            ControlClient(home).call("pay", {"target": made.stdout.strip(), "wait_s": 0}, word)
        assert waiting.value.reason is Reason.PAYMENT_IN_FLIGHT
        asyncio.run(Sandbox(home.sandbox_db).wait_for(payment_hash))
        assert service.run("sandbox", "list").stdout.splitlines()[1].split() == ["held", "50", "sat", payment_hash]
        assert told in service.run("sandbox", word, payment_hash).stdout
        (row,) = service.ok("sandbox", "list", "--limit", "1")["invoices"]
        assert (row["state"], row["payment_hash"], bool(row["preimage"])) == (state, payment_hash, state == "settled")
    assert service.run("sandbox", "list").stdout.splitlines()[0].split() == ["state", "amount", "hash"]


def test_a_payment_goes_wrong_in_the_way_that_its_invoice_was_made_with(service: Service) -> None:
    failing = service.ok("sandbox", "invoice", "50", "--fail", "refused")
    assert (failing["state"], failing["amount_msat"], failing["preimage"]) == ("unpaid", 50_000, None)
    refused = service.run("pay", failing["bolt11"])
    assert "the payee or the node refused the payment" in refused.stderr
    lost = service.ok("sandbox", "invoice", "50", "--lose-answer", "--slow", "0")
    assert service.ok("pay", lost["bolt11"])["payment_hash"] == lost["payment_hash"]
    assert service.run("sandbox", "invoice", "50", "--fail", "luck").exit_code == 2
    both = service.run("sandbox", "invoice", "50", "--hold", "--slow", "1")
    assert (both.exit_code, both.stdout) == (2, "")
    assert "does not end by itself" in both.stderr


def test_another_world_is_named_by_its_file(service: Service, tmp_path: Path) -> None:
    missing = service.run("sandbox", "list", "--world", str(tmp_path / "none.db"))
    assert (missing.exit_code, missing.stdout) == (service.run("sandbox", "node", "--world", "/").exit_code, "")
    assert "there is no sandbox world at" in missing.stderr
    world = Sandbox(tmp_path / "other.db")
    empty = service.run("sandbox", "list", "--world", str(world.path))
    assert empty.stdout == "nobody out there has made an invoice\n"
    foreign = service.ok("sandbox", "invoice", "50", "--world", str(world.path))
    assert "no route" in service.run("pay", foreign["bolt11"]).stderr


def test_the_words_for_a_failure_are_those_of_the_sdk() -> None:
    assert get_args(FailWord) == sandbox.FAIL_WORDS


@pytest.mark.parametrize("proof", [None, "proven", "claimed", "false"])
def test_every_kind_of_receipt_has_its_words_and_a_false_one_is_shouted(proof: str | None) -> None:
    assert ("WRONG" in sandbox._RECEIPTS[proof]) == (proof == "false")


@pytest.mark.parametrize("words", [("pay", invoice()), ("invoice", "5")])
def test_a_real_node_has_no_outside_to_play(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text('node = "lnd+https://127.0.0.1:1?macaroon=/nowhere/m"\n')
    refused = CliRunner().invoke(cli, ["--data-dir", str(tmp_path), "sandbox", *words])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "stands on a real node, not on a sandbox" in refused.stderr
