"""The outside world of a sandbox: it pays at once, is paid, and plays what goes wrong, for any program beside it."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring import Sandbox, SandboxReceipt, Service, Wallet, sat
from kitestring.backend.registry import open_backend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.node import Backend, InvoiceOrder
from kitestring.base.outcomes import TransactionState
from kitestring.client.net import Net
from kitestring.client.payable import Terms
from kitestring.codec.pointers import encode
from kitestring.nostr.event import Event
from kitestring.relay.server import Relay
from kitestring.sdk.sandbox import pay_from_outside
from kitestring.transport.clock import SystemClock
from tests.kit.client.hostile import STRANGER, Request, hostile_relay, noffer
from tests.kit.codec.invoices import PREIMAGE, invoice

#: For a receipt that may never come.
RECEIPT_S = 0.2


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


async def paid(
    tmp_path: Path, target: str, amount_msat: int | None = None, own_relays: tuple[str, ...] = ()
) -> SandboxReceipt:
    terms = Terms(None if amount_msat is None else Msat(amount_msat))
    net = Net(SystemClock(), os.urandom, own_relays=own_relays)
    return await pay_from_outside(tmp_path / "sandbox.db", target, terms, net, RECEIPT_S)


async def test_an_invoice_is_paid_at_once_and_costs_the_node_nothing(node: Backend, tmp_path: Path) -> None:
    told = await paid(tmp_path, await bill(node, 21_000))
    assert (told.amount, told.is_held, told.request_id, told.receipt) == (21_000, False, None, None)
    assert sha256(bytes.fromhex(told.preimage)).hexdigest() == told.payment_hash
    status = await node.lookup_invoice(told.payment_hash)
    assert (status.state, status.received_msat) == ("settled", 21_000)


async def test_an_invoice_without_an_amount_is_paid_with_the_one_given(node: Backend, tmp_path: Path) -> None:
    told = await paid(tmp_path, await bill(node, None), 7_000)
    assert (await node.lookup_invoice(told.payment_hash)).received_msat == 7_000


async def test_an_invoice_that_is_paid_or_of_somebody_else_is_not_paid(node: Backend, tmp_path: Path) -> None:
    text = await bill(node, 21_000)
    await paid(tmp_path, text)
    with pytest.raises(KitestringError, match="paid already"):
        await paid(tmp_path, text)
    with pytest.raises(KitestringError, match="of another sandbox world"):
        await paid(tmp_path, invoice(21_000, at=SystemClock().now()))


@pytest.mark.parametrize("proof", ["proven", "claimed", "false", None])
async def test_an_offer_of_ours_is_asked_over_its_relay_on_this_machine_and_its_receipt_judged(
    node: Backend, tmp_path: Path, proof: str | None
) -> None:
    at, text = SystemClock().now(), await bill(node, 21_000, PREIMAGE)
    receipt = {"proven": {"preimage": PREIMAGE}, "claimed": {}, "false": {"preimage": "33" * 32}}

    def answer(request: Request) -> Iterable[Event]:
        told = [] if proof is None else [{"res": "ok", **receipt[proof]}]
        return [request.reply(one, at=at) for one in ({"bolt11": text}, *told)]

    async with hostile_relay(answer) as relay:
        told = await paid(tmp_path, encode(noffer(relay.url)), 21_000, (relay.url,))
        assert (told.amount, told.preimage, told.receipt) == (21_000, PREIMAGE, proof)
        assert [(request.event.id, request.members["amount_sats"]) for request in relay.requests] == [
            (told.request_id, 21)
        ]


async def test_an_offer_of_somebody_else_is_asked_on_no_relay_of_this_machine(node: Backend, tmp_path: Path) -> None:
    async with hostile_relay(lambda _: None) as relay:
        with pytest.raises(KitestringError) as caught:
            await paid(tmp_path, encode(noffer(relay.url, key=STRANGER)), 21_000)
        assert relay.requests == []
    assert caught.value.reason is Reason.NOT_PERMITTED


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A world of this test's own."""
    found = Sandbox()
    yield found
    found.close()


async def test_a_wallet_pays_an_invoice_of_the_same_world_and_not_one_of_another(sandbox: Sandbox) -> None:
    async with Wallet.open(sandbox.url) as wallet, Sandbox() as elsewhere:
        bill, foreign = await sandbox.invoice(sat(50), "tea"), await elsewhere.invoice(sat(50))
        assert (bill.state, bill.amount, bill.fee, bill.preimage) == ("unpaid", sat(50), 0, "")
        receipt = await wallet.pay(bill.bolt11)
        found = await sandbox.look(bill.payment_hash)
        assert (found.state, found.preimage, found.fee) == ("settled", receipt.preimage, receipt.fee)
        with pytest.raises(KitestringError, match="no route") as refused:
            await wallet.pay(foreign.bolt11)
        assert "of another sandbox world" in str(refused.value.details["evidence"])
        mine = await wallet.invoice(sat(7))
        with pytest.raises(KitestringError, match="of another sandbox world"):
            await elsewhere.pay(mine.bolt11)
        assert (await sandbox.pay(mine.bolt11)).amount == sat(7)
        books = await sandbox.books()
        assert (books.received, books.sent, books.fees, books.held) == (sat(7), sat(50), receipt.fee, 0)
        assert books.balance == await sandbox.balance() == await wallet.balance()


