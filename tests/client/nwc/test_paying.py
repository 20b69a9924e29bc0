"""Payments whose reply is lost, late, false or unclear."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Paid
from kitestring.client.clocks import CLOCKS_S
from kitestring.client.net import Waits
from kitestring.codec.keysend import keysend
from kitestring.nostr.event import Event
from tests.kit.client.hostile import IMPATIENT, PATIENT, Request, hostile_relay, info_event
from tests.kit.client.nwc import SETTLED, client, paying, refused, script, settled
from tests.kit.clock import NOW, PATIENCE_S
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice


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


@pytest.mark.parametrize("said", [None, ("INTERNAL", "out of order")], ids=["lost", "unclear"])
async def test_the_time_that_is_given_bounds_the_looks_too_and_what_is_open_then_is_in_flight(
    said: object,
) -> None:
    answer = script(pay_invoice=said, lookup_invoice=None)
    waits = replace(IMPATIENT, lookup_pauses_s=(0, 3_600), read_s=3_600, recheck_s=3_600)
    async with (
        hostile_relay(answer, stored=[info_event()]) as relay,
        client(relay, waits) as wallet,
        asyncio.timeout(PATIENCE_S),
    ):
        with pytest.raises(KitestringError) as caught:
            await wallet.pay_invoice(invoice(), timeout_s=0.4)
        assert [request.method for request in relay.requests] == ["pay_invoice", "lookup_invoice"]
    assert (caught.value.reason, caught.value.details["payment_hash"]) == (Reason.PAYMENT_IN_FLIGHT, PAYMENT_HASH)


async def test_a_record_is_looked_at_within_the_time_that_is_given() -> None:
    answer = script(pay_invoice=None, lookup_invoice=SETTLED)
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, IMPATIENT) as wallet:
        assert (await wallet.pay_invoice(invoice(), timeout_s=2.0)).preimage == PREIMAGE


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
    """It is told at once, where nothing shows that another program's order is under way."""
    error = await refused(script(pay_invoice=(code, "not today"), lookup_invoice=("NOT_FOUND", "")), PATIENT)
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


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (settled(state="pending", preimage=None, settled_at=None), Reason.PAYMENT_IN_FLIGHT),
        (None, Reason.PAYMENT_IN_FLIGHT),
        (settled(), None),
        (settled(state="failed", preimage=None), Reason.PAYMENT_FAILED),
        (("RESTRICTED", "no look-ups"), Reason.PAYMENT_FAILED),
    ],
    ids=["under way", "silent", "paid", "failed", "not shown"],
)
async def test_a_second_order_that_is_called_failed_has_not_failed_where_the_record_of_both_says_otherwise(
    record: object, reason: Reason | None
) -> None:
    """Wallets say PAYMENT_FAILED of an invoice that they are paying already."""
    replies = iter((None, ("PAYMENT_FAILED", "it is being paid already")))
    records = iter((settled(state="pending", preimage=None, settled_at=None),))

    def answer(request: Request) -> Iterable[Event]:
        said = next(replies) if request.method == "pay_invoice" else next(records, record)
        return script(**{request.method: said})(request)

    waits = replace(IMPATIENT, lookup_pauses_s=(0,))
    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, waits) as wallet:
        with pytest.raises(KitestringError) as first:
            await wallet.pay_invoice(invoice())
        assert first.value.reason is Reason.PAYMENT_IN_FLIGHT
        if reason is None:
            assert (await wallet.pay_invoice(invoice())).preimage == PREIMAGE
            return
        with pytest.raises(KitestringError) as second:
            await wallet.pay_invoice(invoice())
        assert second.value.reason is reason


async def test_a_refusal_does_not_hide_an_order_of_the_same_hash_that_was_given_meanwhile() -> None:
    """The wallet refuses the first while the second is under way; a third is refused for what that one holds."""
    no = {"code": "QUOTA_EXCEEDED", "message": "no"}
    asked: list[Request] = []

    def answer(request: Request) -> Iterable[Event]:
        if request.method == "lookup_invoice":
            return [request.result(settled(state="pending", preimage=None, settled_at=None))]
        asked.append(request)
        refused = {1: [], 2: asked[:1]}.get(len(asked), [request])
        return [one.result(error=no) for one in refused]

    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay, IMPATIENT) as wallet:
        both = await asyncio.gather(*(wallet.pay_invoice(invoice()) for _ in range(2)), return_exceptions=True)
        with pytest.raises(KitestringError) as third:
            await wallet.pay_invoice(invoice())
    reasons = {end.reason for end in both if isinstance(end, KitestringError)}
    assert reasons == {Reason.PAYMENT_IN_FLIGHT}, "of whichever order the record is"
    assert third.value.reason is Reason.PAYMENT_IN_FLIGHT


@pytest.mark.parametrize("code", ["QUOTA_EXCEEDED", "INSUFFICIENT_BALANCE"])
async def test_what_an_order_of_another_program_holds_is_no_refusal_of_its_payment(code: str) -> None:
    """Each run of a command is a program of its own."""
    replies = iter((None, (code, "the first one holds it")))
    record = settled(state="pending", preimage=None, settled_at=None)

    def answer(request: Request) -> Iterable[Event]:
        said = next(replies) if request.method == "pay_invoice" else record
        return script(**{request.method: said})(request)

    async with hostile_relay(answer, stored=[info_event()]) as relay:
        for _ in range(2):
            async with client(relay, IMPATIENT) as wallet:
                with pytest.raises(KitestringError) as caught:
                    await wallet.pay_invoice(invoice())
            assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT


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


async def test_an_answer_to_a_payment_that_cannot_be_read_is_followed_by_a_look_at_once() -> None:
    def answer(request: Request) -> Iterable[Event]:
        return [request.reply("hello") if request.method == "pay_invoice" else request.result(SETTLED)]

    async with asyncio.timeout(PATIENCE_S):
        assert (await paying(answer, Waits(pay_s=3_600, unread_s=0.05))).preimage == PREIMAGE


async def test_a_wallet_whose_clock_is_ahead_has_as_long_for_a_payment_as_any() -> None:
    def answer(request: Request) -> Iterable[Event]:
        known: dict[str, object] = {"get_balance": {"balance": -1_500}, "pay_invoice": {"preimage": PREIMAGE}}
        return [request.reply({"result": known[request.method]}, at=NOW + 600)]

    async with hostile_relay(answer, stored=[info_event()]) as relay, client(relay) as wallet:
        assert await wallet.get_balance() == Msat(-1_500)
        await wallet.pay_invoice(invoice(), timeout_s=20)
        tags = relay.requests[-1].event.tags
    assert ["expiration", str(NOW + 20 + CLOCKS_S + 600)] in tags


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
    assert ("do not send it again" in caught.value.message) == (reason is Reason.PAYMENT_IN_FLIGHT)
