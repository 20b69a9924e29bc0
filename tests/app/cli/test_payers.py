"""The service and a wallet as payers: which of them hold real money, what they show, and what they are told to pay."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.cli.payers import FromService, FromWallet
from kitestring.app.cli.values import MAX_TYPED_SATS
from kitestring.app.cli.wish import Wish
from tests.kit.app.console import Noted, Service

OFFER = Wish("noffer1tea", max_fee_sat=3, description="tea", payer_data={"name": "Bob"})


def asked(answer: dict[str, Any]) -> tuple[FromService, Noted]:
    shell = Noted(answer)
    return FromService(shell, "k"), shell


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_service_itself_says_which_money_it_pays(sandbox: bool) -> None:
    payer, shell = asked({"sandbox": sandbox, "network": "regtest"})
    assert payer.is_real() is not sandbox
    assert shell.asked == [("pay_preview", {}, "")]


def test_a_price_that_nobody_has_named_is_seen_before_it_is_agreed_to_and_a_limit_stays_one() -> None:
    payer, shell = asked({})
    payer.preview(OFFER)
    payer.preview(Wish("noffer1tea", max_sat=5))
    payer.preview(Wish("noffer1tea", 7))
    limits = [(params.get("max_amount_msat"), params["key"]) for _, params, _ in shell.asked]
    assert limits == [(MAX_TYPED_SATS * 1_000, "k"), (5_000, "k"), (None, "k")]


def test_the_invoice_that_was_seen_is_paid_for_the_target_that_was_typed() -> None:
    payer, shell = asked({})
    payer.pay(OFFER, {"kind": "offer", "bolt11": "lnbc1seen"})
    payer.pay(Wish("lnbc1typed"), {"kind": "invoice", "bolt11": "lnbc1typed"})
    payer.pay(OFFER, None)
    told = [(params["target"], params.get("bolt11"), key) for _, params, key in shell.asked]
    assert told == [("noffer1tea", "lnbc1seen", "k"), ("lnbc1typed", None, "k"), ("noffer1tea", None, "k")]


def test_no_money_is_real_in_a_sandbox_alone() -> None:
    shell = Noted({})
    reals = [
        FromWallet(shell, "env:W", uri, "auto").is_real()
        for uri in ("sandbox:///w.db", "SANDBOX://", "nostr+walletconnect://ab", "lnd+https://a")
    ]
    assert reals == [False, False, True, True]


def test_a_wallet_shows_what_it_would_pay_and_knows_what_it_has_paid(service: Service) -> None:
    uri = service.ok("connect", "looker", "--budget", "1000/day")["nwc_uri"]
    bolt11 = service.ok("sandbox", "invoice", "40", "--description", "tea")["bolt11"]
    wallet = ("--wallet", "-")
    seen = service.ok("pay", bolt11, "--dry-run", "--max-fee", "2", *wallet, stdin=uri)
    assert (seen["kind"], seen["amount_msat"], seen["fee_cap_msat"]) == ("invoice", 40_000, 2_000)
    assert (seen["description"], seen["paid_from"], seen["already_paid"]) == ("tea", "the wallet URI", False)
    before = service.ok("balance")["balance_msat"]
    unsaid = service.run("pay", bolt11, *wallet, stdin=uri)
    assert (unsaid.exit_code, unsaid.stdout, "add --yes" in unsaid.stderr) == (2, "", True)
    assert service.ok("balance")["balance_msat"] == before
    first = service.ok("pay", bolt11, "--yes", *wallet, stdin=uri)
    again = service.ok("pay", bolt11, "--yes", *wallet, stdin=uri)
    assert (first["already_paid"], again["already_paid"], again["preimage"]) == (False, True, first["preimage"])
    assert service.ok("pay", bolt11, "--dry-run", *wallet, stdin=uri)["already_paid"] is True


def payments(service: Service) -> set[str]:
    """The hashes of all payments there, of other tests too."""
    rows = service.ok("transactions", "--out", "--unpaid", "--limit", "1000")["transactions"]
    return {row["payment_hash"] for row in rows}


def test_a_dry_run_of_the_service_pays_nothing_and_is_refused_as_the_payment_would_be(service: Service) -> None:
    before, known = service.ok("balance")["balance_msat"], payments(service)
    bolt11 = service.ok("sandbox", "invoice", "40", "--description", "tea")["bolt11"]
    seen = service.ok("pay", bolt11, "--dry-run")
    assert (seen["sandbox"], seen["network"], seen["spendable_msat"]) == (True, "regtest", before)
    offered = service.ok("pay", service.card["noffer"], "7", "--dry-run")
    assert (offered["kind"], offered["amount_msat"], offered["fee_cap_msat"]) == ("offer", 7_000, 0)
    beyond = service.run("pay", service.ok("sandbox", "invoice", "5000000")["bolt11"], "--dry-run")
    assert (beyond.exit_code, "this needs 5,000,000 sat + up to 50,000 sat for fees" in beyond.stderr) == (3, True)
    assert (service.ok("balance")["balance_msat"], payments(service)) == (before, known)
