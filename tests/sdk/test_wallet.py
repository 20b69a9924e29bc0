"""The wallet of a program, on the sandbox and over NWC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.codec import bolt11, pointers
from kitestring.codec.pointers import Noffer, PriceType
from kitestring.nostr.event import Event
from kitestring.sdk.wallet import Wallet
from tests.kit.client.hostile import (
    SERVICE,
    Request,
    hostile_relay,
    noffer,
)
from tests.kit.codec.invoices import invoice


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "world.db"


@pytest.fixture
async def wallet(path: Path) -> AsyncIterator[Wallet]:
    async with Wallet.open(f"sandbox://{path}?latency_ms=1") as opened:
        yield opened


@pytest.fixture
async def world(wallet: Wallet, path: Path) -> AsyncIterator[World]:
    await wallet.balance()
    with World(path) as outside:
        yield outside


NWC = f"nostr+walletconnect://{'ab' * 32}?relay=ws%3A%2F%2F127.0.0.1%3A1&secret={'11' * 32}"
NODE = "sandbox://{}?latency_ms=1"


@pytest.mark.parametrize("uri", [NWC, NODE], ids=["nwc", "node"])
async def test_a_wallet_is_used_inside_async_with_and_says_so_at_once(uri: str, path: Path) -> None:
    wallet = Wallet.open(uri.format(path))
    uses: dict[str, Callable[[], Awaitable[object]]] = {
        "balance": wallet.balance, "budget": wallet.budget, "info": wallet.info, "transactions": wallet.transactions,
        "invoice": lambda: wallet.invoice(sat(5)), "lookup": lambda: wallet.lookup("00" * 32),
        "pay": lambda: wallet.pay(invoice(sat(5))),
    }  # fmt: skip

    async def refused() -> None:
        for use in uses.values():
            with pytest.raises(KitestringError, match="the wallet is not open: write `async with Wallet") as caught:
                await use()
            assert caught.value.reason is Reason.MALFORMED

    await refused()
    if uri is NODE:
        async with wallet:
            await wallet.balance()
            assert await wallet.budget() is None  # nothing bounds the node's owner
        await refused()


def test_a_wallet_without_async_says_how_it_is_used(path: Path) -> None:
    with (
        pytest.raises(TypeError, match="a wallet is used by `async with`; in a program without asyncio"),
        Wallet.open(NODE.format(path)),
    ):
        raise AssertionError


# ---------------------------------------------------------------- on the sandbox


async def test_an_invoice_is_waited_for_until_it_is_paid(wallet: Wallet, world: World) -> None:
    ours = await wallet.invoice(sat(210), memo="tea")
    with pytest.raises(TimeoutError):
        await wallet.wait_paid(ours, timeout_s=0)
    waiting = asyncio.create_task(wallet.wait_paid(ours.bolt11.upper()))
    world.pay(ours.bolt11)
    paid = await waiting
    assert (paid.payment_hash, paid.state, paid.amount_msat, paid.description) == (
        ours.payment_hash, "settled", sat(210), "tea",
    )  # fmt: skip
    assert await wallet.wait_paid(ours) == paid
    with pytest.raises(KitestringError, match="the node knows no payment"):
        await wallet.wait_paid(invoice(sat(5)))
    with pytest.raises(KitestringError, match="the invoice cannot be read"):
        await wallet.wait_paid("lnbc1")


async def test_a_receipt_says_what_was_paid_and_whether_it_was_before(wallet: Wallet, world: World) -> None:
    theirs = f"lightning:{world.invoice(sat(50), 'two teas')}"
    first, again = await wallet.pay(theirs), await wallet.pay(theirs)
    assert (first.description, first.target, first.already_paid) == ("two teas", theirs, False)
    assert (again.already_paid, again.preimage) == (True, first.preimage)
    (many,) = await wallet.pay_many([theirs])
    assert many == again
    sent = await wallet.keysend(world.node(), sat(5), message="hello")
    assert (sent.description, sent.bolt11, sent.already_paid) == ("hello", "", False)


async def test_it_is_paid_and_pays_and_remembers(wallet: Wallet, world: World) -> None:
    opening = await wallet.balance()
    ours = await wallet.invoice(sat(210), memo="tea", expiry_s=600)
    assert bolt11.decode(ours.bolt11).description == "tea"
    assert (ours.amount, ours.expires_at - int(time.time()) in range(590, 601)) == (sat(210), True)
    assert (await wallet.lookup(ours.payment_hash)).state == "pending"
    preimage = world.pay(ours.bolt11)
    received = await wallet.lookup(ours.payment_hash.upper())
    assert (received.type, received.state, received.preimage) == ("incoming", "settled", preimage)

    theirs = world.invoice(sat(50))
    receipt = await wallet.pay(f"lightning:{theirs.upper()}", max_fee=sat(2))
    assert sha256(bytes.fromhex(receipt.preimage)).hexdigest() == receipt.payment_hash
    assert (receipt.amount, receipt.bolt11) == (sat(50), theirs)
    assert 0 < receipt.fee <= sat(2)
    assert await wallet.balance() == opening + sat(210) - sat(50) - receipt.fee

    sent = await wallet.lookup(receipt.payment_hash)
    assert (sent.type, sent.state, sent.amount_msat, sent.fee_msat) == ("outgoing", "settled", sat(50), receipt.fee)
    listed = await wallet.transactions()
    assert [row.payment_hash for row in listed] == [receipt.payment_hash, ours.payment_hash]
    assert [row.type for row in await wallet.transactions(direction="incoming", limit=1)] == ["incoming"]
    assert (await wallet.info()).network == "regtest"


async def test_the_same_invoice_is_paid_once_and_gives_the_same_receipt(wallet: Wallet, world: World) -> None:
    theirs = world.invoice(sat(50))
    first = await wallet.pay(theirs)
    balance = await wallet.balance()
    assert await wallet.pay(theirs) == first
    assert await wallet.balance() == balance


async def test_an_invoice_without_amount_is_paid_with_the_one_given(wallet: Wallet, world: World) -> None:
    theirs = world.invoice(None)
    with pytest.raises(KitestringError, match="no amount"):
        await wallet.pay(theirs)
    assert (await wallet.pay(theirs, Msat(1_500))).amount == Msat(1_500)


async def test_another_amount_another_network_and_an_expired_invoice_are_refused_before_anything_is_sent(
    wallet: Wallet, world: World
) -> None:
    expired = invoice(at=int(time.time()) - 4_000)
    foreign = invoice(network="bitcoin", at=int(time.time()))
    for target, amount, reason in (
        (world.invoice(sat(50)), sat(51), Reason.AMOUNT_OUT_OF_RANGE),
        (foreign, None, Reason.WRONG_NETWORK),
        (expired, None, Reason.EXPIRED_INVOICE),
    ):
        with pytest.raises(KitestringError) as caught:
            await wallet.pay(target, amount)
        assert caught.value.reason is reason
    assert world.payments() == []


async def test_a_fee_above_the_limit_is_a_proven_failure(wallet: Wallet, world: World) -> None:
    with pytest.raises(KitestringError) as caught:
        await wallet.pay(world.invoice(sat(50)), max_fee=Msat(1))
    assert caught.value.reason is Reason.FEE_LIMIT


@pytest.mark.parametrize("behaviour", [Behaviour.LOST, Behaviour.ERROR, Behaviour.LIE])
async def test_a_lost_or_false_answer_is_looked_up(wallet: Wallet, world: World, behaviour: Behaviour) -> None:
    receipt = await wallet.pay(world.invoice(sat(50), behaviour=behaviour))
    assert sha256(bytes.fromhex(receipt.preimage)).hexdigest() == receipt.payment_hash
    assert [row.state for row in world.payments()] == ["settled"]


async def test_a_failure_whose_answer_was_lost_is_proven_by_the_nodes_record(wallet: Wallet, world: World) -> None:
    with pytest.raises(KitestringError) as caught:
        await wallet.pay(world.invoice(sat(50), behaviour=Behaviour.LOST_FAIL))
    assert caught.value.reason is Reason.PAYMENT_FAILED
    assert [row.state for row in world.payments()] == ["failed"]


async def test_a_payment_that_hangs_is_pending_until_it_is_known(wallet: Wallet, world: World) -> None:
    theirs = world.invoice(sat(50), behaviour=Behaviour.HANG)
    payment_hash = bolt11.decode(theirs).payment_hash
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kitestring.sdk.node.ANSWER_SLACK_S", 0.0)
        with pytest.raises(KitestringError) as caught:
            await wallet.pay(theirs, timeout_s=0.05)
    assert caught.value.exit_code is Exit.PENDING
    assert caught.value.details["payment_hash"] == payment_hash
    assert (await wallet.lookup(payment_hash)).state == "pending"
    world.release(payment_hash)
    assert (await wallet.pay(theirs)).payment_hash == payment_hash
    assert len(world.payments()) == 1


async def test_a_node_that_is_away_is_said_so(wallet: Wallet, world: World) -> None:
    theirs = world.invoice(sat(50))
    world.set_offline(True)
    for call in (wallet.pay(theirs), wallet.balance(), wallet.invoice(sat(1))):
        with pytest.raises(KitestringError) as caught:
            await call
        assert caught.value.exit_code is Exit.UNAVAILABLE


async def test_an_offer_is_asked_over_its_relay_and_paid(wallet: Wallet, world: World, path: Path) -> None:
    def script(request: Request) -> Iterable[Event]:
        text = world.invoice(sat(request.members["amount_sats"]))
        return [request.reply({"bolt11": text}, at=int(time.time()))]

    async with hostile_relay(script) as relay:
        code = pointers.encode(noffer(relay.url))
        with pytest.raises(KitestringError) as caught:  # a stranger's code leads to no private address
            await wallet.pay(code, sat(50))
        assert caught.value.reason is Reason.NOT_PERMITTED
        async with Wallet.open(f"sandbox://{path}?latency_ms=1", relays=[relay.url]) as ours:
            receipt = await ours.pay(code, sat(50), max_fee=sat(2), description="tea")
        assert relay.requests[0].members["description"] == "tea"
    assert receipt.amount == sat(50)
    assert [row.state for row in world.payments()] == ["settled"]


async def test_what_only_a_service_prices_is_paid_up_to_the_most_agreed_to_and_told_what_the_payer_says(
    world: World, path: Path
) -> None:
    def script(request: Request) -> Iterable[Event]:
        return [request.reply({"bolt11": world.invoice(sat(50))}, at=int(time.time()))]

    async with hostile_relay(script) as relay:
        code = pointers.encode(Noffer(SERVICE.public_hex, (relay.url,), "tea", PriceType.VARIABLE, currency="EUR"))
        async with Wallet.open(f"sandbox://{path}?latency_ms=1", relays=[relay.url]) as ours:
            with pytest.raises(KitestringError) as caught:
                await ours.pay(code)
            assert caught.value.details.keys() == {"amount_msat", "bolt11", "currency"}
            assert (await ours.pay(str(caught.value.details["bolt11"]))).amount == sat(50)  # that very invoice
            with pytest.raises(KitestringError, match="at most 49 sat"):
                await ours.pay(code, max_amount=sat(49))
            receipt = await ours.pay(code, max_amount=sat(50), payer_data={"name": "Bob"}, nip69=True)
    assert receipt.amount == sat(50)
    assert relay.requests[-1].members["payer_data"] == {"name": "Bob"}
    assert [tag[0] for tag in relay.requests[-1].event.tags] == ["p"]
    assert len(world.payments()) == 2


async def test_what_would_be_paid_is_seen_before_it_is_paid(world: World, path: Path) -> None:
    def script(request: Request) -> Iterable[Event]:
        return [request.reply({"bolt11": world.invoice(sat(50), "tea")}, at=int(time.time()))]

    async with hostile_relay(script) as relay:
        code = pointers.encode(Noffer(SERVICE.public_hex, (relay.url,), "tea", PriceType.VARIABLE, currency="EUR"))
        async with Wallet.open(f"sandbox://{path}?latency_ms=1", relays=[relay.url]) as ours:
            seen = await ours.preview(code, max_amount=sat(50))
            assert (seen.kind, seen.amount_msat, seen.description, seen.currency) == ("offer", sat(50), "tea", "EUR")
            assert world.payments() == []
            assert (await ours.pay(seen.bolt11)).payment_hash == seen.payment_hash
            with pytest.raises(KitestringError, match="at most 49 sat"):
                await ours.preview(code, max_amount=sat(49))
    assert len(world.payments()) == 1


async def test_a_memo_that_no_invoice_can_carry_is_refused_in_our_own_words(wallet: Wallet) -> None:
    with pytest.raises(KitestringError, match="has 800 bytes, and an invoice carries at most 639"):
        await wallet.invoice(sat(21), "🫖" * 200)
    assert (
        bolt11.decode((await wallet.invoice(sat(21), "line one\nline two")).bolt11).description == "line one line two"
    )


async def test_a_bare_number_is_no_amount(wallet: Wallet, world: World) -> None:
    for call in (wallet.invoice(21), wallet.pay("x", 21), wallet.pay("x", max_fee=1)):  # type: ignore[arg-type]  # the caller's mistake
        with pytest.raises(TypeError, match=r"sat\(210\)"):
            await call
    with pytest.raises(KitestringError):
        await wallet.invoice(sat(0))
    with pytest.raises(KitestringError):
        await wallet.lookup("ab")


async def test_the_sandbox_of_the_data_directory_is_made_when_it_is_not_there(tmp_path: Path) -> None:
    async with Wallet.open("sandbox://", data_dir=tmp_path / "new") as opened:
        assert await opened.balance() > 0
    assert (tmp_path / "new" / "sandbox.db").exists()


async def test_notifications_of_a_wallet_that_is_not_open_are_refused_at_once(path: Path) -> None:
    with pytest.raises(KitestringError, match="the wallet is not open"):
        Wallet.open(f"sandbox://{path}").notifications()


async def test_a_wallet_on_a_node_tells_what_it_receives_and_ends_its_iterators_with_itself(path: Path) -> None:
    async with Wallet.open(f"sandbox://{path}?latency_ms=1") as wallet:
        before = await wallet.invoice(sat(5))
        with World(path) as outside:
            outside.pay(before.bolt11)
            news = wallet.notifications(since=int(time.time()) - 60)
            assert (await anext(news)).transaction.payment_hash == before.payment_hash
            now = await wallet.invoice(sat(6))
            outside.pay(now.bolt11)
            told = await asyncio.wait_for(anext(news), 20)
            assert (told.type, told.transaction.payment_hash) == ("payment_received", now.payment_hash)
        await news.close()
        left = [wallet.notifications(since=int(time.time()) + 9_999) for _ in range(2)]
        assert wallet._notifications == left
        waiting = asyncio.ensure_future(anext(left[0]))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert [one.is_closed for one in left] == [True, True]


async def test_any_wallet_shows_a_link_by_which_it_is_paid(wallet: Wallet) -> None:
    for amount in (sat(5), None):
        made = await wallet.receive(amount, "tea")
        assert made.bip321 == f"bitcoin:?lightning={made.invoice.bolt11}"
        assert made.invoice.amount == amount


async def test_a_node_has_no_methods_of_its_own(wallet: Wallet) -> None:
    with pytest.raises(KitestringError, match="only a wallet connection") as told:
        await wallet.call("multisig_round")
    assert told.value.reason is Reason.UNSUPPORTED
