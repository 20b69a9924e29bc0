"""Asking somebody else's service to pay: what is sent, what is heard, and what it proves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.client import debits, owner_wait
from kitestring.client.debits import (
    DebitAsked,
    DebitBudget,
    DebitPaid,
    ask_debit,
    judge_grant,
    judge_payment,
    pay_wish,
    read_ndebit,
    requestor_key,
)
from kitestring.client.net import Waits
from kitestring.codec import bolt11, pointers
from kitestring.codec.pointers import Ndebit
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event
from kitestring.nostr.work import MAX_WORK_BITS, work_bits
from kitestring.relay.server import Relay
from kitestring.wire.ask.debits import AccessWish, BudgetWish, DebitOk, DebitRefusal, DebitWish, PayWish, Repeat
from kitestring.wire.clink import CLINK_VERSION
from tests.kit.chance import entropy
from tests.kit.client.debtor import OBSERVED, Answers, Debtor, always
from tests.kit.client.hostile import (
    CLIENT,
    CLOCK,
    IMPATIENT,
    PATIENT,
    SERVICE,
    STRANGER,
    HostileRelay,
    Request,
    hostile_relay,
    ndebit,
    net,
    noffer,
)
from tests.kit.clock import NOW, PATIENCE_S
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice

INVOICE = bolt11.decode(invoice())
K1 = "0123456789abcdef" * 4
MONTHLY = BudgetWish(1_000, Repeat(1, "month"))
PAID = {"res": "ok", "preimage": PREIMAGE}


async def asked(relay: HostileRelay, wish: DebitWish | None = None, code: Ndebit | None = None) -> DebitAsked:
    return await ask_debit(
        code or ndebit(relay.url), wish or pay_wish(INVOICE), CLIENT, net(IMPATIENT, relay.url)
    )  # fmt: skip


def undecided(answer: DebitAsked) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        judge_payment(answer, INVOICE)
    assert caught.value.exit_code is Exit.PENDING
    assert caught.value.details["payment_hash"] == PAYMENT_HASH
    assert caught.value.details["bolt11"] == INVOICE.text
    assert caught.value.details["expires_at"] == INVOICE.expires_at
    return caught.value


# ---------------------------------------------------------------- over a real relay


async def over_the_relay(
    answers: Answers, wish: DebitWish, code_k1: str | None = None, waits: Waits = PATIENT
) -> tuple[DebitAsked, Debtor]:
    async with Relay(None, clock=CLOCK, entropy=entropy) as relay, Debtor(relay.url, answers) as debtor:
        code = ndebit(relay.url, k1=code_k1)
        asking = asyncio.create_task(ask_debit(code, wish, CLIENT, net(waits, relay.url)))
        async with asyncio.timeout(PATIENCE_S):
            await debtor.news.wait()
        return await asking, debtor


def wish_of(case: str) -> DebitWish:
    if "full access" in case:
        return AccessWish()
    is_grant = "frequency" in case or case.endswith(("budget", "already granted", "(update)", "(one-time budget)"))
    return MONTHLY if is_grant else pay_wish(INVOICE)


@pytest.mark.parametrize("case", OBSERVED)
async def test_what_lightning_pub_answers_means_what_it_proves_and_no_more(case: str) -> None:
    text, wish = OBSERVED[case], wish_of(case)
    exact = None if text is None else text.replace("<64 hex>", PREIMAGE)
    waits = replace(PATIENT, debit_s=0.5) if exact is None else PATIENT
    answer, debtor = await over_the_relay(always(exact), wish, waits=waits)
    members = {} if exact is None else json.loads(exact)
    assert len(debtor.requests) == 1
    end: object = None
    try:
        if isinstance(wish, PayWish):
            end = judge_payment(answer, INVOICE)
        else:
            judge_grant(answer, wish)
    except KitestringError as error:
        end = (error.reason, error.details.get("code"))
    is_payment, code = "bolt11" in debtor.asked[0], members.get("code", 0)
    if members.get("res") == "ok":
        proven = DebitPaid(
            PAYMENT_HASH, members.get("preimage") or None, "proven" if members.get("preimage") else "claimed"
        )
        assert end == (proven if is_payment else None)
    elif exact is None or (is_payment and code == 1):
        assert end == (Reason.PAYMENT_IN_FLIGHT if is_payment else Reason.UNAVAILABLE, code or None)
    else:
        reasons = {
            1: Reason.NOT_PERMITTED,
            3: Reason.CONNECTION_ENDED,
            5: Reason.AMOUNT_OUT_OF_RANGE,
            6: Reason.MALFORMED,
        }
        assert end == (reasons[code], code)


async def test_a_payment_says_where_it_goes_how_much_and_what_for() -> None:
    wish = pay_wish(INVOICE, description="order 17", want_preimage=True)
    answer, debtor = await over_the_relay(always(PAID), wish, code_k1=K1)
    assert judge_payment(answer, INVOICE) == DebitPaid(PAYMENT_HASH, PREIMAGE, "proven")
    (request,) = debtor.requests
    assert request.members == {
        "pointer": "main", "amount_sats": 21, "bolt11": INVOICE.text, "k1": K1, "description": "order 17",
        "want_preimage": True,
    }  # fmt: skip
    assert request.event.kind == 21002
    assert request.event.tags == [["p", SERVICE.public_hex], CLINK_VERSION]
    assert request.event.pubkey == CLIENT.public_hex


# ---------------------------------------------------------------- who asks


def test_the_key_is_the_same_for_a_service_for_ever_and_another_one_for_each() -> None:
    seed, one, other = bytes(range(32)), "ab" * 32, "cd" * 32
    assert requestor_key(seed, one) == requestor_key(seed, one)
    assert len({requestor_key(each, service) for each in (seed, bytes(32)) for service in (one, other)}) == 4
    derived = HKDF(SHA256(), 32, salt=None, info=b"requestor\0" + one.encode()).derive(seed)
    assert requestor_key(seed, one) == SecretKey(derived)


@pytest.mark.parametrize("text", ["", "gibberish", "ndebit1qqqq", pointers.encode(noffer("wss://relay.example.com"))])
def test_what_is_no_debit_code_is_refused_before_anything_is_asked(text: str) -> None:
    with pytest.raises(KitestringError, match="debit code") as caught:
        read_ndebit(text)
    assert caught.value.reason is Reason.MALFORMED


def test_a_debit_code_is_read_as_it_is_pasted() -> None:
    code = ndebit("wss://relay.example.com", k1=K1)
    assert read_ndebit(f" nostr:{pointers.encode(code).upper()}\n") == code


# ---------------------------------------------------------------- amounts


def test_an_amount_is_always_sent_and_parts_of_a_sat_are_rounded_up() -> None:
    assert pay_wish(INVOICE).amount_sats == 21
    assert pay_wish(bolt11.decode(invoice(20_001))).amount_sats == 21
    assert pay_wish(bolt11.decode(invoice(None)), sat(5)).amount_sats == 5
    for amount, words in ((None, "no amount"), (Msat(1_500), "whole sats")):
        with pytest.raises(KitestringError, match=words):
            pay_wish(bolt11.decode(invoice(None)), amount)
    with pytest.raises(KitestringError, match="leave the amount out"):
        pay_wish(INVOICE, sat(5))


# ---------------------------------------------------------------- what is proven


@pytest.mark.parametrize("preimage", ["33" * 32, "zz", 7])
async def test_a_false_proof_is_reported_and_never_trusted(preimage: object) -> None:
    async with hostile_relay(lambda request: [request.reply({"res": "ok", "preimage": preimage})]) as relay:
        error = undecided(await asked(relay))
    assert error.details["proof"] == "false"
    assert "do not trust it" in error.message


async def test_a_reply_that_says_yes_and_no_decides_nothing() -> None:
    async with hostile_relay(lambda request: [request.reply({"res": "ok", "code": 5})]) as relay:
        error = undecided(await asked(relay))
    assert "yes and no at once" in error.message


@pytest.mark.parametrize(
    ("refusal", "reason", "words"),
    [
        (DebitRefusal(3, "late", actual_delta_ms=400_000), Reason.STALE_REQUEST, "6.7 minutes from its own time"),
        (DebitRefusal(3, "Expired Request"), Reason.CONNECTION_ENDED, "ask for a new budget"),
        (
            DebitRefusal(4, "slow down", retry_in_s=600),
            Reason.RATE_LIMITED,
            "slow down; it may be asked again in 600 s",
        ),
        (DebitRefusal(4, "no", retry_at=1_800_000_000), Reason.RATE_LIMITED, "asked again at 2027-01-15 08:00 UTC"),
        (DebitRefusal(4, "no", retry_at=2**53), Reason.RATE_LIMITED, "refused the debit: no"),
        (DebitRefusal(5, "no", (1, 4_000)), Reason.AMOUNT_OUT_OF_RANGE, "at least 1 sat and at most 4,000 sat"),
        (DebitRefusal(6, "", token="k1_already_processed"), Reason.ALREADY_USED, "code 6"),
    ],
)
def test_a_refusal_that_proves_it_says_why_nothing_was_paid(refusal: DebitRefusal, reason: Reason, words: str) -> None:
    with pytest.raises(KitestringError) as caught:
        judge_payment(DebitAsked(refusal), INVOICE)
    assert caught.value.reason is reason
    assert words in caught.value.message
    if refusal.retry_in_s:
        assert caught.value.details["retry_in_s"] == 600


@pytest.mark.parametrize(
    "refusal",
    [
        DebitRefusal(1, "Request Denied"), DebitRefusal(2, "x"), DebitRefusal(None, ""), DebitRefusal(9, "x"),
        DebitRefusal(6, "x", token="invoice_already_paid"), DebitRefusal(1, "used", token="k1_already_processed"),
    ],
)  # fmt: skip
def test_a_refusal_that_proves_nothing_leaves_the_payment_undecided(refusal: DebitRefusal) -> None:
    error = undecided(DebitAsked(refusal))
    assert error.details.get("code") == refusal.code
    assert "for no other for the same thing" in error.message


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 9, None])
@pytest.mark.parametrize("wish", [MONTHLY, AccessWish()])
def test_every_refusal_of_a_grant_is_final(code: int | None, wish: DebitWish) -> None:
    with pytest.raises(KitestringError) as caught:
        judge_grant(DebitAsked(DebitRefusal(code, "no")), wish)
    assert caught.value.reason is not Reason.PAYMENT_IN_FLIGHT
    assert caught.value.exit_code is not Exit.PENDING


def test_a_service_without_budgets_for_once_is_told_as_such() -> None:
    with pytest.raises(KitestringError, match="ask for a recurring one, or for each payment directly") as caught:
        judge_grant(DebitAsked(DebitRefusal(6, "Invalid Request")), BudgetWish(1_000, None))
    assert caught.value.details["code"] == 6


def test_a_grant_is_a_grant_whatever_is_written_beside_it() -> None:
    assert judge_grant(DebitAsked(DebitOk()), MONTHLY) == DebitBudget(sat(1_000), "month")
    assert judge_grant(DebitAsked(DebitOk("33" * 32)), AccessWish()) is None


@pytest.mark.parametrize(
    ("given", "granted", "words"),
    [
        (BudgetWish(300, Repeat(1, "day")), DebitBudget(sat(300), "day"), "300 sat per day"),
        (BudgetWish(300, Repeat(2, "week")), DebitBudget(sat(300), "week", 2), "300 sat per 2 weeks"),
        (BudgetWish(300, None), DebitBudget(sat(300), None), "300 sat once"),
    ],
)
@pytest.mark.parametrize("wish", [MONTHLY, AccessWish()])
def test_what_was_granted_is_what_the_service_says_and_not_what_was_asked_for(
    given: BudgetWish, granted: DebitBudget, words: str, wish: DebitWish
) -> None:
    found = judge_grant(DebitAsked(DebitOk(budget=given)), wish)
    assert (found, str(found)) == (granted, words)


# ---------------------------------------------------------------- waiting


async def test_silence_is_no_failure_and_the_owner_may_be_deciding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_wait, "APPROVAL_AFTER_S", 0.05)
    told: list[float] = []
    async with hostile_relay(lambda _: []) as relay:
        answer = await ask_debit(
            ndebit(relay.url), pay_wish(INVOICE), CLIENT, net(IMPATIENT, relay.url), waiting=told.append
        )
    assert "its owner may still be deciding" in undecided(answer).message
    assert len(told) == 1
    assert 0 < told[0] < IMPATIENT.debit_s
    with pytest.raises(KitestringError, match="ask for the same again later") as caught:
        judge_grant(answer, MONTHLY)
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_nobody_is_told_to_wait_for_an_answer_that_comes_at_once() -> None:
    told: list[float] = []
    async with hostile_relay(lambda request: [request.reply(PAID)]) as relay:
        await ask_debit(ndebit(relay.url), pay_wish(INVOICE), CLIENT, net(PATIENT, relay.url), waiting=told.append)
    assert told == []


async def test_the_same_event_is_sent_again_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_wait, "APPROVAL_AFTER_S", 0.02)
    monkeypatch.setattr(owner_wait, "RESEND_AFTER_S", (0.05, 0.1))
    seen: list[str] = []

    def lost_twice(request: Request) -> Iterable[Event]:
        seen.append(request.event.id)
        return [request.reply(PAID)] if len(seen) == 3 else []

    async with hostile_relay(lost_twice) as relay:
        answer = await ask_debit(ndebit(relay.url), pay_wish(INVOICE), CLIENT, net(PATIENT, relay.url))
    assert judge_payment(answer, INVOICE).proof == "proven"
    assert (len(seen), len(set(seen))) == (3, 1)


STALE = {
    "res": "GFY",
    "code": 3,
    "error": "Expired Request",
    "delta": {"max_delta_ms": 30_000, "actual_delta_ms": 41_000},
}


async def test_an_event_that_lay_at_a_relay_is_followed_by_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debits, "LATE_S", 0.0)
    seen: list[Request] = []

    def late(request: Request) -> Iterable[Event]:
        seen.append(request)
        return [request.reply(STALE if len(seen) == 1 else PAID)]

    async with hostile_relay(late) as relay:
        answer = await ask_debit(ndebit(relay.url), pay_wish(INVOICE), CLIENT, net(PATIENT, relay.url))
    assert judge_payment(answer, INVOICE).proof == "proven"
    assert len({request.event.id for request in seen}) == 2
    assert seen[0].members == seen[1].members


async def test_an_event_that_is_called_late_at_once_is_not_repeated_and_the_clocks_are_named() -> None:
    async with hostile_relay(lambda request: [request.reply(STALE, at=NOW + 7_200)]) as relay:
        answer = await asked(relay)
        assert len(relay.requests) == 1
    with pytest.raises(KitestringError, match="its clock is 2 hours ahead of the one here") as caught:
        judge_payment(answer, INVOICE)
    assert caught.value.reason is Reason.STALE_REQUEST


BUSY = {"res": "GFY", "code": 4, "error": "Rate Limited"}


@pytest.mark.parametrize(
    ("told", "asked_times", "bits"), [(8, 2, 8), (MAX_WORK_BITS + 1, 1, 0), (None, 1, 0), ("x", 1, 0)]
)
async def test_a_busy_service_is_shown_the_work_that_it_names_once(told: object, asked_times: int, bits: int) -> None:
    seen: list[Request] = []

    def busy(request: Request) -> Iterable[Event]:
        seen.append(request)
        return [request.reply({**BUSY, "work_bits": told})]

    async with hostile_relay(busy) as relay:
        answer = await ask_debit(ndebit(relay.url), pay_wish(INVOICE), CLIENT, net(PATIENT, relay.url))
    with pytest.raises(KitestringError) as caught:
        judge_payment(answer, INVOICE)
    assert caught.value.reason is Reason.RATE_LIMITED
    assert (len(seen), work_bits(seen[-1].event)) == (asked_times, bits)


async def test_what_is_paid_for_shown_work_is_paid_by_the_same_invoice() -> None:
    seen: list[Request] = []

    def busy(request: Request) -> Iterable[Event]:
        seen.append(request)
        return [request.reply(PAID if work_bits(request.event) >= 8 else {**BUSY, "work_bits": 8})]

    async with hostile_relay(busy) as relay:
        answer = await ask_debit(ndebit(relay.url), pay_wish(INVOICE), CLIENT, net(PATIENT, relay.url))
    assert judge_payment(answer, INVOICE).proof == "proven"
    assert seen[0].members == seen[1].members


async def test_a_relay_that_refuses_the_event_proves_nothing_about_the_payment() -> None:
    async with hostile_relay(lambda _: [], refuses="blocked: not here") as relay:
        assert "blocked: not here" in undecided(await asked(relay)).message


async def test_without_a_relay_nothing_is_sent_and_nothing_is_in_flight() -> None:
    async with hostile_relay(lambda _: []) as relay:
        url = relay.url
    with pytest.raises(KitestringError, match="no relay can be reached") as caught:
        await ask_debit(ndebit(url), pay_wish(INVOICE), CLIENT, net(IMPATIENT, url))
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_an_answer_of_somebody_else_does_not_end_the_wait() -> None:
    def forged(request: Request) -> Iterable[Event]:
        return [
            request.reply(PAID, key=STRANGER),
            request.reply(PAID, about="00" * 32),
            request.reply(PAID, kind=21001),
        ]

    async with hostile_relay(forged) as relay:
        assert (await asked(relay)).reply is None


async def test_a_private_relay_of_a_foreign_code_is_not_dialled() -> None:
    async with hostile_relay(lambda request: [request.reply(PAID)]) as relay:
        with pytest.raises(KitestringError) as caught:
            await ask_debit(ndebit(relay.url), pay_wish(INVOICE), CLIENT, net(IMPATIENT))
        assert relay.log == []
    assert caught.value.reason is Reason.NOT_PERMITTED


async def test_a_session_that_is_asked_for_a_budget_is_refused_before_anything_is_sent() -> None:
    async with hostile_relay(lambda request: [request.reply({"res": "ok"})]) as relay:
        with pytest.raises(KitestringError, match="for one payment"):
            await asked(relay, MONTHLY, ndebit(relay.url, k1=K1))
        assert relay.log == []


async def test_a_wait_that_is_given_up_leaves_nothing_behind() -> None:
    async with hostile_relay(lambda _: []) as relay:
        waiting = asyncio.create_task(
            ask_debit(ndebit(relay.url), pay_wish(INVOICE), CLIENT, net(PATIENT, relay.url))
        )  # fmt: skip
        await relay.news.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5):
            await relay.gone.wait()
