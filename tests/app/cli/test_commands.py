"""Every command against a real service on its sandbox, started as its own process by the command line."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kitestring.app.card import Card
from kitestring.app.cli.main import cli
from kitestring.app.cli.up import card_text
from kitestring.base.money import sat
from tests.kit.codec.invoices import invoice


@dataclass
class Service:
    """A running `kitestring up --json` and its card."""

    home: Path
    child: subprocess.Popen[str]
    card: dict[str, Any]

    def run(self, *args: str, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, args, env={"KITESTRING_DATA_DIR": str(self.home)}, input=stdin)

    def ok(self, *args: str, stdin: str = "") -> dict[str, Any]:
        result = self.run("--json", *args, stdin=stdin)
        assert result.exit_code == 0, result.output
        told: dict[str, Any] = json.loads(result.stdout)
        return told


def start(home: Path) -> Service:
    child = subprocess.Popen(
        [sys.executable, "-m", "kitestring", "up", "--json"],
        env={**os.environ, "KITESTRING_DATA_DIR": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, "the service did not start"
    return Service(home, child, json.loads(line))


def stop(service: Service, number: int = signal.SIGTERM) -> int:
    service.child.send_signal(number)
    code = service.child.wait(20)
    assert service.child.stdout is not None
    service.child.stdout.close()
    return code


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start(tmp_path_factory.mktemp("up") / "data")
    yield running
    if running.child.poll() is None:
        stop(running)


def test_the_card_is_one_line_of_json(service: Service) -> None:
    card = service.card
    assert list(card) == ["relay", "relays", "service_pubkey", "noffer", "nwc_uri", "socket"]
    assert card["relay"].startswith("ws://127.0.0.1:")
    assert card["noffer"].startswith("noffer1")
    assert card["nwc_uri"].startswith("nostr+walletconnect://")
    assert Path(card["socket"]) == service.home / "control.sock"


def test_the_card_can_be_shown_again_without_its_secret(service: Service) -> None:
    members = ("relays", "service_pubkey", "noffer")
    assert service.ok("card") == {member: service.card[member] for member in members}
    shown = service.run("card").stdout
    assert shown.splitlines()[0] == f"relays          {service.card['relay']}"
    assert service.card["noffer"] in shown


def test_somebody_out_there_pays_the_offer_over_the_relay(service: Service) -> None:
    paid = service.ok("sandbox", "pay", service.card["noffer"], "21")
    assert (paid["amount_msat"], paid["receipt"], len(paid["preimage"])) == (21_000, "proven", 64)
    newest = service.ok("transactions", "--in", "--limit", "1")["transactions"][0]
    assert (newest["amount_msat"], newest["state"], newest["payment_hash"]) == (21_000, "settled", paid["payment_hash"])


def test_an_outside_invoice_is_paid_with_a_fee_and_once_per_key(service: Service) -> None:
    invoice = service.ok("sandbox", "invoice", "50")["bolt11"]
    before = service.ok("balance")["balance_msat"]
    paid = service.ok("pay", invoice, "--idempotency-key", "order-17")
    assert paid["amount_msat"] == 50_000
    assert paid["fee_msat"] > 0
    assert service.ok("pay", invoice, "--idempotency-key", "order-17") == paid
    assert service.ok("balance")["balance_msat"] == before - 50_000 - paid["fee_msat"]
    other = service.run("pay", service.ok("sandbox", "invoice", "50")["bolt11"], "--idempotency-key", "order-17")
    assert other.exit_code == 2
    assert "idempotency key" in other.stderr


def test_a_payment_beyond_the_balance_exits_3(service: Service) -> None:
    result = service.run("pay", service.ok("sandbox", "invoice", "5000000")["bolt11"])
    assert (result.exit_code, result.stdout) == (3, "")


def test_an_invoice_is_a_line_that_can_be_piped(service: Service) -> None:
    result = service.run("invoice", "21", "--description", "tea")
    assert result.stdout.startswith("lnbcrt210n1")
    assert result.stdout.count("\n") == 1
    assert service.ok("decode", result.stdout)["description"] == "tea"
    assert service.ok("sandbox", "pay", result.stdout.strip())["amount_msat"] == 21_000


def test_a_connection_pays_within_its_budget_and_no_further(service: Service) -> None:
    made = service.ok("connect", "agent", "--budget", "100/day", "--methods", "pay_invoice")
    assert (made["budget_msat"], made["period"], made["methods"]) == (100_000, "day", ["pay_invoice"])
    again = service.ok("connect", "agent")
    assert (again["nwc_uri"], again["connection_id"]) == (None, made["connection_id"])
    wallet = ("--wallet", "-")
    paid = service.ok("pay", service.ok("sandbox", "invoice", "40")["bolt11"], *wallet, stdin=made["nwc_uri"])
    assert (paid["amount_msat"], paid["fee_msat"] > 0) == (40_000, True)
    beyond = service.run("pay", service.ok("sandbox", "invoice", "90")["bolt11"], *wallet, stdin=made["nwc_uri"])
    assert (beyond.exit_code, beyond.stdout) == (5, "")
    literal = service.run("pay", "x", "--wallet", made["nwc_uri"])
    assert literal.stderr.startswith("warning: ")
    names = [found["name"] for found in service.ok("connections")["connections"]]
    assert sorted(names) == ["agent", "first wallet"]
    assert service.ok("revoke", "agent")["name"] == "agent"
    assert service.run("revoke", "agent").exit_code == 2


def test_the_payee_of_an_offer_is_told_what_the_wallet_pays_for(service: Service) -> None:
    uri = service.ok("connect", "shopper")["nwc_uri"]
    told = ("--wallet", "-", "--description", "two cups of tea")
    service.ok("pay", service.card["noffer"], "7", *told, stdin=uri)
    newest = service.ok("transactions", "--in", "--limit", "1")["transactions"][0]
    assert (newest["amount_msat"], newest["description"]) == (7_000, "two cups of tea")


def test_an_account_gets_money_and_an_offer_of_its_own(service: Service) -> None:
    assert service.ok("account", "create", "bob")["created"] is True
    assert service.ok("account", "fund", "bob", "1000")["available_msat"] == 1_000_000
    offer = service.ok("offer", "create", "tea", "--price", "5", "--account", "bob")
    assert service.ok("offer", "show", "tea") == offer
    service.ok("sandbox", "pay", offer["noffer"])
    assert service.ok("account", "list")["accounts"][0]["available_msat"] == 1_005_000
    assert [found["label"] for found in service.ok("offer", "list")["offers"]] == ["first offer", "tea"]
    assert service.ok("offer", "delete", "tea")["deleted"] is True
    gone = service.run("sandbox", "pay", offer["noffer"])
    assert gone.exit_code == 2
    rows = service.ok("transactions", "--account", "bob")["transactions"]
    assert [row["account"] for row in rows] == ["bob"]


@pytest.mark.parametrize(
    "words",
    [
        "card",
        "info",
        "balance",
        "transactions",
        "transactions --unpaid",
        "connections",
        "account list",
        "offer list",
        "doctor",
        "audit",
    ],
)
def test_people_get_calm_text(service: Service, words: str) -> None:
    result = service.run(*words.split())
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert "{" not in result.stdout


def test_doctor_finds_everything_in_order(service: Service) -> None:
    checks = service.ok("doctor")["checks"]
    assert {check["name"] for check in checks} >= {"directory", "key", "disk", "sqlite", "service", "node", "relay"}
    assert {check["state"] for check in checks} <= {"ok", "info"}


def test_the_books_are_right_also_against_the_node(service: Service) -> None:
    result = service.ok("audit", "--node")
    assert result["violations"] == []
    assert result["node"]["payments"] > 0


def test_a_second_service_on_the_directory_is_refused(service: Service) -> None:
    result = service.run("up")
    assert result.exit_code == 2
    assert f"(pid {service.child.pid})" in result.stderr


def test_a_stopped_service_is_read_from_its_ledger_and_found_again(tmp_path: Path) -> None:
    first = start(tmp_path / "data")
    first.ok("sandbox", "pay", first.card["noffer"], "21")
    first.ok("account", "create", "bob")
    readable = ("card", "transactions", "connections", "account list", "offer list", "offer show tea")
    first.ok("offer", "create", "tea")
    running = {words: first.ok(*words.split()) for words in readable}
    assert stop(first) == 0
    assert not (first.home / "control.sock").exists()
    assert {words: first.ok(*words.split()) for words in running} == running
    assert first.ok("balance")["balance_msat"] is None
    with closing(sqlite3.connect(first.home / "kitestring.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")  # whoever only reads does not wait for a writer
        assert first.ok("connections") == running["connections"]
    assert first.ok("audit") == {"violations": []}
    for words in (
        f"pay {invoice(sat(5))}",
        "invoice 5",
        "info",
        "connect x",
        "revoke x",
        "account create x",
        "offer create x",
        "audit --node",
    ):
        result = first.run(*words.split())
        assert (result.exit_code, result.stdout) == (4, "")
        assert "start it with `kitestring up`" in result.stderr
    assert first.run("sandbox", "pay", first.card["noffer"], "21").exit_code == 4
    assert first.run("doctor").exit_code == 1
    second = start(first.home)
    try:
        assert second.card == {**first.card, "nwc_uri": None}
    finally:
        assert stop(second, signal.SIGINT) == 0


def test_the_card_for_people_can_be_copied() -> None:
    card = Card(("ws://127.0.0.1:7",), "ab" * 32, "noffer1xyz", "nostr+walletconnect://x", Path("/d/control.sock"))
    text = card_text(card, sandbox=True, qr=False, extra="--data-dir /d ")
    assert "\n  kitestring --data-dir /d sandbox pay noffer1xyz 21\n" in text
    assert "\n  kitestring --data-dir /d pay $(kitestring --data-dir /d sandbox invoice 50)\n" in text
    assert "█" in card_text(card, sandbox=True, qr=True)
    assert "sandbox" not in card_text(card, sandbox=False, qr=False)


def test_the_card_says_how_a_shell_finds_the_program_when_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(("ws://127.0.0.1:7",), "ab" * 32, "noffer1xyz", None, Path("/d/control.sock"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "\n  . .venv/bin/activate\n" in card_text(card, sandbox=True, qr=False)
    (tmp_path / "kitestring").touch(mode=0o700)
    assert "activate" not in card_text(card, sandbox=True, qr=False)


def test_a_new_connection_is_described_with_its_cap(service: Service) -> None:
    result = service.run("connect", "capped", "--budget", "5000/day", "--per-payment", "1000")
    assert "5,000 sat per day; at most 1,000 sat a payment; may get_balance" in result.stderr
