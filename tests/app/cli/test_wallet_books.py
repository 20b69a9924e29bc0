"""Invoices, held payments and lists at any wallet: behind a connection, and at a node that is opened itself."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from kitestring.app.cli import wallet_books
from kitestring.app.cli.shell import Shell
from kitestring.app.cli.wallet_books import settled_by
from kitestring.base.errors import KitestringError, Reason
from tests.kit.app.console import Service

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()


def refused(service: Service, uri: str, *words: str) -> tuple[int, str]:
    """The exit code and the sentence of a command at this wallet."""
    said = service.run("--json", *words, "--wallet", "-", stdin=uri)
    return said.exit_code, json.loads(said.stdout)["error"]["message"]


def at(service: Service, uri: str, *words: str) -> dict[str, Any]:
    return service.ok(*words, "--wallet", "-", stdin=uri)


def node(service: Service) -> str:
    """The sandbox node of the service, opened itself."""
    return f"sandbox://{service.home / 'sandbox.db'}"


@pytest.fixture(scope="module")
def uri(service: Service) -> str:
    """A wallet of its own: what other tests pay is not in its list."""
    service.ok("account", "create", "booker")
    return str(service.ok("connect", "booker's app", "--account", "booker")["nwc_uri"])


def test_an_invoice_of_a_wallet_is_paid_found_and_listed_in_the_words_of_the_service(
    service: Service, uri: str
) -> None:
    made = at(service, uri, "invoice", "21", "--description", "tea", "--expiry", "600")
    own = service.ok("invoice", "21")
    assert made.keys() <= own.keys()
    assert (made["amount_msat"], service.ok("decode", made["bolt11"])["description"]) == (21_000, "tea")
    assert at(service, uri, "transactions")["transactions"] == []
    (unpaid,) = at(service, uri, "transactions", "--unpaid")["transactions"]
    assert (unpaid["state"], unpaid["payment_hash"]) == ("pending", made["payment_hash"])
    service.ok("sandbox", "pay", made["bolt11"])
    while (found := at(service, uri, "lookup", made["bolt11"]))["state"] != "settled":
        assert found["state"] == "pending"
    assert found == at(service, uri, "lookup", made["payment_hash"].upper())
    seen = service.ok("lookup", made["bolt11"])
    assert seen["account"] == "booker"
    assert found.items() <= seen.items()
    assert at(service, uri, "transactions")["transactions"] == [found]
    assert at(service, uri, "transactions", "--out")["transactions"] == []
    made_at = str(found["created_at"])
    assert at(service, uri, "transactions", "--since", made_at, "--until", made_at)["transactions"] == [found]
    assert at(service, uri, "transactions", "--until", str(found["created_at"] - 1))["transactions"] == []
    assert at(service, uri, "transactions", "--since", str(found["created_at"] + 1))["transactions"] == []
    said = service.run("transactions", "--wallet", "-", stdin=uri)
    heads, row = said.stdout.splitlines()
    assert heads.split() == ["when", "(UTC)", "amount", "state", "about"]
    assert row.split()[2:] == ["in", "+21", "sat", "received", "tea"]


def test_what_a_wallet_does_not_know_or_not_permit_ends_with_the_exit_code_of_its_reason(service: Service) -> None:
    uri = service.ok("connect", "narrow", "--methods", "lookup_invoice")["nwc_uri"]
    for words, exit_code, sentence in (
        (("lookup", "00" * 32), 2, "the wallet refused"),
        (("invoice", "21"), 5, "make_invoice"),
        (("transactions",), 5, "list_transactions"),
        (("hold", "create", "21", "--payment-hash", HASH), 2, "make_hold_invoice"),
        (("hold", "settle", HASH, PREIMAGE), 2, "settle_hold_invoice"),
        (("hold", "cancel", HASH), 2, "cancel_hold_invoice"),
    ):
        code, said = refused(service, uri, *words)
        assert (code, sentence in said) == (exit_code, True), said


def test_a_wallet_tells_its_node_and_what_the_connection_may_do(service: Service) -> None:
    uri = service.ok("connect", "asker", "--methods", "get_info,get_balance")["nwc_uri"]
    told, own = at(service, uri, "info"), service.ok("info")
    same = ("alias", "node_pubkey", "network", "block_height")
    assert [told[name] for name in same] == [own[name] for name in same]
    assert set(told["methods"]) >= {"get_info", "get_balance"}
    assert "pay_invoice" not in told["methods"]
    straight = at(service, node(service), "info")
    assert (straight["node_pubkey"], straight["methods"]) == (own["node_pubkey"], [])


@pytest.mark.parametrize("place", ["connection", "node"])
def test_what_a_wallet_holds_is_taken_with_the_preimage_or_given_back(service: Service, place: str) -> None:
    uri = node(service) if place == "node" else service.ok("connect", f"holder {place}", "--methods", "all")["nwc_uri"]
    secret = sha256(place.encode()).hexdigest()
    payment_hash = sha256(bytes.fromhex(secret)).hexdigest()
    said = service.run("hold", "create", "21", "--payment-hash", payment_hash, "--wallet", "-", stdin=uri)
    assert said.exit_code == 0, said.output
    assert f"kitestring hold settle {payment_hash} PREIMAGE --wallet URI\n" in said.stderr
    service.ok("sandbox", "pay", said.stdout.strip())
    while (found := at(service, uri, "lookup", payment_hash))["state"] != "accepted":
        assert found["state"] == "pending"
    assert found["settle_deadline"] > 0
    taken = at(service, uri, "hold", "settle", payment_hash.upper(), secret)
    assert taken == {"payment_hash": payment_hash, "state": "settled", "amount_msat": None}
    assert at(service, uri, "hold", "settle", payment_hash, secret) == taken
    other = sha256(payment_hash.encode()).hexdigest()
    made = at(service, uri, "hold", "create", "5", "--payment-hash", other)
    assert (made["payment_hash"], made["amount_msat"], made["preimage_is_kept"]) == (other, 5_000, False)
    assert at(service, uri, "hold", "cancel", other) == {
        "payment_hash": other,
        "state": "canceled",
        "amount_msat": None,
    }
    assert at(service, uri, "lookup", other)["state"] == "expired"


@pytest.mark.parametrize(
    ("preimage", "words"), [("", "name the PREIMAGE too"), ("ab" * 32, "not the preimage of HASH")]
)
def test_a_wallet_is_not_asked_to_settle_another_payment_than_the_one_that_was_named(preimage: str, words: str) -> None:
    with pytest.raises(KitestringError, match=words) as caught:
        settled_by(Shell(), "env:NO_SUCH", HASH, preimage, "auto")
    assert caught.value.reason is Reason.MALFORMED


def test_a_decision_without_an_answer_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> None:
        raise KitestringError(Reason.UNAVAILABLE, "the wallet does not answer")

    monkeypatch.setattr(wallet_books, "asked", silent)
    with pytest.raises(KitestringError) as caught:
        settled_by(Shell(), "env:W", HASH, PREIMAGE, "auto")
    assert caught.value.message.startswith(
        "the wallet does not answer; it may be done all the same: repeat the command"
    )


def test_no_wallet_draws_a_preimage_that_would_be_lost_with_the_terminal(service: Service) -> None:
    code, sentence = refused(service, node(service), "hold", "create", "21")
    assert (code, "give its SHA-256 as --payment-hash" in sentence) == (2, True)


def test_a_node_that_tells_no_times_of_what_it_has_paid_does_not_choose_by_them(service: Service) -> None:
    service.ok("pay", service.ok("sandbox", "invoice", "5")["bolt11"])
    service.ok("sandbox", "pay", service.ok("invoice", "7")["bolt11"])
    listed = at(service, node(service), "transactions", "--limit", "1000")["transactions"]
    assert {row["created_at"] for row in listed if row["type"] == "outgoing"} == {None}
    code, sentence = refused(service, node(service), "transactions", "--since", "1d")
    assert (code, "leave --since and --until out, or add --in" in sentence) == (2, True)
    recent = at(service, node(service), "transactions", "--since", "1d", "--in")["transactions"]
    assert 7_000 in [row["amount_msat"] for row in recent]
    said = service.run("transactions", "--out", "--wallet", "-", stdin=node(service))
    assert {tuple(line.split()[:2]) for line in said.stdout.splitlines()[1:]} == {("–", "out")}
