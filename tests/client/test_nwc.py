"""A NWC client: ciphers, methods, and payments whose reply is lost, late, false or unclear."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.destinations import invoice_text
from kitestring.base.errors import CodecError, Exit, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import BudgetState, Paid
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.client.clocks import CLOCKS_S
from kitestring.client.net import Waits
from kitestring.client.nwc import NwcClient
from kitestring.client.payable import Payable
from kitestring.codec import bolt11
from kitestring.codec.keysend import keysend
from kitestring.nostr.event import Event
from tests.kit.client.hostile import (
    CLIENT,
    IMPATIENT,
    PATIENT,
    STRANGER,
    HostileRelay,
    Request,
    hostile_relay,
    info_event,
    net,
    nwc_uri,
)
from tests.kit.clock import NOW, PATIENCE_S
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.rig.process import free_port

SETTLED = {
    "type": "outgoing", "state": "settled", "payment_hash": PAYMENT_HASH, "preimage": PREIMAGE, "amount": 21_000,
    "fees_paid": 7, "created_at": NOW, "settled_at": NOW,
}  # fmt: skip


def client(relay: HostileRelay, waits: Waits = PATIENT, **options: Any) -> NwcClient:
    return NwcClient(nwc_uri(relay.url), net(waits), **options)


def script(**answers: object) -> Callable[[Request], Iterable[Event]]:
    """Per method: the result, an error (a tuple of code and message), or None for silence."""

    def answer(request: Request) -> Iterable[Event]:
        found = answers[request.method]
        if isinstance(found, tuple):
            return [request.result(error={"code": found[0], "message": found[1]})]
        return [] if found is None else [request.result(found)]

    return answer


def settled(**changes: object) -> dict[str, object]:
    return {name: value for name, value in {**SETTLED, **changes}.items() if value is not None}


async def paying(answer: Callable[[Request], Iterable[Event]], waits: Waits = IMPATIENT) -> Paid:
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, waits) as wallet:
        return await wallet.pay_invoice(invoice())


async def refused(answer: Callable[[Request], Iterable[Event]], waits: Waits = IMPATIENT) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await paying(answer, waits)
    return caught.value


# ---------------------------------------------------------------- paying


async def test_a_payment_ends_with_its_proof() -> None:
    paid = await paying(script(pay_invoice={"preimage": PREIMAGE, "fees_paid": 7}), PATIENT)
    assert paid == Paid(PAYMENT_HASH, PREIMAGE, sat(21), Msat(7))


async def test_the_limits_go_with_the_request_and_an_amount_only_where_the_invoice_has_none() -> None:
    answer = script(pay_invoice={"preimage": PREIMAGE})
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        await wallet.pay_invoice(invoice(), max_fee_msat=Msat(1000))
        await wallet.pay_invoice(invoice(None), sat(5))
        params = [request.members["params"] for request in relay.requests]
    assert params == [{"invoice": invoice(), "max_fee": 1000}, {"invoice": invoice(None), "amount": 5000}]


async def test_a_payment_that_nobody_waits_for_any_more_expires_and_a_question_does_not() -> None:
    answer = script(pay_invoice={"preimage": PREIMAGE}, get_balance={"balance": 1_000})
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        await wallet.pay_invoice(invoice(), timeout_s=20.5)
        await wallet.get_balance()
        pay, ask = (request.event for request in relay.requests)
    assert [tag for tag in pay.tags if tag[0] == "expiration"] == [["expiration", str(pay.created_at + 21 + CLOCKS_S)]]
    assert [tag for tag in ask.tags if tag[0] == "expiration"] == []


@pytest.mark.parametrize(
    ("text", "amount"), [(invoice(), sat(22)), (invoice(None), None), (invoice(None), Msat(0)), ("lnbc1", None)]
)
async def test_what_cannot_be_meant_is_not_sent(text: str, amount: Msat | None) -> None:
    async with hostile_relay(script(), stored=[info_event()]) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError) as caught:
            await wallet.pay_invoice(text, amount)
        assert relay.requests == []
    assert caught.value.exit_code is Exit.USAGE


@pytest.mark.parametrize("preimage", ["44" * 32, "", None, "zz", PREIMAGE[:-2]])
async def test_a_preimage_that_does_not_hash_is_never_a_success(preimage: str | None) -> None:
    error = await refused(script(pay_invoice={"preimage": preimage}, lookup_invoice=None))
    assert error.reason is Reason.PAYMENT_IN_FLIGHT
    assert error.exit_code is Exit.PENDING
    assert error.details["payment_hash"] == PAYMENT_HASH
    assert "preimage" in error.message


async def test_a_lost_reply_is_found_in_the_wallets_record() -> None:
    paid = await paying(script(pay_invoice=None, lookup_invoice=SETTLED))
    assert paid == Paid(PAYMENT_HASH, PREIMAGE, sat(21), Msat(7))


async def test_the_invoice_is_never_sent_a_second_time() -> None:
    answer = script(pay_invoice=None, lookup_invoice=settled(state="pending", preimage=None, settled_at=None))
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, IMPATIENT) as wallet:
        with pytest.raises(KitestringError):
            await wallet.pay_invoice(invoice())
        methods = [request.method for request in relay.requests]
    assert methods == ["pay_invoice", "lookup_invoice", "lookup_invoice"]


@pytest.mark.parametrize(
    "record",
    [
        settled(state="pending", preimage=None, settled_at=None),
        settled(state="expired", preimage=None, settled_at=None),
        settled(preimage=None),
        settled(preimage="44" * 32),
        settled(type="incoming"),
        settled(type=None),
        settled(state="failed", preimage=None, settled_at=None, created_at=NOW - 1),
        settled(state="failed", preimage=None, settled_at=None, created_at=None),
        settled(state="failed", preimage=None, settled_at=None, payment_hash="ab" * 32),
        ("NOT_FOUND", "no such payment"),
        ("RESTRICTED", "not yours"),
        ("INTERNAL", "oops"),
        None,
    ],
    ids=[
        "pending",
        "expired",
        "no preimage",
        "false preimage",
        "own invoice",
        "no direction",
        "failed before",
        "failed some day",
        "another payment",
        "not found",
        "restricted",
        "internal",
        "silence",
    ],
)
async def test_a_lost_reply_that_no_record_explains_is_in_flight_and_not_failed(record: object) -> None:
    error = await refused(script(pay_invoice=None, lookup_invoice=record))
    assert error.reason is Reason.PAYMENT_IN_FLIGHT
    assert PAYMENT_HASH in error.message


@pytest.mark.parametrize(
    "odd",
    [
        *({"state": state} for state in ("pending", "failed", "expired", "accepted", "", None, 7)),
        {"settled_at": "yesterday", "created_at": 1.5, "fees_paid": "7"},
        {"amount": None},
        {"payment_hash": None},
        {"preimage": PREIMAGE.upper()},
    ],
    ids=str,
)
async def test_a_record_with_the_proof_is_a_payment_whatever_else_it_says(odd: dict[str, object]) -> None:
    paid = await paying(script(pay_invoice=None, lookup_invoice=settled(**odd)))
    assert paid == Paid(PAYMENT_HASH, PREIMAGE, sat(21), Msat(7))


async def test_the_proof_counts_beside_an_error_too() -> None:
    def answer(request: Request) -> Iterable[Event]:
        return [request.result({"preimage": PREIMAGE}, {"code": "INTERNAL", "message": "oops"})]

    assert (await paying(answer)).preimage == PREIMAGE


async def test_a_failure_is_dated_by_the_wallets_clock() -> None:
    """One that is ahead dates an earlier failure after our order."""
    record = settled(state="failed", preimage=None, settled_at=None, created_at=NOW + 60)

    def answer(request: Request) -> Iterable[Event]:
        text = {"error": None, "result": record}
        return [request.reply(text, at=NOW + 120)] if request.method == "lookup_invoice" else []

    assert (await refused(answer)).reason is Reason.PAYMENT_IN_FLIGHT


@pytest.mark.parametrize("code", ["EXPIRED", "RESTRICTED", "NOT_IMPLEMENTED", "UNAUTHORIZED"])
async def test_a_wallet_that_does_not_let_its_record_be_read_is_asked_for_it_once(code: str) -> None:
    answer = script(pay_invoice=None, lookup_invoice=(code, "this app has expired"))
    waits = replace(IMPATIENT, lookup_pauses_s=(0, 3_600))
    async with (
        hostile_relay(answer, stored=[info_event()]) as relay,
        client(relay, waits) as wallet,
        asyncio.timeout(PATIENCE_S),
    ):
        with pytest.raises(KitestringError, match="this app has expired") as caught:
            await wallet.pay_invoice(invoice())
        assert [request.method for request in relay.requests] == ["pay_invoice", "lookup_invoice"]
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT


async def test_a_record_that_says_failed_ends_it() -> None:
    record = settled(state="failed", preimage=None, settled_at=None)
    error = await refused(script(pay_invoice=None, lookup_invoice=record))
    assert error.reason is Reason.PAYMENT_FAILED


@pytest.mark.parametrize("second", [None, ("INTERNAL", "out of order")], ids=["lost", "unclear"])
async def test_a_date_does_not_make_a_failure_that_of_a_second_attempt(second: object) -> None:
    """A clock that was set back, or that of a wallet that is ahead, dates the first failure after the second order."""
    first, failed = ("PAYMENT_FAILED", "no route"), settled(state="failed", preimage=None, created_at=NOW + 60)
    replies = iter((first, second))

    def answer(request: Request) -> Iterable[Event]:
        said = next(replies) if request.method == "pay_invoice" else failed
        return script(**{request.method: said})(request)

    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, IMPATIENT) as wallet:
        for reason in (Reason.PAYMENT_FAILED, Reason.PAYMENT_IN_FLIGHT):
            with pytest.raises(KitestringError) as caught:
                await wallet.pay_invoice(invoice())
            assert caught.value.reason is reason


async def test_a_reply_that_comes_during_the_look_ups_counts() -> None:
    first: list[Request] = []

    def answer(request: Request) -> Iterable[Event]:
        if request.method == "pay_invoice":
            first.append(request)
            return []
        return [request.result(error={"code": "NOT_FOUND", "message": ""}), first[0].result({"preimage": PREIMAGE})]

    waits = Waits(pay_s=0.1, lookup_pauses_s=(0, 10))
    assert (await paying(answer, waits)).preimage == PREIMAGE


async def test_a_relay_that_refuses_a_payment_does_not_make_it_failed() -> None:
    answer = script(pay_invoice=None, lookup_invoice=None)
    async with (
        hostile_relay(answer, stored=[info_event()], refuses="blocked: no") as relay,
        client(relay, IMPATIENT) as wallet,
    ):
        with pytest.raises(KitestringError) as caught:
            await wallet.pay_invoice(invoice())
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT
    assert "blocked: no" in caught.value.message


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("PAYMENT_FAILED", Reason.PAYMENT_FAILED),
        ("QUOTA_EXCEEDED", Reason.OVER_BUDGET),
        ("INSUFFICIENT_BALANCE", Reason.INSUFFICIENT_FUNDS),
        ("RATE_LIMITED", Reason.RATE_LIMITED),
        ("UNAUTHORIZED", Reason.CONNECTION_ENDED),
        ("FEE_LIMIT_EXCEEDED", Reason.FEE_LIMIT),
        ("EXPIRED", Reason.CONNECTION_ENDED),
        ("BAD_REQUEST", Reason.MALFORMED),
        ("UNSUPPORTED_NETWORK", Reason.WRONG_NETWORK),
    ],
)
async def test_a_plain_refusal_stands_and_keeps_the_wallets_words(code: str, reason: Reason) -> None:
    """It is told at once: a look-up would be refused in the same way."""
    error = await refused(script(pay_invoice=(code, "not today")), PATIENT)
    assert error.reason is reason
    assert code in {error.details["code"], error.details.get("raw_code")}
    assert "not today" in error.message


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("QUOTA_EXCEEDED", Reason.PAYMENT_IN_FLIGHT),
        ("EXPIRED", Reason.PAYMENT_IN_FLIGHT),
        ("INTERNAL", Reason.PAYMENT_IN_FLIGHT),
        ("PAYMENT_FAILED", Reason.PAYMENT_FAILED),
    ],
)
async def test_the_refusal_of_a_second_order_says_nothing_about_the_first_that_may_still_be_paid(
    second: str, reason: Reason
) -> None:
    replies = iter((None, (second, "not twice"), ("EXPIRED", "too late")))

    def answer(request: Request) -> Iterable[Event]:
        said = next(replies) if request.method == "pay_invoice" else ("NOT_FOUND", "")
        return script(**{request.method: said})(request)

    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, IMPATIENT) as wallet:
        for expected in (Reason.PAYMENT_IN_FLIGHT, reason):
            with pytest.raises(KitestringError) as caught:
                await wallet.pay_invoice(invoice())
            assert caught.value.reason is expected
        if reason is Reason.PAYMENT_FAILED:  # then it has ended, and a third is a first one again
            with pytest.raises(KitestringError, match="too late") as caught:
                await wallet.pay_invoice(invoice())
            assert caught.value.reason is Reason.CONNECTION_ENDED


async def test_an_order_whose_end_the_caller_has_seen_elsewhere_is_forgotten() -> None:
    replies = iter((None, ("QUOTA_EXCEEDED", "no")))

    def answer(request: Request) -> Iterable[Event]:
        said = next(replies) if request.method == "pay_invoice" else ("NOT_FOUND", "")
        return script(**{request.method: said})(request)

    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, IMPATIENT) as wallet:
        for expected in (Reason.PAYMENT_IN_FLIGHT, Reason.OVER_BUDGET):
            with pytest.raises(KitestringError) as caught:
                await wallet.pay_invoice(invoice())
            assert caught.value.reason is expected
            wallet.forget(PAYMENT_HASH)


@pytest.mark.parametrize("code", ["INTERNAL", "OTHER", "SOMETHING_NEW"])
async def test_an_unclear_refusal_is_checked_against_the_record(code: str) -> None:
    paid = await paying(script(pay_invoice=(code, "timeout"), lookup_invoice=SETTLED), PATIENT)
    assert paid.preimage == PREIMAGE
    pending = settled(state="pending", preimage=None, settled_at=None)
    error = await refused(script(pay_invoice=(code, "timeout"), lookup_invoice=pending), PATIENT)
    assert error.reason is Reason.PAYMENT_IN_FLIGHT
    error = await refused(script(pay_invoice=(code, "timeout"), lookup_invoice=("NOT_FOUND", "")), PATIENT)
    assert error.reason in {Reason.INTERNAL, Reason.MALFORMED}


async def test_a_record_that_is_written_after_an_unclear_refusal_is_waited_for() -> None:
    looks = iter([("NOT_FOUND", ""), SETTLED])

    def answer(request: Request) -> Iterable[Event]:
        said = ("OTHER", "timeout") if request.method == "pay_invoice" else next(looks)
        return script(**{request.method: said})(request)

    assert (await paying(answer, PATIENT)).preimage == PREIMAGE


@pytest.mark.parametrize("code", ["OTHER", "INTERNAL", "SOMETHING_NEW"])
@pytest.mark.parametrize(
    "record",
    [settled(type="incoming"), settled(state="failed", preimage=None, settled_at=None, created_at=NOW - 1)],
    ids=["own invoice", "failed before"],
)
async def test_a_record_of_something_else_does_not_decide_about_an_unclear_refusal(code: str, record: object) -> None:
    error = await refused(script(pay_invoice=(code, "hm"), lookup_invoice=record), PATIENT)
    assert error.reason is Reason.PAYMENT_IN_FLIGHT


@pytest.mark.parametrize("code", ["OTHER", "INTERNAL", "SOMETHING_NEW"])
async def test_an_unclear_refusal_without_a_record_leaves_the_end_open_and_says_why(code: str) -> None:
    answer = script(pay_invoice=(code, "hm"), lookup_invoice=("RESTRICTED", "not yours"))
    error = await refused(answer, PATIENT)
    assert error.exit_code is Exit.PENDING
    assert f"it answered {code} (hm)" in error.message
    assert "does not let its record be read: not yours" in error.message


# ---------------------------------------------------------------- the record of a payment


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        (SETTLED, Settled(PREIMAGE, Msat(7))),
        (settled(state="failed", preimage=None), Failed("its record says failed", attempt_at=NOW)),
        (settled(state="failed", preimage=None, created_at=None), Failed("its record says failed")),
        (settled(state="pending", preimage=None, settled_at=None), InFlight()),
        (settled(state="expired", preimage=None, settled_at=None), InFlight()),
        (settled(preimage=None), Unknown("its record says settled, without a proof")),
        (settled(preimage="44" * 32), Unknown("its record says settled, without a proof")),
        (settled(type="incoming"), Unknown("its record is of an invoice, not of a payment")),
        (("NOT_FOUND", ""), NeverSeen(NOW)),
        (("RESTRICTED", "not yours"), Unknown("the wallet refused: not yours")),
    ],
)
async def test_the_record_of_a_payment_is_the_answer_of_a_look_up(record: object, answer: LookupAnswer) -> None:
    async with hostile_relay(script(lookup_invoice=record), stored=[info_event()]) as relay, client(relay) as wallet:
        assert await wallet.lookup_payment(PAYMENT_HASH) == answer


async def test_a_wallet_that_does_not_answer_says_nothing_about_a_payment() -> None:
    async with (
        hostile_relay(script(lookup_invoice=None), stored=[info_event()]) as relay,
        client(relay, IMPATIENT) as wallet,
    ):
        assert isinstance(await wallet.lookup_payment(PAYMENT_HASH), Unknown)


# ---------------------------------------------------------------- the other methods


async def test_the_other_methods_give_typed_answers() -> None:
    entry = settled(type="incoming", state="pending", invoice=invoice(), preimage=None, settled_at=None)
    answer = script(
        make_invoice=entry, lookup_invoice=SETTLED, get_balance={"balance": "5000"},
        get_info={"alias": "a", "network": "mainnet", "methods": ["pay_invoice"]},
        list_transactions={"transactions": [SETTLED, entry]},
    )  # fmt: skip
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        made = await wallet.make_invoice(sat(21), description="tea")
        assert (made.bolt11, made.state) == (invoice(), "pending")
        assert (await wallet.lookup_invoice(PAYMENT_HASH)).preimage == PREIMAGE
        assert await wallet.get_balance() == Msat(5000)
        info = await wallet.get_info()
        assert (info.network, info.methods) == ("bitcoin", ("pay_invoice",))
        listed = await wallet.list_transactions(ListTransactions(limit=5))
        assert [row.type for row in listed] == ["outgoing", "incoming"]
        assert relay.requests[-1].members["params"] == {"limit": 5}


async def test_the_log_says_how_much_of_a_list_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    answer = script(list_transactions={"transactions": [SETTLED, settled(amount=None), "x"]})
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        assert len(await wallet.list_transactions()) == 1
    assert "2 entries of the wallet's list cannot be read and are left out" in caplog.text


@pytest.mark.parametrize(
    "entry",
    [
        {"invoice": invoice(sat(20)), "payment_hash": PAYMENT_HASH},
        {"invoice": invoice(None), "payment_hash": PAYMENT_HASH},
        {"invoice": invoice(), "payment_hash": "ab" * 32},
        {"invoice": "lnbc1", "payment_hash": PAYMENT_HASH},
    ],
)
async def test_an_invoice_that_was_not_asked_for_is_refused(entry: dict[str, str]) -> None:
    answer = script(make_invoice={"type": "incoming", "amount": 21_000, "created_at": NOW, **entry})
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="the wallet sent"):
            await wallet.make_invoice(sat(21))


@pytest.mark.parametrize("said", ["hello", "[]", "{}", '{"result":{}}', '{"result":{"balance":"much"}}'])
async def test_an_answer_that_cannot_be_read_is_told_at_once_and_as_such(said: str) -> None:
    waits = replace(PATIENT, unread_s=0.05)
    async with (
        hostile_relay(lambda request: [request.reply(said)], stored=[info_event()]) as relay,
        client(relay, waits) as wallet,
        asyncio.timeout(PATIENT.read_s / 2),
    ):
        with pytest.raises(KitestringError, match="the wallet's reply cannot be read") as caught:
            await wallet.get_balance()
    assert caught.value.reason is Reason.INTERNAL


async def test_an_answer_to_a_payment_that_cannot_be_read_is_followed_by_a_look_at_once() -> None:
    def answer(request: Request) -> Iterable[Event]:
        return [request.reply("hello") if request.method == "pay_invoice" else request.result(SETTLED)]

    async with asyncio.timeout(PATIENCE_S):
        assert (await paying(answer, Waits(pay_s=3_600, unread_s=0.05))).preimage == PREIMAGE


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [(600, "10 minutes ahead of the one here"), (-600, "10 minutes behind the one here")],
)
async def test_a_clock_that_differs_is_told_with_what_it_may_have_ended(ahead_s: int, words: str) -> None:
    def answer(request: Request) -> Iterable[Event]:
        error = {"code": "EXPIRED", "message": "this app has expired"}
        return [request.reply({"error": error, "result": None}, at=NOW + ahead_s)]

    error = await refused(answer)
    assert error.reason is Reason.CONNECTION_ENDED
    assert words in error.message


async def test_a_wallet_whose_clock_is_ahead_has_as_long_for_a_payment_as_any() -> None:
    def answer(request: Request) -> Iterable[Event]:
        known: dict[str, object] = {"get_balance": {"balance": -1_500}, "pay_invoice": {"preimage": PREIMAGE}}
        return [request.reply({"result": known[request.method]}, at=NOW + 600)]

    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        assert await wallet.get_balance() == Msat(-1_500)
        await wallet.pay_invoice(invoice(), timeout_s=20)
        tags = relay.requests[-1].event.tags
    assert ["expiration", str(NOW + 20 + CLOCKS_S + 600)] in tags


async def test_a_silent_wallet_without_an_info_event_may_be_one_of_nip04() -> None:
    async with hostile_relay(script(get_balance=None)) as relay:
        async with client(relay, IMPATIENT) as wallet:
            with pytest.raises(KitestringError, match="knows NIP-04 only"):
                await wallet.get_balance()
        async with client(relay, IMPATIENT, legacy=True) as wallet:
            with pytest.raises(KitestringError) as caught:
                await wallet.get_balance()
    assert "NIP-04" not in caught.value.message


async def test_a_refusal_in_nip04_does_not_raise_the_connection_to_nip44() -> None:
    def answer(request: Request) -> Iterable[Event]:
        return [replace(request, cipher="nip04").result(error={"code": "OTHER", "message": "what?"})]

    async with hostile_relay(answer) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="what"):
            await wallet.get_balance()
        assert not wallet.nip44_seen


async def test_a_silent_wallet_is_unavailable() -> None:
    async with (
        hostile_relay(script(get_balance=None), stored=[info_event()]) as relay,
        client(relay, IMPATIENT) as wallet,
    ):
        with pytest.raises(KitestringError, match="did not answer") as caught:
            await wallet.get_balance()
    assert caught.value.exit_code is Exit.UNAVAILABLE


async def test_without_a_relay_the_client_says_so_and_leaves_nothing_open() -> None:
    wallet = NwcClient(nwc_uri(f"ws://127.0.0.1:{free_port()}"), net(IMPATIENT))
    with pytest.raises(KitestringError, match="no relay can be reached") as caught:
        await wallet.__aenter__()
    assert caught.value.exit_code is Exit.UNAVAILABLE


# ---------------------------------------------------------------- ciphers and the info event


@pytest.mark.parametrize(
    ("stored", "options", "cipher"),
    [
        ([info_event(encryption="nip44_v2 nip04")], {}, "nip44"),
        ([info_event(encryption="nip44_v2")], {}, "nip44"),
        ([info_event(encryption="nip04")], {}, "nip04"),
        ([info_event(encryption=None)], {}, "nip04"),
        ([], {}, "nip44"),
        ([], {"legacy": True}, "nip04"),
        ([info_event(encryption="nip04")], {"nip44_seen": True}, "nip44"),
        ([info_event(encryption=None, at=NOW - 9), info_event(encryption="nip44_v2")], {}, "nip44"),
    ],
)
async def test_the_cipher_follows_the_info_event_and_is_never_lowered(
    stored: list[Event], options: dict[str, bool], cipher: str
) -> None:
    answer = script(get_balance={"balance": 1})
    async with hostile_relay(answer, stored=stored) as relay, client(relay, PATIENT, **options) as wallet:
        await wallet.get_balance()
        assert relay.requests[0].cipher == cipher
        assert wallet.nip44_seen is (cipher == "nip44")


async def test_nip44_once_answered_stays_whatever_is_published_later() -> None:
    async with hostile_relay(script(get_balance={"balance": 1})) as relay:
        async with client(relay) as wallet:
            await wallet.get_balance()
        relay.stored = [info_event(encryption=None)]
        async with client(relay, nip44_seen=wallet.nip44_seen) as later:
            await later.get_balance()
        assert [request.cipher for request in relay.requests] == ["nip44", "nip44"]


async def test_an_info_event_of_somebody_else_is_not_believed() -> None:
    true = info_event(encryption="nip44_v2")
    forged = msgspec.structs.replace(info_event(encryption=None, at=NOW + 5), sig=true.sig)
    foreign = msgspec.structs.replace(info_event(encryption=None, at=NOW + 9), pubkey=STRANGER.public_hex)
    async with hostile_relay(script(), stored=[true, forged, foreign]) as relay, client(relay) as wallet:
        assert wallet.service is not None
        assert wallet.service.ciphers == ("nip44",)


async def test_a_missing_info_event_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kitestring.client"):
        async with hostile_relay(script(get_balance={"balance": 1})) as relay, client(relay) as wallet:
            assert await wallet.get_balance() == Msat(1)
            assert wallet.service is None
    assert "no info event" in caplog.text


def test_neither_the_uri_nor_the_client_shows_the_secret() -> None:
    wallet = NwcClient(nwc_uri("ws://127.0.0.1:1"), net())
    assert CLIENT.hex() not in repr(wallet) + repr(wallet.uri)
    with pytest.raises(CodecError):
        NwcClient("nostr+walletconnect://00?secret=11", net())


# ---------------------------------------------------------------- budgets

BUDGET = {"used_budget": 5_000, "total_budget": 9_000, "renewal_period": "weekly", "renews_at": NOW + 60}


@pytest.mark.parametrize("stored", [[], [info_event("pay_invoice get_budget")]], ids=["no info event", "announced"])
async def test_a_budget_is_asked_of_who_announces_that_it_tells_or_announces_nothing(stored: list[Event]) -> None:
    async with hostile_relay(script(get_budget=BUDGET), stored=stored) as relay, client(relay) as wallet:
        assert await wallet.get_budget() == BudgetState(Budget.weekly(Msat(9_000)), Msat(5_000), NOW + 60)


async def test_a_wallet_that_does_not_announce_budgets_is_not_asked_for_one() -> None:
    async with (
        hostile_relay(script(), stored=[info_event("pay_invoice get_balance")]) as relay,
        client(relay) as wallet,
    ):
        with pytest.raises(KitestringError, match="does not announce get_budget") as caught:
            await wallet.get_budget()
        assert relay.requests == []
    assert caught.value.reason is Reason.UNSUPPORTED


async def test_a_wallet_that_knows_no_budgets_says_so_itself() -> None:
    answer = script(get_budget=("NOT_IMPLEMENTED", "unknown method"))
    async with hostile_relay(answer) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="the wallet refused: unknown method") as caught:
            await wallet.get_budget()
    assert caught.value.reason is Reason.UNSUPPORTED


# ---------------------------------------------------------------- keysend

#: To one times the base point, with the preimage of the samples.
SEND = keysend("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", sat(21), preimage=PREIMAGE)
SENDS = info_event("pay_keysend lookup_invoice")


async def test_a_key_is_paid_and_its_preimage_is_ours() -> None:
    answer = script(pay_keysend={"preimage": PREIMAGE, "fees_paid": 7})
    async with hostile_relay(answer, stored=[SENDS]) as relay, client(relay) as wallet:
        assert await wallet.pay_keysend(SEND) == Paid(PAYMENT_HASH, PREIMAGE, sat(21), Msat(7))
        assert relay.requests[0].members["params"]["preimage"] == PREIMAGE


async def test_a_wallet_that_does_not_announce_keysend_is_not_asked() -> None:
    async with hostile_relay(script(), stored=[info_event()]) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError) as caught:
            await wallet.pay_keysend(SEND)
        assert relay.requests == []
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (settled(), None),
        (settled(state="pending"), Reason.PAYMENT_IN_FLIGHT),
        (settled(state="failed"), Reason.PAYMENT_FAILED),
        (("NOT_FOUND", ""), Reason.PAYMENT_IN_FLIGHT),
    ],
)
async def test_after_a_lost_reply_the_state_of_its_record_decides_and_not_our_own_preimage(
    record: object, reason: Reason | None
) -> None:
    answer = script(pay_keysend=None, lookup_invoice=record)
    async with hostile_relay(answer, stored=[SENDS]) as relay, client(relay, IMPATIENT) as wallet:
        if reason is None:
            assert (await wallet.pay_keysend(SEND)).preimage == PREIMAGE
            return
        with pytest.raises(KitestringError) as caught:
            await wallet.pay_keysend(SEND)
    assert caught.value.reason is reason


# ---------------------------------------------------------------- several payments

#: Invoices of four samples: each has a preimage of its own.
SEVERAL = [sha256(b"several %d" % number).digest() for number in range(4)]
MANY = info_event("pay_invoice multi_pay_invoice lookup_invoice")


def orders(number: int = 3) -> list[PayInvoice]:
    texts = [invoice(payment_hash=sha256(preimage).hexdigest()) for preimage in SEVERAL[:number]]
    return [Payable(decoded, sat(21)).order() for decoded in map(bolt11.decode, texts)]


def proof(place: int) -> dict[str, object]:
    return {"preimage": SEVERAL[place].hex(), "fees_paid": place}


def response(request: Request, name: str | None, result: object = None, code: str = "") -> Event:
    error = {"code": code, "message": "no"} if code else None
    tags = [] if name is None else [["d", name]]
    return request.reply({"result_type": "multi_pay_invoice", "error": error, "result": result}, tags=tags)


def words(ends: list[Paid | KitestringError]) -> list[str]:
    return ["ok" if isinstance(end, Paid) else end.reason.value for end in ends]


async def test_several_go_in_one_request_and_each_is_answered_for_itself() -> None:
    def answer(request: Request) -> Iterable[Event]:
        if request.method == "lookup_invoice":
            return [request.result(error={"code": "NOT_FOUND", "message": ""})]
        return [
            response(request, "2", proof(2)), response(request, "1", code="PAYMENT_FAILED"),
            response(request, "7", proof(2)), response(request, "0", proof(0)), response(request, "0", code="OTHER"),
        ]  # fmt: skip

    async with hostile_relay(answer, stored=[MANY]) as relay, client(relay) as wallet:
        ends = await wallet.pay_many(orders())
        assert words(ends) == ["ok", "payment_failed", "ok"]
        assert [end.fee_msat for end in ends if isinstance(end, Paid)] == [0, 2]
        (asked,) = relay.requests
        assert asked.members == {
            "method": "multi_pay_invoice",
            "params": {
                "invoices": [{"id": str(n), "invoice": invoice_text(one.destination)} for n, one in enumerate(orders())]
            },
        }


@pytest.mark.parametrize(
    ("replies", "ends"),
    [
        ([(None, 0, ""), ("", 1, ""), ("x", 2, "")], ["ok", "ok", "ok"]),  # named otherwise, and proven all the same
        ([(None, None, "INSUFFICIENT_BALANCE")], ["insufficient_funds"] * 3),  # the whole request
        ([("x", None, "INSUFFICIENT_BALANCE"), ("0", 0, "")], ["ok", "payment_in_flight", "payment_in_flight"]),
        ([("0", 1, ""), ("1", 1, "")], ["payment_in_flight", "ok", "payment_in_flight"]),  # another one's proof
        ([], ["payment_in_flight"] * 3),
    ],
)
async def test_what_is_not_answered_by_its_name_is_proven_or_looked_up(
    replies: list[tuple[str | None, int | None, str]], ends: list[str]
) -> None:
    def answer(request: Request) -> Iterable[Event]:
        if request.method == "lookup_invoice":
            return [request.result(error={"code": "NOT_FOUND", "message": ""})]
        return [response(request, name, None if n is None else proof(n), code) for name, n, code in replies]

    async with hostile_relay(answer, stored=[MANY]) as relay, client(relay, IMPATIENT) as wallet:
        assert words(await wallet.pay_many(orders())) == ends


async def test_a_lost_answer_is_found_in_the_record_of_its_own_payment() -> None:
    def answer(request: Request) -> Iterable[Event]:
        if request.method != "lookup_invoice":
            return []
        place = [one.payment_hash for one in orders()].index(request.members["params"]["payment_hash"])
        record = settled(payment_hash=None, preimage=SEVERAL[0].hex() if place == 0 else None)
        return [request.result(record | {"state": ("settled", "failed", "pending")[place], "fees_paid": 9})]

    async with hostile_relay(answer, stored=[MANY]) as relay, client(relay, IMPATIENT) as wallet:
        ends = await wallet.pay_many(orders())
        assert words(ends) == ["ok", "payment_failed", "payment_in_flight"]
        again = await wallet.pay_many(orders())  # a failure of that date may now be the earlier one's
        assert words(again) == ["ok", "payment_in_flight", "payment_in_flight"]


async def test_where_one_request_for_several_is_not_announced_each_has_its_own() -> None:
    def answer(request: Request) -> Iterable[Event]:
        asked = request.members["params"]["invoice"]
        place = [invoice_text(one.destination) for one in orders()].index(asked)
        return [request.result(proof(place))]

    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        assert words(await wallet.pay_many(orders())) == ["ok"] * 3
        assert [request.method for request in relay.requests] == ["pay_invoice"] * 3
        assert await wallet.pay_many([]) == []


async def test_what_no_relay_can_carry_is_told_of_each_and_counts_as_never_asked() -> None:
    async with hostile_relay(script(), stored=[MANY]) as relay, client(relay) as wallet:
        error = KitestringError(Reason.UNAVAILABLE, "gone")

        async def fails(*_: object) -> None:
            raise error

        wallet._hear_of_each = fails  # type: ignore[method-assign,assignment]  # as a relay that hangs up
        assert await wallet.pay_many(orders()) == [error] * 3
        assert wallet._asked == {}
