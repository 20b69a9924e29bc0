"""Hold invoices on the command line: made, listed, and decided by a word."""

from __future__ import annotations

from typing import Any

import click
import pytest

from kitestring.app.cli.hold import command
from tests.kit.app.console import Service, run

HASH, PREIMAGE = "ab" * 32, "5a" * 32
MADE = {"amount_msat": 21_000, "expires_at": 0, "bolt11": "lnbcrt210n1xyz", "payment_hash": HASH}
ONE = {
    "payment_hash": HASH, "state": "open", "amount_msat": 21_000, "held_msat": 0, "settle_deadline": None,
    "decision": "", "expires_at": 1_800_000_000, "description": "tea", "connection_id": "owner",
    "connection": "owner",
}  # fmt: skip


def said_of(**changes: Any) -> str:
    return run(command, "list", answer={"holds": [ONE | changes]}).out


def test_the_service_draws_the_preimage_unless_a_hash_is_given() -> None:
    kept = run(
        command,
        "create",
        "21",
        "--description",
        "tea",
        "--idempotency-key",
        "k",
        answer=MADE | {"preimage_is_kept": True},
    )
    assert kept.asked == [
        (
            "hold_create",
            {"amount_msat": 21_000, "description": "tea", "expiry_s": 3_600, "payment_hash": "", "min_blocks": 0},
            "k",
        )
    ]  # fmt: skip
    assert kept.out == "lnbcrt210n1xyz\n"
    assert f"kitestring hold settle {HASH}\n" in kept.err
    given = run(
        command, "create", "21", "--payment-hash", HASH, "--blocks", "50", "--expiry", "60",
        answer=MADE | {"preimage_is_kept": False},
    )  # fmt: skip
    ((_, params, _),) = given.asked
    assert (params["payment_hash"], params["min_blocks"], params["expiry_s"]) == (HASH, 50, 60)
    assert f"kitestring hold settle {HASH} PREIMAGE\n" in given.err


def test_fewer_blocks_than_any_hold_invoice_has_are_refused_and_not_silently_made_more() -> None:
    with pytest.raises(click.BadParameter, match="'5' is not a whole number from 36 to 1008"):
        run(command, "create", "21", "--blocks", "5")


def test_a_word_decides() -> None:
    settled = run(command, "settle", HASH, PREIMAGE, answer={"amount_msat": 21_000})
    assert [asked[:2] for asked in settled.asked] == [("hold_settle", {"payment_hash": HASH, "preimage": PREIMAGE})]
    assert settled.out == "settled: 21 sat are yours\n"
    cancelled = run(command, "cancel", HASH, answer={"amount_msat": 0})
    assert [asked[:2] for asked in cancelled.asked] == [("hold_cancel", {"payment_hash": HASH})]
    assert cancelled.out.startswith("cancelled")


def test_the_list_says_what_each_waits_for() -> None:
    assert "unpaid" in said_of()
    held = said_of(state="accepted", held_msat=22_000, settle_deadline=1_144)
    assert all(words in held for words in ("HELD", "22 sat", "block 1144", "tea", HASH))
    assert "my shop" in said_of(connection_id="e2c5da4cc1da70b1", connection="my shop")
    assert "e2c5da4cc1da70b1" not in said_of(connection_id="e2c5da4cc1da70b1", connection="my shop")
    assert "being settled" in said_of(state="accepted", decision="settle")
    assert "being cancelled" in said_of(decision="cancel")
    assert run(command, "list", answer={"holds": []}).out == "no hold invoice waits for anything\n"


def test_somebody_pays_and_the_owner_takes_it_by_the_hash_alone(service: Service) -> None:
    made = service.ok("hold", "create", "21", "--description", "tea")
    before = service.ok("balance")["balance_msat"]
    paid = service.ok("sandbox", "pay", made["bolt11"])
    assert (paid["held"], paid["preimage"]) == (True, None)
    assert service.ok("balance")["balance_msat"] == before
    done = service.ok("hold", "settle", made["payment_hash"])
    assert (done["state"], done["amount_msat"]) == ("settled", 21_000)
    assert service.ok("balance")["balance_msat"] == before + 21_000
    assert made["payment_hash"] not in str(service.ok("hold", "list"))


def test_people_are_told_that_their_node_holds_it(service: Service) -> None:
    made = service.ok("hold", "create", "21")
    said = service.run("sandbox", "pay", made["bolt11"])
    assert said.stdout.startswith("your node holds 21 sat until you decide: kitestring hold settle ")
    assert service.ok("hold", "cancel", made["payment_hash"])["state"] == "canceled"
