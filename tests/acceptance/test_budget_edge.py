"""Fifty payments at once, at the edge of what a connection or an account may spend, through real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kitestring.backend.sandbox.payments import routing_fee_msat
from kitestring.backend.sandbox.world import World
from kitestring.base.money import Msat
from kitestring.ledger.audit.checks import audit
from tests.kit.app.process import Service, relay, service, wallet

PAYMENTS = 50
FITTING = 20
EACH_MSAT = 10_000
#: What the sandbox really takes for such a payment.
FEE_MSAT = int(routing_fee_msat(Msat(EACH_MSAT)))
EDGE_MSAT = FITTING * (EACH_MSAT + FEE_MSAT)


async def _race(running: Service, uri: str) -> list[dict[str, Any]]:
    with World(running.home.sandbox_db) as world:
        invoices = [world.invoice(Msat(EACH_MSAT), f"edge {number}") for number in range(PAYMENTS)]
    async with wallet(uri) as client:
        return await asyncio.gather(
            *(client.ask("pay_invoice", invoice=invoice, max_fee=FEE_MSAT) for invoice in invoices)
        )


@pytest.mark.parametrize("edge", ["budget", "account"])
async def test_of_fifty_payments_at_once_exactly_those_that_fit_are_settled(tmp_path: Path, edge: str) -> None:
    async with relay() as hub, service(tmp_path / "home", hub.url) as running:
        if edge == "budget":
            uri = await running.connect("edge", budget_msat=EDGE_MSAT, period="never")
        else:
            await running.call("account_create", "make", name="shop")
            await running.call("account_fund", "fund", account="shop", amount_msat=EDGE_MSAT)
            uri = await running.connect("edge", account="shop")
        replies = await _race(running, uri)
        refusal = {"budget": "QUOTA_EXCEEDED", "account": "INSUFFICIENT_BALANCE"}[edge]
        assert sum(reply.get("error") is None for reply in replies) == FITTING
        assert [reply["error"]["code"] for reply in replies if "error" in reply] == [refusal] * (PAYMENTS - FITTING)
        card = await running.call("card")
    with World(running.home.sandbox_db) as world:
        sent = [payment for payment in world.payments() if payment.direction == "out"]
        assert [payment.state for payment in sent] == ["settled"] * FITTING
        assert sum(payment.amount_msat + payment.fee_msat for payment in sent) == EDGE_MSAT
        assert world.books().balanced
    assert audit(running.home.ledger, card["service_pubkey"]) == []
