"""Asking somebody else's service to pay, from the command line."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from kitestring.app.home.config import RelaySettings
from kitestring.app.service.own_relay import own_relay
from kitestring.codec import bolt11, pointers
from kitestring.transport.clock import SystemClock
from tests.kit.app.console import Service, kitestring
from tests.kit.app.customer import payer
from tests.kit.client.debtor import OBSERVED, Answer, always
from tests.kit.client.hostile import Request, ndebit
from tests.kit.codec.invoices import invoice
from tests.kit.waiting import until

K1 = "0123456789abcdef" * 4


async def test_the_money_comes_to_the_running_service(service: Service) -> None:
    before = service.ok("balance")["balance_msat"]
    async with payer(service) as customer:
        done = await customer.run("--json", "debit", "request", customer.code(), "210", "--description", "order 17")
        (asked,) = customer.asked
    told = json.loads(done.stdout)
    assert (done.exit_code, told["amount_msat"], told["proof"], len(told["preimage"])) == (0, 210_000, "proven", 64)
    assert (asked["amount_sats"], asked["description"]) == (210, "order 17")
    assert "k1" not in asked
    await until(lambda: service.ok("balance")["balance_msat"] == before + 210_000, pause_s=0.05)


async def test_people_are_told_what_proves_it(service: Service) -> None:
    async with payer(service) as customer:
        done = await customer.run("debit", "request", customer.code(), "210")
    assert done.stdout.startswith("paid 210 sat: the preimage proves it\npreimage ")


async def test_a_payment_that_is_not_decided_exits_7_names_its_invoice_and_is_repeated_with_it(
    service: Service,
) -> None:
    async with payer(service, always(OBSERVED["bolt11 of another network"])) as customer:
        refused = await customer.run("--json", "debit", "request", customer.code(), "210")
        details = json.loads(refused.stdout)["error"]["details"]
        text = customer.asked[0]["bolt11"]
        assert (refused.exit_code, details["code"], details["bolt11"]) == (7, 1, text)
        assert f"; the invoice: {text}" in refused.stderr
        assert "Request Denied Warning" in refused.stderr
        customer.debtor.answers = customer.pays
        done = await customer.run("--json", "debit", "request", customer.code(), text)
        assert (done.exit_code, json.loads(done.stdout)["amount_msat"]) == (0, 210_000)
        payment_hash = json.loads(done.stdout)["payment_hash"]
        await until(lambda: service.ok("lookup", payment_hash)["state"] == "settled", pause_s=0.05)
        again = await customer.run("--json", "debit", "request", customer.code(), text)
        assert json.loads(again.stdout)["proof"] == "received"
        assert len(customer.asked) == 2  # the third was decided by the wallet


@pytest.mark.parametrize(
    ("case", "code"),
    [("amount mismatch", 2), ("grant expired", 5), ("budget 1000: third 400", 2), ("zero-amount invoice", 2)],
)
async def test_a_refusal_that_proves_it_has_the_exit_code_of_its_reason(case: str, code: int, service: Service) -> None:
    async with payer(service, always(OBSERVED[case])) as customer:
        done = await customer.run("debit", "request", customer.code(), "210")
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith("error: the service refused the debit: ")


async def test_a_session_is_used_once(service: Service) -> None:
    used: set[str] = set()

    def answers(request: Request) -> Answer:
        if request.members["k1"] in used:
            return {"res": "GFY", "code": 6, "error": "Invalid Request", "reason": "k1_already_processed"}
        used.add(request.members["k1"])
        return customer.pays(request)

    async with payer(service, answers) as customer:
        first = await customer.run("debit", "request", customer.code(K1), "210")
        second = await customer.run("--json", "debit", "request", customer.code(K1), "210")
        assert [asked["k1"] for asked in customer.asked] == [K1, K1]
    assert (first.exit_code, second.exit_code) == (0, 2)
    assert json.loads(second.stdout)["error"]["reason"] == "already_used"


async def test_silence_is_told_while_it_lasts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.client.owner_wait.APPROVAL_AFTER_S", 0.05)
    async with payer(service, always(None)) as customer:
        done = await customer.run("debit", "request", customer.code(), "210", "--wait", "1")
    assert done.stderr.startswith("waiting for the owner's approval, up to 1 s\nerror: the payment of ")
    assert done.exit_code == 7


async def test_any_wallet_can_be_paid(service: Service) -> None:
    uri = service.ok("connect", "till of a shop", "--methods", "make_invoice,lookup_invoice,get_info")["nwc_uri"]
    async with payer(service, lambda request: {"res": "ok"} if customer.pays(request) else None) as customer:
        done = await customer.run("--json", "debit", "request", customer.code(), "210", "--wallet", "-", stdin=uri)
    assert (done.exit_code, json.loads(done.stdout)["proof"]) == (0, "received")


async def test_the_invoice_of_somebody_else_is_asked_for_and_a_claim_is_called_one(service: Service) -> None:
    theirs = invoice(21_000, at=int(time.time()))
    async with payer(service, always({"res": "ok"})) as customer:
        done = await customer.run("debit", "request", customer.code(), theirs)
    assert done.stdout == "paid 21 sat: so says its service, which gives no proof; only the payee can tell\n"
    assert customer.asked[0]["bolt11"] == theirs


def test_without_a_service_there_is_no_wallet_and_an_expired_invoice_is_not_asked_for() -> None:
    code = pointers.encode(ndebit("wss://relay.example.com"))
    done = kitestring("debit", "request", code, "210")
    assert (done.exit_code, "no service is running" in done.stderr) == (4, True)
    old = invoice(at=int(time.time()) - 4_000)
    done = kitestring("debit", "request", code, old)
    assert (done.exit_code, "has expired" in done.stderr) == (2, True)
    assert bolt11.decode(old).expires_at < time.time()


@pytest.mark.parametrize("what", ["0", "1.5", "-5", "lnbc1x"])
def test_a_mistake_is_told_before_anybody_is_asked(what: str) -> None:
    done = kitestring("debit", "request", pointers.encode(ndebit("wss://relay.example.com")), what)
    assert (done.exit_code, done.stdout) == (2, "")


async def test_a_relay_that_was_named_at_the_start_alone_is_known_to_what_asks(tmp_path: Path) -> None:
    async with own_relay(RelaySettings(), None, SystemClock()) as relay:
        started = await asyncio.to_thread(Service.start, tmp_path / "data", "--relay", relay.url)
        try:
            async with payer(started) as customer:
                done = await customer.run("debit", "request", customer.code(), "210")
                assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "paid 210 sat: the preimage proves it")
                granted = await customer.run("debit", "budget", customer.code(), "1000/week")
                assert granted.exit_code == 0, granted.output
                link = await asyncio.to_thread(lambda: started.first_link)
                paid = await customer.run("debit", "request", customer.code(), "5", "--wallet", "-", stdin=link)
                assert paid.exit_code == 0, paid.output
        finally:
            started.stop()
