"""Invoices of an offer: what is taken for one, which receipts count, and how one that was missed is found."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kitestring.backend.clink.book import InvoiceRow
from kitestring.backend.clink.invoices import ASKED_S, OVER_S, PROBE_SATS
from kitestring.backend.clink.node import ClinkWallet
from kitestring.backend.nostr.connection import WalletAnswerError
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceOrder, NodeInvoice, NodeInvoiceState, Settlement
from kitestring.nostr.event import Event
from tests.kit.backend.clink import link_to, open_wallet, scripted
from tests.kit.changed import replace
from tests.kit.client.hostile import STRANGER, HostileRelay, Request, Script
from tests.kit.clock import PATIENCE_S, StandingClock
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.waiting import until

ORDER = InvoiceOrder(Msat(21_000), "tea", "", 600, "")
RECEIPT = {"res": "ok", "preimage": PREIMAGE}
FALSE = {"res": "ok", "preimage": "00" * 32}


def shop(*more: dict[str, Any], bill: str = "") -> Script:
    """Makes the invoice, and says ``more`` at once, to each request."""

    def answer(request: Request) -> Iterable[Event]:
        if "offer" not in request.members:
            return []
        return [request.reply(each) for each in ({"bolt11": bill or invoice()}, *more)]

    return answer


async def first(stream: AsyncIterator[Settlement]) -> Settlement:
    assert isinstance(stream, AsyncGenerator)
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await anext(stream)
        finally:
            await stream.aclose()


async def state(wallet: ClinkWallet) -> NodeInvoiceState:
    return (await wallet.lookup_invoice(PAYMENT_HASH)).state


# ---------------------------------------------------------------- making


async def test_the_offer_is_asked_for_exactly_this_amount(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, _):
        made = await wallet.make_invoice(ORDER)
        assert made == NodeInvoice(invoice(), PAYMENT_HASH, StandingClock().now() + 3_600)
        (request,) = relay.requests
        assert request.members == {
            "offer": "wallet", "amount_sats": 21, "expires_in_seconds": 600, "description": "tea",
        }  # fmt: skip
        assert await state(wallet) is NodeInvoiceState.OPEN


@pytest.mark.parametrize("order", [
    replace(ORDER, amount_msat=None), replace(ORDER, amount_msat=Msat(21_001)),
    replace(ORDER, description_hash="ab" * 32),
])  # fmt: skip
async def test_what_no_offer_can_make_is_asked_of_none(order: InvoiceOrder, tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, _):
        with pytest.raises(WalletAnswerError, match="whole sats"):
            await wallet.make_invoice(order)
        assert not relay.requests


@pytest.mark.parametrize(("bill", "words"), [
    (invoice(22_000), "another amount"),
    (invoice(None), "leaves the amount to its payer"),
    (invoice(network="bitcoin"), "for bitcoin, not for regtest"),
    (invoice(at=StandingClock().now() - 7_200), "has expired"),
    ("lnbcrt1nonsense", "cannot be read"),
])  # fmt: skip
async def test_another_invoice_than_was_ordered_is_shown_to_nobody(bill: str, words: str, tmp_path: Path) -> None:
    async with scripted(shop(bill=bill), tmp_path) as (wallet, _, _):
        with pytest.raises(WalletAnswerError, match=words):
            await wallet.make_invoice(ORDER)
        with pytest.raises(WalletAnswerError, match="was not made here"):
            await wallet.lookup_invoice(PAYMENT_HASH)


async def test_an_invoice_that_the_wallet_has_sent_before_is_not_sold_twice(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, _, _):
        await wallet.make_invoice(ORDER)
        with pytest.raises(WalletAnswerError, match="has sent before"):
            await wallet.make_invoice(ORDER)


async def test_the_words_of_a_refusal_are_told_to_the_owner(tmp_path: Path) -> None:
    refusal = {"code": 5, "error": "Invalid Amount", "range": {"min": 100, "max": 200}}
    async with scripted(lambda request: [request.reply(refusal)], tmp_path) as (wallet, _, _):
        with pytest.raises(WalletAnswerError, match=r"refused \(code 5\): Invalid Amount"):
            await wallet.make_invoice(ORDER)


async def test_an_offer_that_does_not_answer_is_no_invoice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(lambda _: [], tmp_path) as (wallet, _, _):
        assert wallet._wallet is not None
        monkeypatch.setattr(wallet._wallet.invoices, "_pace", replace(wallet._receipts, answer_s=0.1))
        with pytest.raises(TimeoutError, match="does not answer"):
            await wallet.make_invoice(ORDER)


async def test_the_network_is_learnt_once_from_an_invoice_within_the_bounds_of_the_offer(tmp_path: Path) -> None:
    def answer(request: Request) -> Iterable[Event]:
        asked = request.members["amount_sats"]
        bounds = {"code": 5, "error": "Invalid Amount", "range": {"min": 5_000, "max": 9_000}}
        return [request.reply(bounds if asked < 5_000 else {"bolt11": invoice(asked * 1_000)})]

    async with scripted(answer, tmp_path, network="") as (wallet, relay, _):
        for _ in range(2):
            assert (await wallet.info()).network == "regtest"
        assert [request.members["amount_sats"] for request in relay.requests] == [PROBE_SATS, 5_000]
        again = open_wallet(link_to(relay.url, network=""), tmp_path, clock=StandingClock())
        await again.open()
        assert (await again.info()).network == "regtest"
        await again.close()
        assert len(relay.requests) == 2


# ---------------------------------------------------------------- receipts


async def test_a_receipt_settles_the_invoice_and_is_told_by_the_stream(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, clock):
        await wallet.make_invoice(ORDER)
        telling = asyncio.create_task(first(wallet.settlements(b"")))
        await relay.deliver([relay.requests[0].reply(RECEIPT)])
        cursor = f"1 {PAYMENT_HASH}".encode()
        assert await telling == Settlement(PAYMENT_HASH, Msat(21_000), clock.now(), PREIMAGE, cursor)
        status = await wallet.lookup_invoice(PAYMENT_HASH)
        assert (status.state, status.received_msat, status.preimage) == ("settled", 21_000, PREIMAGE)
        assert (await wallet.cancel_invoice(PAYMENT_HASH)).state == "settled"


async def test_a_receipt_without_a_preimage_counts_as_the_word_of_the_wallet(tmp_path: Path) -> None:
    async with scripted(shop({"res": "ok"}), tmp_path) as (wallet, relay, _):
        await wallet.make_invoice(ORDER)
        await relay.deliver([relay.requests[0].reply({"res": "ok"})])
        told = await first(wallet.settlements(b""))
        assert (told.received_msat, told.preimage) == (21_000, "")


async def test_receipts_that_are_said_again_book_nothing_again(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, _):
        before = (await wallet.balance()).spendable_msat
        await wallet.make_invoice(ORDER)
        for _ in range(3):
            await relay.deliver([relay.requests[0].reply(RECEIPT)])
        told = await first(wallet.settlements(b""))
        assert (await wallet.balance()).spendable_msat == before + 21_000
        stream = wallet.settlements(told.cursor)
        following = asyncio.ensure_future(anext(stream))
        done, _ = await asyncio.wait({following}, timeout=0.2)
        assert not done
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_a_receipt_with_the_preimage_of_something_else_books_nothing_and_is_reported(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, _):
        await wallet.make_invoice(ORDER)
        await relay.deliver([relay.requests[0].reply(FALSE)])

        async def is_reported() -> bool:
            return "receipts" in {found.name for found in await wallet.findings()}

        await until(is_reported, pause_s=0.02)
        assert await state(wallet) is NodeInvoiceState.OPEN
        await relay.deliver([relay.requests[0].reply(RECEIPT)])
        assert (await first(wallet.settlements(b""))).preimage == PREIMAGE


async def test_a_receipt_of_somebody_else_books_nothing(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, _):
        await wallet.make_invoice(ORDER)
        (request,) = relay.requests
        await relay.deliver([
            request.reply(RECEIPT, key=STRANGER), request.reply(RECEIPT, to=STRANGER.public_hex),
            request.reply(RECEIPT, about="00" * 32), request.reply("{"), request.reply({"res": "ok", "preimage": "11"}),
        ])  # fmt: skip
        await relay.deliver([request.reply({"bolt11": invoice(payment_hash="01" * 32)})])
        await wallet.info()
        assert await state(wallet) is NodeInvoiceState.OPEN


# ---------------------------------------------------------------- what was missed


@asynccontextmanager
async def reopened(relay: HostileRelay, directory: Path, clock: StandingClock) -> AsyncIterator[ClinkWallet]:
    """The same wallet in another process."""
    wallet = open_wallet(link_to(relay.url), directory, clock=clock)
    await wallet.open()
    try:
        yield wallet
    finally:
        await wallet.close()


async def test_a_receipt_that_was_missed_comes_when_the_request_is_sent_again_after_a_restart(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, clock):
        await wallet.make_invoice(ORDER)
        await wallet.close()
        relay.script = shop(RECEIPT)
        async with reopened(relay, tmp_path, clock) as again:
            assert (await first(again.settlements(b""))).preimage == PREIMAGE
        assert len({request.event.id for request in relay.requests}) == 1


async def test_a_receipt_that_was_missed_comes_when_the_relay_is_back(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, _):
        await wallet.make_invoice(ORDER)
        relay.script = shop(RECEIPT)
        telling = asyncio.create_task(first(wallet.settlements(b"")))
        await wallet.info()
        await relay.hang_up()
        assert (await telling).preimage == PREIMAGE


async def test_a_service_that_makes_another_invoice_of_the_same_request_changes_nothing(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, clock):
        await wallet.make_invoice(ORDER)
        await wallet.close()
        relay.script = shop(bill=invoice(payment_hash="01" * 32))
        async with reopened(relay, tmp_path, clock) as again:
            await until(lambda: len(relay.requests) > 1, pause_s=0.02)
            assert await state(again) is NodeInvoiceState.OPEN
            with pytest.raises(WalletAnswerError, match="was not made here"):
                await again.lookup_invoice("01" * 32)


class LongClock(StandingClock):
    """Waits are real, and what has passed meanwhile is told by :meth:`wait`."""

    passed_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.passed_s

    def wait(self, seconds: int) -> None:
        self.advance(seconds)
        self.passed_s += seconds


async def is_(wallet: ClinkWallet, wanted: NodeInvoiceState) -> None:
    async def is_so() -> bool:
        return await state(wallet) is wanted

    await until(is_so, pause_s=0.02)


async def test_an_invoice_is_over_a_day_after_its_expiry_when_it_was_asked_for_once_more_in_vain(
    tmp_path: Path,
) -> None:
    async with scripted(shop(), tmp_path, clock=(clock := LongClock())) as (wallet, relay, _):
        made = await wallet.make_invoice(ORDER)
        with pytest.raises(WalletAnswerError, match="no word to cancel"):
            await wallet.cancel_invoice(PAYMENT_HASH)
        clock.wait(made.expires_at - clock.now() + OVER_S + 1)
        asked = len(relay.requests)
        await until(lambda: len(relay.requests) > asked, pause_s=0.02)
        clock.wait(int(ASKED_S) - 60)
        asked = len(relay.requests)
        await until(lambda: len(relay.requests) > asked + 1, pause_s=0.02)
        assert await state(wallet) is NodeInvoiceState.OPEN
        clock.wait(60)
        await is_(wallet, NodeInvoiceState.CANCELED)
        assert (await wallet.cancel_invoice(PAYMENT_HASH)).state == "canceled"
        await wallet.close()
        asked = len(relay.requests)
        async with reopened(relay, tmp_path, clock) as again:
            await again.info()
            await until(lambda: bool(relay.labels()), pause_s=0.02)
            assert await state(again) is NodeInvoiceState.CANCELED
        assert len(relay.requests) == asked


async def test_what_was_paid_while_we_were_away_for_days_is_asked_for_before_it_is_given_up(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, clock):
        made = await wallet.make_invoice(ORDER)
        await wallet.close()
        relay.script = shop(RECEIPT)
        clock.advance(made.expires_at - clock.now() + 2 * OVER_S)
        async with reopened(relay, tmp_path, clock) as again:
            assert (await first(again.settlements(b""))).preimage == PREIMAGE


async def test_a_clock_that_is_ahead_for_hours_ends_no_invoice_for_good(tmp_path: Path) -> None:
    async with scripted(shop(), tmp_path, clock=(clock := LongClock())) as (wallet, relay, _):
        await wallet.make_invoice(ORDER)
        clock.advance(30 * 86_400)
        asked = len(relay.requests)
        await until(lambda: len(relay.requests) > asked, pause_s=0.02)
        clock.wait(int(ASKED_S))
        await is_(wallet, NodeInvoiceState.CANCELED)
        clock.advance(-30 * 86_400 - int(ASKED_S))
        await is_(wallet, NodeInvoiceState.OPEN)
        await relay.deliver([relay.requests[0].reply(RECEIPT)])
        assert (await first(wallet.settlements(b""))).preimage == PREIMAGE


async def test_a_book_that_cannot_be_written_for_a_while_does_not_end_the_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted(shop(), tmp_path) as (wallet, relay, _):
        await wallet.make_invoice(ORDER)
        assert wallet._wallet is not None
        full = ["a round", "another one"]
        read = wallet._wallet.book.open_invoices

        def read_or_fail() -> list[InvoiceRow]:
            if full:
                raise sqlite3.OperationalError(f"disk full in {full.pop()}")
            return read()

        monkeypatch.setattr(wallet._wallet.book, "open_invoices", read_or_fail)
        await until(lambda: not full, pause_s=0.02)
        asked = len(relay.requests)
        await until(lambda: len(relay.requests) > asked, pause_s=0.02)
    assert "disk full" in caplog.text


async def test_a_cursor_of_another_book_hides_nothing(tmp_path: Path) -> None:
    async with scripted(shop(RECEIPT), tmp_path) as (wallet, _, _):
        await wallet.make_invoice(ORDER)
        await wallet.close()
    async with scripted(shop(RECEIPT), tmp_path) as (wallet, _, _):
        for cursor in (b"", b"1", b"7 " + b"ab" * 32, f"9 {PAYMENT_HASH}".encode()):
            assert (await first(wallet.settlements(cursor))).payment_hash == PAYMENT_HASH
