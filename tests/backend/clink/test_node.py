"""A wallet by its CLINK codes as a node: what it promises, what is reckoned of it, and what it cannot be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.backend.clink.book import FILE_NAME
from kitestring.backend.clink.node import ClinkWallet
from kitestring.backend.nostr.connection import WalletAnswerError
from kitestring.backend.registry import open_backend
from kitestring.base.destinations import Keysend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_MSAT, Msat, sat
from kitestring.base.node import FindingState, NodeUnreachableError, PayOrder
from kitestring.base.payments import Failed, FailureReason, Settled
from kitestring.client.requestor import FILE_NAME as KEY_FILE
from kitestring.codec import pointers
from kitestring.nostr.event import Event
from tests.kit.backend.clink import OPENING_SATS, link_to, open_wallet, scripted
from tests.kit.backend.sides import order
from tests.kit.chance import entropy
from tests.kit.changed import replace
from tests.kit.client.hostile import CLIENT, CLOCK, Request, ndebit, noffer
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice

from .test_invoices import ORDER, RECEIPT, first, shop
from .test_orders import PAID, WANTED, asked, debits


def files_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_it_is_opened_by_its_address_which_shows_no_code(tmp_path: Path) -> None:
    codes = [pointers.encode(code) for code in (noffer("wss://relay.example"), ndebit("wss://relay.example"))]
    url = f"clink://?noffer={codes[0]}&ndebit={codes[1]}"
    wallet = open_backend(url, clock=CLOCK, entropy=entropy, data_dir=tmp_path)
    assert isinstance(wallet, ClinkWallet)
    assert len(wallet.node_id) == 64
    assert wallet.node_id[:16] in repr(wallet)
    assert not files_in(tmp_path)


def test_nothing_is_promised_that_the_protocol_does_not_have() -> None:
    assert ClinkWallet.capabilities.names == {"payment_slots"}
    assert not ClinkWallet.capabilities.repeats_safely


async def test_what_it_holds_is_what_the_owner_said_and_what_came_and_went(tmp_path: Path) -> None:
    async with scripted(shop(RECEIPT), tmp_path) as (wallet, _, _):
        told = await wallet.balance()
        assert (told.spendable_msat, told.owned_msat) == (sat(OPENING_SATS),) * 2
        assert told.receivable_msat == MAX_MSAT
        await wallet.make_invoice(ORDER)
        await wallet.close()
    async with scripted(shop(RECEIPT), tmp_path) as (wallet, _, _):
        await first(wallet.settlements(b""))
        assert (await wallet.balance()).spendable_msat == sat(OPENING_SATS) + 21_000
    async with scripted(debits(None), tmp_path) as (wallet, relay, _):
        other = order(invoice(5_000, payment_hash="01" * 32), fee_cap=Msat(70), timeout_s=1)
        await wallet.pay(other)
        assert (await wallet.balance()).spendable_msat == sat(OPENING_SATS) + 21_000 - 5_070
        await relay.deliver([relay.requests[-1].reply({"res": "GFY", "code": 5})])
        await wallet.track(other.payment_hash)
        assert (await wallet.balance()).spendable_msat == sat(OPENING_SATS) + 21_000


async def test_it_never_holds_less_than_nothing(tmp_path: Path) -> None:
    async with scripted(debits(None), tmp_path) as (wallet, _, _):
        await wallet.pay(order(invoice(int(sat(OPENING_SATS)) + 1_000), timeout_s=1))
        told = await wallet.balance()
        assert (told.spendable_msat, told.owned_msat) == (0, 0)


@pytest.mark.parametrize(("wanted", "reason"), [
    (order(invoice(at=NOW - 7_200)), FailureReason.EXPIRED),
    (order(invoice(network="bitcoin")), FailureReason.REFUSED),
    (replace(WANTED, destination=Keysend("02" + "11" * 32, PREIMAGE, ())), FailureReason.REFUSED),
])  # fmt: skip
async def test_what_no_wallet_may_be_given_is_refused_here(
    wanted: PayOrder, reason: FailureReason, tmp_path: Path
) -> None:
    async with scripted(debits(PAID), tmp_path) as (wallet, relay, _):
        failed = await wallet.pay(wanted)
        assert isinstance(failed, Failed)
        assert failed.reason is reason
        assert not asked(relay)


async def test_what_was_ordered_in_time_is_not_refused_for_an_expiry_since(tmp_path: Path) -> None:
    async with scripted(debits(PAID), tmp_path) as (wallet, _, clock):
        assert await wallet.pay(WANTED) == Settled(PREIMAGE, Msat(500))
        clock.advance(7_200)
        assert await wallet.pay(WANTED) == Settled(PREIMAGE, Msat(500))


async def test_there_is_no_list_no_count_and_no_book_of_its_own(tmp_path: Path) -> None:
    async with scripted(debits(PAID), tmp_path) as (wallet, _, _):
        for listed in (wallet.list_payments(), wallet.list_invoices()):
            with pytest.raises(
                KitestringError, match="shows no list"
            ) as refused:  # the node is not away: no such thing
                await anext(aiter(listed))
            assert refused.value.reason is Reason.UNSUPPORTED
        with pytest.raises(WalletAnswerError):
            await wallet.payment_index()
        assert await wallet.own_books() == ()


async def test_it_says_who_it_is_once_both_services_can_be_spoken_to(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, _):
        info = await wallet.info()
        assert (info.node_id, info.network, info.block_height, info.told_at) == (wallet.node_id, "regtest", 0, 0)
        link = link_to(relay.url)
    half = replace(link, noffer=noffer("ws://127.0.0.1:1", "wallet"))
    apart = open_wallet(half, tmp_path)
    await apart.open()
    with pytest.raises(NodeUnreachableError):
        await apart.info()
    await apart.close()


async def test_a_key_that_cannot_be_used_is_told_at_the_start_and_by_the_doctor(tmp_path: Path) -> None:
    async with scripted(debits(PAID), tmp_path) as (wallet, _, _):
        await wallet.pay(WANTED)
        assert (await wallet.findings())[0].name == "allowance"
    (tmp_path / KEY_FILE).write_text("damaged")
    wallet = open_wallet(link_to("wss://relay.example"), tmp_path)
    (found,) = await wallet.findings()
    assert (found.name, found.state) == ("book", FindingState.FAIL)
    with pytest.raises(KitestringError, match=KEY_FILE):
        await wallet.open()
    await wallet.close()


async def test_the_doctor_asks_before_the_first_start_without_leaving_anything_behind(tmp_path: Path) -> None:
    wallet = open_wallet(link_to("wss://relay.example"), tmp_path)
    assert "made at the first start" in (await wallet.findings())[0].sentence
    assert not files_in(tmp_path)
    with_key = open_wallet(replace(link_to("wss://relay.example"), secret=CLIENT.hex()), tmp_path)
    await with_key.open()
    await with_key.close()
    assert files_in(tmp_path) == [FILE_NAME]
    assert CLIENT.public_hex in (await with_key.findings())[0].sentence
    assert CLIENT.hex() not in repr(with_key)


async def test_an_invoice_of_ours_is_paid_like_any_other(tmp_path: Path) -> None:
    """Who makes it does not matter to a wallet; the service above moves such money itself."""

    def both(request: Request) -> list[Event]:
        return [*(shop()(request) or ()), *(debits(PAID)(request) or ())]

    async with scripted(both, tmp_path) as (wallet, _, _):
        made = await wallet.make_invoice(ORDER)
        assert made.payment_hash == PAYMENT_HASH
        assert await wallet.pay(order(made.bolt11, timeout_s=5)) == Settled(PREIMAGE, Msat(10_000))
