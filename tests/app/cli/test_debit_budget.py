"""Asking for a budget, from the command line."""

from __future__ import annotations

import json

import pytest

from kitestring.codec import pointers
from tests.kit.app.console import Service, kitestring
from tests.kit.app.customer import payer
from tests.kit.client.debtor import OBSERVED, always
from tests.kit.client.hostile import ndebit

K1 = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("typed", "frequency", "words"),
    [
        ("1000/month", {"number": 1, "unit": "month"}, "granted: up to 1,000 sat per month, fees included\n"),
        ("1000/day", {"number": 1, "unit": "day"}, "granted: up to 1,000 sat per day, fees included\n"),
        ("1000", None, "granted: up to 1,000 sat once, fees included\n"),
    ],
)
async def test_a_budget_is_asked_for_and_granted(
    typed: str, frequency: dict[str, object] | None, words: str, service: Service
) -> None:
    async with payer(service) as customer:
        done = await customer.run("debit", "budget", customer.code(), typed)
        (asked,) = customer.asked
    assert (done.exit_code, done.stdout) == (0, words)
    assert (asked["amount_sats"], asked.get("frequency")) == (1_000, frequency)


async def test_it_is_asked_for_with_the_same_key_as_a_payment(service: Service) -> None:
    async with payer(service) as customer:
        told = await customer.run("--json", "debit", "budget", customer.code(), "1000/week")
        await customer.run("debit", "request", customer.code(), "210")
        keys = {request.event.pubkey for request in customer.debtor.requests}
    assert json.loads(told.stdout) == {"amount_msat": 1_000_000, "every": "week", "number": 1}
    assert len(keys) == 1
    assert (service.home / "requestor.key").exists()


async def test_a_smaller_budget_than_was_asked_for_is_told_as_it_is(service: Service) -> None:
    less = {"res": "ok", "amount_sats": 300, "frequency": {"number": 2, "unit": "week"}}
    async with payer(service, always(less)) as customer:
        done = await customer.run("debit", "budget", customer.code(), "1000/week")
        told = await customer.run("--json", "debit", "budget", customer.code(), "1000/week")
    words = "granted: up to 300 sat per 2 weeks, fees included, which is not what you asked for\n"
    assert (done.exit_code, done.stdout) == (0, words)
    assert json.loads(told.stdout) == {"amount_msat": 300_000, "every": "week", "number": 2}


async def test_a_budget_for_once_that_is_refused_is_told_with_what_else_there_is(service: Service) -> None:
    async with payer(service, always(OBSERVED["amount only (one-time budget)"])) as customer:
        done = await customer.run("debit", "budget", customer.code(), "1000")
    assert done.exit_code == 2
    assert "ask for a recurring one, or for each payment directly" in done.stderr


async def test_silence_is_no_refusal_and_the_owner_may_be_deciding(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.client.owner_wait.APPROVAL_AFTER_S", 0.05)
    async with payer(service, always(OBSERVED["not authorised: budget"])) as customer:
        done = await customer.run("debit", "budget", customer.code(), "1000/day", "--wait", "1")
    assert done.exit_code == 4
    assert done.stderr.startswith("waiting for the owner's approval, up to 1 s\nerror: the service has not answered")


async def test_a_denial_is_final(service: Service) -> None:
    async with payer(service, always({"res": "GFY", "code": 1, "error": "Request Denied"})) as customer:
        done = await customer.run("debit", "budget", customer.code(), "1000/day")
    assert (done.exit_code, done.stderr) == (5, "error: the service refused the debit: Request Denied\n")


def test_a_session_has_no_budget() -> None:
    code = pointers.encode(ndebit("wss://relay.example.com", k1=K1))
    done = kitestring("debit", "budget", code, "1000/day")
    assert (done.exit_code, "for one payment" in done.stderr) == (2, True)
