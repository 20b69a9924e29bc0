"""Payments by debits: what is sent, what is heard, and what is asked about an order whose end nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kitestring.backend.clink.node import ClinkWallet
from kitestring.base.money import Msat
from kitestring.base.node import NodeUnreachableError
from kitestring.base.payments import Failed, FailureReason, NeverSeen, Settled, Unknown
from kitestring.nostr.event import Event
from tests.kit.backend.clink import PACE, link_to, open_wallet, scripted
from tests.kit.backend.sides import order
from tests.kit.changed import replace
from tests.kit.client.hostile import STRANGER, HostileRelay, Request, Script
from tests.kit.clock import StandingClock
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.waiting import until

BILL = invoice()
WANTED = order(BILL, fee_cap=Msat(500), timeout_s=1)
PAID, SETTLED = {"res": "ok", "preimage": PREIMAGE}, Settled(PREIMAGE, Msat(500))
DENIED = {"res": "GFY", "code": 1, "error": "Request Denied"}
TEMPORARY = {"res": "GFY", "code": 2, "error": "Temporary Failure"}
OVER_BUDGET = {"res": "GFY", "code": 5, "error": "Invalid Amount", "range": {"min": 1, "max": 20}}
EXPIRED = {"res": "GFY", "code": 6, "error": "the invoice has expired"}
STALE = {"res": "GFY", "code": 3, "error": "Expired Request", "delta": {"max_delta_ms": 30_000, "actual_delta_ms": 1}}
#: No wait for an answer is long where none comes.
QUICK = replace(PACE, look_s=0.3, track_s=0.3)
AGAIN_S, OVER_S = int(PACE.again_after_s) + 1, 3_600 + int(PACE.over_after_s) + 1


def debits(*answers: dict[str, Any] | str | None) -> Script:
    """One after the other, the last one forever; None = silence."""
    left: Iterator[dict[str, Any] | str | None] = iter(answers)
    last: list[dict[str, Any] | str | None] = [None]

    def answer(request: Request) -> Iterable[Event]:
        if "bolt11" in request.members:
            last[0] = next(left, last[0])
        return [] if last[0] is None else [request.reply(last[0])]

    return answer


def asked(relay: HostileRelay) -> list[dict[str, Any]]:
    return [request.members for request in relay.requests if "bolt11" in request.members]


def ids(relay: HostileRelay) -> list[str]:
    return [request.event.id for request in relay.requests if "bolt11" in request.members]


# ---------------------------------------------------------------- the order


async def test_an_order_says_what_is_paid_from_which_pointer_and_asks_for_its_proof(tmp_path: Path) -> None:
    async with scripted(debits(PAID), tmp_path) as (wallet, relay, _):
        assert await wallet.pay(WANTED) == SETTLED
        assert asked(relay) == [{"pointer": "main", "amount_sats": 21, "bolt11": BILL, "want_preimage": True}]
        assert await wallet.lookup_payment(PAYMENT_HASH) == await wallet.track(PAYMENT_HASH) == SETTLED
        assert len(relay.requests) == 1


async def test_an_invoice_over_a_part_of_a_sat_or_without_an_amount_is_asked_for_in_whole_sats(tmp_path: Path) -> None:
    async with scripted(debits(PAID), tmp_path) as (wallet, relay, _):
        await wallet.pay(order(invoice(21_001), timeout_s=1))
        await wallet.pay(order(invoice(None, payment_hash="01" * 32), 7_000, timeout_s=1))
        assert [members["amount_sats"] for members in asked(relay)] == [22, 7]


@pytest.mark.parametrize("amount_msat", [1_500, 0])
async def test_an_amount_that_no_debit_can_say_is_refused_and_nothing_is_written_down(
    amount_msat: int, tmp_path: Path
) -> None:
    async with scripted(debits(PAID), tmp_path) as (wallet, relay, _):
        failed = await wallet.pay(order(invoice(None), amount_msat, timeout_s=1))
        assert isinstance(failed, Failed)
        assert failed.reason is FailureReason.REFUSED
        assert not relay.requests
        assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), NeverSeen)


async def test_what_was_paid_is_never_ordered_again(tmp_path: Path) -> None:
    async with scripted(debits(PAID, OVER_BUDGET), tmp_path) as (wallet, relay, _):
        assert await asyncio.gather(*(wallet.pay(WANTED) for _ in range(4))) == [SETTLED] * 4
        assert await wallet.pay(WANTED) == SETTLED
        assert len(relay.requests) == 1


async def test_an_order_whose_answer_is_lost_is_joined_and_not_sent_again(tmp_path: Path) -> None:
    async with scripted(debits(None), tmp_path) as (wallet, relay, _):
        for _ in range(2):
            answer = await wallet.pay(WANTED)
            assert isinstance(answer, Unknown)
            assert "has not answered" in answer.why
        assert len(relay.requests) == 1


@pytest.mark.parametrize("answer", [OVER_BUDGET, EXPIRED])
async def test_what_was_refused_for_good_may_be_ordered_anew(answer: dict[str, Any], tmp_path: Path) -> None:
    async with scripted(debits(answer, PAID), tmp_path) as (wallet, relay, clock):
        failed = await wallet.pay(WANTED)
        assert isinstance(failed, Failed)
        assert failed == await wallet.lookup_payment(PAYMENT_HASH)
        assert failed.attempt_at == clock.now()
        assert await wallet.pay(WANTED) == SETTLED
        assert len(set(ids(relay))) == 2


@pytest.mark.parametrize("answer", [DENIED, TEMPORARY])
async def test_codes_1_and_2_leave_it_open(answer: dict[str, Any], tmp_path: Path) -> None:
    async with scripted(debits(answer, PAID), tmp_path) as (wallet, relay, _):
        for unclear in (await wallet.pay(WANTED), await wallet.lookup_payment(PAYMENT_HASH), await wallet.pay(WANTED)):
            assert isinstance(unclear, Unknown)
            assert f"code {answer['code']}" in unclear.why
        assert len(relay.requests) == 1


async def test_an_owner_may_decide_long_after_everybody_has_gone(tmp_path: Path) -> None:
    async with scripted(debits(None), tmp_path) as (wallet, relay, _):
        assert isinstance(await wallet.pay(WANTED), Unknown)
        following = asyncio.create_task(wallet.track(PAYMENT_HASH))
        await relay.deliver([relay.requests[0].reply(PAID)])
        assert await following == SETTLED
        assert len(relay.requests) == 1


async def test_an_order_outlives_a_caller_who_goes_away(tmp_path: Path) -> None:
    async with scripted(debits(None), tmp_path) as (wallet, relay, _):
        paying = asyncio.create_task(wallet.pay(replace(WANTED, timeout_s=30)))
        await until(lambda: bool(relay.requests), pause_s=0.02)
        paying.cancel()
        await asyncio.gather(paying, return_exceptions=True)
        await relay.deliver([relay.requests[0].reply(PAID)])
        assert await wallet.track(PAYMENT_HASH) == SETTLED


# ---------------------------------------------------------------- asking about it


async def test_nothing_is_sent_about_an_order_that_a_service_may_still_take_for_new(tmp_path: Path) -> None:
    """A copy that arrives in its time could begin what the first one did not."""
    async with scripted(debits(None), tmp_path, pace=QUICK) as (wallet, relay, clock):
        await wallet.pay(WANTED)
        clock.advance(int(PACE.again_after_s))
        assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), Unknown)
        assert isinstance(await wallet.track(PAYMENT_HASH), Unknown)
        assert len(relay.requests) == 1


async def test_later_the_very_same_event_is_sent_again_and_its_stored_answer_counts(tmp_path: Path) -> None:
    async with scripted(debits(None, PAID), tmp_path) as (wallet, relay, clock):
        await wallet.pay(WANTED)
        clock.advance(AGAIN_S)
        assert await wallet.lookup_payment(PAYMENT_HASH) == SETTLED
        assert len(set(ids(relay))) == 1
        assert len(relay.requests) == 2


@pytest.mark.parametrize("answer", [OVER_BUDGET, EXPIRED, STALE, DENIED, TEMPORARY])
async def test_of_a_service_that_nobody_knows_no_later_refusal_is_about_the_first_order(
    answer: dict[str, Any], tmp_path: Path
) -> None:
    """It may have forgotten that it is at work on it, and now finds the budget used up by just that."""
    async with scripted(debits(None, answer), tmp_path) as (wallet, relay, clock):
        await wallet.pay(WANTED)
        clock.advance(AGAIN_S)
        assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), Unknown)
        clock.advance(OVER_S)
        assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), Unknown)
        await relay.deliver([relay.requests[0].reply(PAID)])
        assert await wallet.track(PAYMENT_HASH) == SETTLED


@pytest.mark.parametrize("answer", [OVER_BUDGET, EXPIRED])
async def test_a_known_service_says_what_it_has_said_before(answer: dict[str, Any], tmp_path: Path) -> None:
    async with scripted(debits(None, answer), tmp_path, is_known=True) as (wallet, _, clock):
        await wallet.pay(WANTED)
        clock.advance(AGAIN_S)
        assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), Failed)


async def test_an_order_that_never_arrived_stays_open_until_its_invoice_has_expired(tmp_path: Path) -> None:
    """The same event is too old by then, which is no word about the invoice; a new one is asked when it can pay
    nothing any more."""
    async with scripted(debits(None, STALE, EXPIRED), tmp_path, is_known=True) as (wallet, relay, clock):
        await wallet.pay(WANTED)
        clock.advance(AGAIN_S)
        assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), Unknown)
        clock.advance(OVER_S - AGAIN_S)
        failed = await wallet.lookup_payment(PAYMENT_HASH)
        assert isinstance(failed, Failed)
        assert failed.reason is FailureReason.EXPIRED
        first, same, new = ids(relay)
        assert first == same != new
        assert relay.requests[2].event.created_at == clock.now()


@pytest.mark.parametrize("is_known", [False, True])
async def test_after_the_expiry_a_new_question_finds_what_was_paid(is_known: bool, tmp_path: Path) -> None:
    async with scripted(debits(DENIED, PAID), tmp_path, is_known=is_known) as (wallet, relay, clock):
        if is_known:
            assert isinstance(await wallet.pay(WANTED), Failed)
            return
        await wallet.pay(WANTED)
        clock.advance(OVER_S)
        assert await wallet.lookup_payment(PAYMENT_HASH) == SETTLED
        assert len(set(ids(relay))) == 2


async def test_nobody_asks_about_one_order_again_and_again(tmp_path: Path) -> None:
    async with scripted(debits(None), tmp_path, pace=replace(QUICK, pause_s=60)) as (wallet, relay, clock):
        await wallet.pay(WANTED)
        clock.advance(AGAIN_S)
        for _ in range(5):
            assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), Unknown)
        assert len(relay.requests) == 2


# ---------------------------------------------------------------- another life


async def test_a_restart_hears_the_answer_to_an_order_of_the_life_before(tmp_path: Path) -> None:
    async with scripted(debits(None), tmp_path) as (wallet, relay, clock):
        await wallet.pay(WANTED)
        await wallet.close()
        async with reopened(relay, tmp_path, clock) as again:
            assert isinstance(await again.lookup_payment(PAYMENT_HASH), Unknown)
            await relay.deliver([relay.requests[0].reply(PAID)])
            assert await again.track(PAYMENT_HASH) == SETTLED
            assert len(relay.requests) == 1


async def test_a_restart_sends_the_event_of_the_life_before(tmp_path: Path) -> None:
    async with scripted(debits(None, PAID), tmp_path) as (wallet, relay, clock):
        await wallet.pay(WANTED)
        await wallet.close()
        clock.advance(AGAIN_S)
        async with reopened(relay, tmp_path, clock) as again:
            assert await again.lookup_payment(PAYMENT_HASH) == SETTLED
            assert len(set(ids(relay))) == 1


@asynccontextmanager
async def reopened(relay: HostileRelay, directory: Path, clock: StandingClock) -> AsyncIterator[ClinkWallet]:
    """The same wallet in another process."""
    wallet = open_wallet(link_to(relay.url), directory, clock=clock, pace=QUICK)
    await wallet.open()
    try:
        yield wallet
    finally:
        await wallet.close()


async def test_what_was_never_ordered_is_named_so(tmp_path: Path) -> None:
    async with scripted(debits(None), tmp_path) as (wallet, relay, clock):
        for look in (wallet.lookup_payment, wallet.track):
            assert await look("01" * 32) == NeverSeen(clock.now())
        assert not relay.requests


async def test_a_stranger_who_answers_in_its_place_is_not_heard(tmp_path: Path) -> None:
    async with scripted(debits(None), tmp_path, pace=QUICK) as (wallet, relay, _):
        await wallet.pay(WANTED)
        (request,) = relay.requests
        await relay.deliver([
            request.reply(OVER_BUDGET, key=STRANGER), request.reply(OVER_BUDGET, to=STRANGER.public_hex),
            request.reply(OVER_BUDGET, about="00" * 32), request.reply(OVER_BUDGET, kind=21_001),
        ])  # fmt: skip
        assert isinstance(await wallet.track(PAYMENT_HASH), Unknown)


async def test_an_order_that_nobody_could_be_given_was_not_sent(tmp_path: Path) -> None:
    wallet = open_wallet(link_to("ws://127.0.0.1:1"), tmp_path, clock=StandingClock())
    await wallet.open()
    try:
        with pytest.raises(NodeUnreachableError):
            await wallet.pay(WANTED)
    finally:
        await wallet.close()
    async with scripted(debits(PAID), tmp_path) as (again, _, _):
        assert isinstance(await again.lookup_payment(PAYMENT_HASH), NeverSeen)
        assert await again.pay(WANTED) == SETTLED
