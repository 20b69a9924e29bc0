"""Somebody in the sandbox pays: an invoice at once, an offer as any stranger does it, over its relays."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring.app import sandbox_payer
from kitestring.app.home.config import Config
from kitestring.app.sandbox_payer import pay
from kitestring.backend.registry import open_backend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.node import Backend, InvoiceOrder
from kitestring.client.payable import Terms
from kitestring.codec.pointers import encode
from kitestring.nostr.event import Event
from kitestring.transport.clock import SystemClock
from tests.kit.client.hostile import SERVICE, STRANGER, Request, hostile_relay, noffer
from tests.kit.codec.invoices import PREIMAGE, invoice


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Backend]:
    """The node that is paid."""
    opened = open_backend("sandbox://?latency_ms=1", clock=SystemClock(), entropy=os.urandom, data_dir=tmp_path)
    await opened.open()
    yield opened
    await opened.close()


async def bill(node: Backend, amount_msat: int | None, preimage: str = "") -> str:
    amount = None if amount_msat is None else Msat(amount_msat)
    order = InvoiceOrder(amount, "tea", "", 600, preimage or os.urandom(32).hex())
    return (await node.make_invoice(order)).bolt11


async def paid(tmp_path: Path, target: str, amount_msat: int | None = None) -> dict[str, object]:
    terms = Terms(None if amount_msat is None else Msat(amount_msat))
    return await pay(tmp_path / "sandbox.db", target, terms, SERVICE.public_hex, Config(tmp_path))


async def test_an_invoice_is_paid_at_once_and_costs_the_node_nothing(node: Backend, tmp_path: Path) -> None:
    told = await paid(tmp_path, await bill(node, 21_000))
    assert (told["amount_msat"], told["fee_msat"], "receipt" in told) == (21_000, 0, False)
    assert sha256(bytes.fromhex(str(told["preimage"]))).hexdigest() == told["payment_hash"]
    status = await node.lookup_invoice(str(told["payment_hash"]))
    assert (status.state, status.received_msat) == ("settled", 21_000)


async def test_an_invoice_without_an_amount_is_paid_with_the_one_given(node: Backend, tmp_path: Path) -> None:
    told = await paid(tmp_path, await bill(node, None), 7_000)
    assert (await node.lookup_invoice(str(told["payment_hash"]))).received_msat == 7_000


async def test_an_invoice_that_is_paid_or_of_somebody_else_is_not_paid(node: Backend, tmp_path: Path) -> None:
    text = await bill(node, 21_000)
    await paid(tmp_path, text)
    with pytest.raises(KitestringError, match="paid already"):
        await paid(tmp_path, text)
    with pytest.raises(KitestringError, match="of another sandbox world"):
        await paid(tmp_path, invoice(21_000, at=SystemClock().now()))


@pytest.mark.parametrize("proof", ["proven", "claimed", "false", None])
async def test_an_offer_of_ours_is_asked_over_its_relay_on_this_machine_and_its_receipt_judged(
    node: Backend, tmp_path: Path, proof: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_payer, "RECEIPT_TIMEOUT_S", 0.2)
    at, text = SystemClock().now(), await bill(node, 21_000, PREIMAGE)
    receipt = {"proven": {"preimage": PREIMAGE}, "claimed": {}, "false": {"preimage": "33" * 32}}

    def answer(request: Request) -> Iterable[Event]:
        told = [] if proof is None else [{"res": "ok", **receipt[proof]}]
        return [request.reply(one, at=at) for one in ({"bolt11": text}, *told)]

    async with hostile_relay(answer) as relay:
        told = await paid(tmp_path, encode(noffer(relay.url)), 21_000)
        assert (told["amount_msat"], told["preimage"], told["receipt"]) == (21_000, PREIMAGE, proof)
        assert [(request.event.id, request.members["amount_sats"]) for request in relay.requests] == [
            (told["request_id"], 21)
        ]


async def test_an_offer_of_somebody_else_is_asked_on_no_relay_of_this_machine(node: Backend, tmp_path: Path) -> None:
    async with hostile_relay(lambda _: None) as relay:
        with pytest.raises(KitestringError) as caught:
            await paid(tmp_path, encode(noffer(relay.url, key=STRANGER)), 21_000)
        assert relay.requests == []
    assert caught.value.reason is Reason.NOT_PERMITTED