async def test_what_is_held_is_waited_for_and_ends_as_it_is_told(sandbox: Sandbox) -> None:
    async with Wallet.open(sandbox.url) as wallet:
        for end, state in ((sandbox.settle, "settled"), (sandbox.cancel, "failed")):
            bill = await sandbox.invoice(sat(50), hold=True)
            paying = asyncio.create_task(wallet.pay(bill.bolt11))
            held = await sandbox.wait_for(bill.payment_hash)
            assert (held.state, held.amount, paying.done()) == ("held", sat(50), False)
            await end(bill.payment_hash)
            (ended,) = await asyncio.gather(paying, return_exceptions=True)
            assert isinstance(ended, KitestringError) == (state == "failed")
            assert (await sandbox.look(bill.payment_hash)).state == state


async def test_every_way_to_go_wrong_is_told_to_the_payer(sandbox: Sandbox) -> None:
    async with Wallet.open(sandbox.url) as wallet:
        for word, reason in (("no_route", Reason.PAYMENT_FAILED), ("fee_limit", Reason.FEE_LIMIT)):
            bill = await sandbox.invoice(sat(50), fail=word)  # type: ignore[arg-type]  # a row of the table
            with pytest.raises(KitestringError) as caught:
                await wallet.pay(bill.bolt11)
            assert caught.value.reason is reason
        lost, slow = await sandbox.invoice(sat(50), lose_answer=True), await sandbox.invoice(sat(50), slow_s=0.1)
        for bill in (lost, slow):
            assert (await wallet.pay(bill.bolt11)).payment_hash == bill.payment_hash
        failed = await sandbox.invoice(sat(50), fail="refused", lose_answer=True)
        with pytest.raises(KitestringError, match="refused"):
            await wallet.pay(failed.bolt11)
        stuck = await sandbox.invoice(sat(50), hold=True, lose_answer=True)
        with pytest.raises(KitestringError) as caught:
            await wallet.pay(stuck.bolt11, timeout_s=0)
        assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT
        await sandbox.settle(stuck.payment_hash)
        assert (await wallet.lookup(stuck.payment_hash)).state is TransactionState.SETTLED
        await sandbox.set_offline(True)
        with pytest.raises(KitestringError) as caught:
            await wallet.balance()
        assert caught.value.reason is Reason.UNAVAILABLE
        await sandbox.set_offline(False)
        assert (await wallet.keysend(await sandbox.node(), sat(1))).amount == sat(1)


async def test_what_cannot_be_meant_is_refused_in_one_sentence(sandbox: Sandbox) -> None:
    for how, sentence in (
        ({"hold": True, "slow_s": 1}, "does not end by itself"), ({"hold": True, "fail": "refused"}, "by itself"),
        ({"fail": "bad_luck"}, "fails for one of no_route, refused"), ({"slow_s": -1}, "slow for 0 to 86400 seconds"),
        ({"description": "x" * 2_000}, "description"),
    ):  # fmt: skip
        with pytest.raises(KitestringError, match=sentence) as caught:
            await sandbox.invoice(sat(1), **how)
        assert caught.value.reason is Reason.MALFORMED
    for place in ("lnd+https://127.0.0.1:1?macaroon=/nowhere", "sandbox://", "sandbox://host/a.db"):
        with pytest.raises(KitestringError):
            Sandbox(place)
    with pytest.raises(KitestringError) as caught:
        await sandbox.look("00" * 32)
    assert caught.value.reason is Reason.UNKNOWN_TARGET
    bill = await sandbox.invoice(None)
    with pytest.raises(KitestringError, match="the invoice is unpaid, and was not held within 0 s"):
        await sandbox.wait_for(bill.payment_hash, timeout_s=0)


async def test_invoices_are_listed_the_newest_first_and_expire_when_the_world_is_put_ahead(sandbox: Sandbox) -> None:
    for number in range(3):
        await sandbox.invoice(sat(number + 1), expiry_s=60)
    assert [one.amount for one in await sandbox.invoices(2)] == [sat(3), sat(2)]
    await sandbox.advance(61)
    assert {one.state for one in await sandbox.invoices()} == {"expired"}


async def test_a_service_and_its_world_meet_and_its_offer_is_paid_over_its_relay(tmp_path: Path) -> None:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        service = Service(relays=[relay.url], store=tmp_path / "a.db")
        code = (await asyncio.to_thread(service.offer, "tea")).noffer
        world = Sandbox.of(service)
        assert world.path == tmp_path / "a.sandbox.db"
        async with service:
            paid = await world.pay(code, sat(21))
            assert (paid.amount, paid.receipt, paid.is_held) == (sat(21), "proven", False)
        assert await Sandbox(world.path).balance() == sat(1_000_021)
        world.close()
        assert world.path.exists()


def test_a_service_on_a_real_node_has_no_world(tmp_path: Path) -> None:
    macaroon = tmp_path / "fake.macaroon"
    macaroon.write_bytes(b"\x02\x01fake")
    node = f"lnd+https://127.0.0.1:1?macaroon={macaroon}"
    real = Service(relays=["wss://r.example"], backend=node, store=tmp_path / "b.db")
    with pytest.raises(KitestringError, match="stands on a real node") as caught:
        Sandbox.of(real)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_world_of_nobody_is_removed_when_it_is_closed_or_forgotten() -> None:
    one, other = Sandbox(), Sandbox()
    paths = [one.path, other.path]
    assert all(path.exists() for path in paths)
    one.close()
    one.close()
    del other
    gc.collect()
    assert not any(path.parent.exists() for path in paths)


def test_a_new_world_has_the_balance_that_its_url_names(tmp_path: Path) -> None:
    world = Sandbox(f"sandbox://{tmp_path}/w.db?balance_sat=7")
    assert asyncio.run(world.balance()) == sat(7)
