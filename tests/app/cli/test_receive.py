"""A link to be paid by is a line that can be piped on, and for a person a QR code."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.cli import qr, wallet
from kitestring.app.cli.receive import command
from tests.kit.app.console import Service, run

MADE = {
    "bip321": "bitcoin:?lightning=lnbcrt210n1xyz", "bolt11": "lnbcrt210n1xyz", "payment_hash": "ab" * 32,
    "amount_msat": 21_000, "expires_at": 0,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []

    def receive_by(_: object, *given: object) -> dict[str, object]:
        found.append(given)
        return MADE if given[1] is not None else {**MADE, "amount_msat": None}

    monkeypatch.setattr(wallet, "receive_by", receive_by)
    return found


def test_the_link_alone_is_the_answer(asked: list[Any]) -> None:
    said = run(command, "21", "--description", "tea", "--wallet", "env:W")
    assert said.out == f"{MADE['bip321']}\n"
    assert said.err.startswith("a link for 21 sat, valid until ")
    assert asked == [("env:W", 21, "tea", "auto")]


def test_a_person_is_shown_its_qr_code_and_a_program_everything(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qr, "person_looks", lambda: True)
    said = run(command, "21", "--wallet", "env:W")
    assert said.out == f"{qr.drawing(str(MADE['bip321']))}\n\n{MADE['bip321']}\n"
    assert run(command, "21", "--wallet", "env:W", "--json").json == MADE


def test_without_an_amount_the_payer_names_it(asked: list[Any]) -> None:
    said = run(command, "--wallet", "-", "--encryption", "legacy")
    assert said.err.startswith("a link for what the payer names, valid until ")
    assert asked == [("-", None, "", "legacy")]


def test_anybody_can_pay_what_a_wallet_is_asked_for_by_its_link(service: Service) -> None:
    uri = service.ok("connect", "receiver")["nwc_uri"]
    made = service.ok("receive", "21", "--description", "tea", "--wallet", "-", stdin=uri)
    assert made["bip321"].lower().startswith("bitcoin:?")
    assert made["bolt11"].lower() in made["bip321"].lower()
    assert service.ok("sandbox", "pay", made["bip321"])["amount_msat"] == 21_000
    while (paid := service.ok("lookup", made["payment_hash"]))["state"] != "settled":
        assert paid["state"] == "pending"
    assert (paid["amount_msat"], paid["description"]) == (21_000, "tea")
    free = service.ok("receive", "--wallet", "-", stdin=uri)
    assert free["amount_msat"] is None
    assert service.ok("sandbox", "pay", free["bip321"], "7")["amount_msat"] == 7_000


def test_a_wallet_that_makes_no_such_links_gives_its_invoice_in_one(service: Service) -> None:
    uri = f"sandbox://{service.home / 'sandbox.db'}"
    made = service.ok("receive", "5", "--wallet", "-", stdin=uri)
    assert made["bip321"] == f"bitcoin:?lightning={made['bolt11']}"
