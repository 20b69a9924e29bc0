"""A NWC client: ciphers, methods, and payments whose reply is lost, late, false or unclear."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import CodecError, Exit, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Paid
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.client.net import Waits
from kitestring.client.nwc import NwcClient
from kitestring.client.session import CLOCKS_S
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
from tests.kit.clock import NOW
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
    ],
)
async def test_a_plain_refusal_stands_and_keeps_the_wallets_words(code: str, reason: Reason) -> None:
    error = await refused(script(pay_invoice=(code, "not today")), PATIENT)
    assert error.reason is reason
    assert error.details["code"] == code
    assert "not today" in error.message


@pytest.mark.parametrize("code", ["INTERNAL", "OTHER", "SOMETHING_NEW"])
async def test_an_unclear_refusal_is_checked_against_the_record(code: str) -> None:
    paid = await paying(script(pay_invoice=(code, "timeout"), lookup_invoice=SETTLED), PATIENT)
    assert paid.preimage == PREIMAGE
    pending = settled(state="pending", preimage=None, settled_at=None)
    error = await refused(script(pay_invoice=(code, "timeout"), lookup_invoice=pending), PATIENT)
    assert error.reason is Reason.PAYMENT_IN_FLIGHT
    error = await refused(script(pay_invoice=(code, "timeout"), lookup_invoice=("NOT_FOUND", "")), PATIENT)
    assert error.reason in {Reason.INTERNAL, Reason.MALFORMED}


@pytest.mark.parametrize(("code", "reason"), [("OTHER", Reason.MALFORMED), ("INTERNAL", Reason.PAYMENT_IN_FLIGHT)])
@pytest.mark.parametrize(
    "record",
    [settled(type="incoming"), settled(state="failed", preimage=None, settled_at=None, created_at=NOW - 1)],
    ids=["own invoice", "failed before"],
)
async def test_a_record_of_something_else_does_not_decide_about_an_unclear_refusal(
    code: str, reason: Reason, record: object
) -> None:
    error = await refused(script(pay_invoice=(code, "hm"), lookup_invoice=record), PATIENT)
    assert error.reason is reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [("OTHER", Reason.MALFORMED), ("INTERNAL", Reason.PAYMENT_IN_FLIGHT), ("NEW", Reason.PAYMENT_IN_FLIGHT)],
)
async def test_an_unclear_refusal_without_a_record_is_final_only_where_the_code_says_so(
    code: str, reason: Reason
) -> None:
    answer = script(pay_invoice=(code, "hm"), lookup_invoice=("RESTRICTED", "not yours"))
    assert (await refused(answer, PATIENT)).reason is reason


# ---------------------------------------------------------------- the record of a payment


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        (SETTLED, Settled(PREIMAGE, Msat(7))),
        (settled(state="failed", preimage=None), Failed("its record says failed", attempt_at=NOW)),
        (settled(state="failed", preimage=None, created_at=None), Failed("its record says failed")),
        (settled(state="pending", preimage=None, settled_at=None), InFlight()),
        (settled(state="expired", preimage=None, settled_at=None), InFlight()),
        (settled(preimage=None), InFlight()),
        (settled(preimage="44" * 32), InFlight()),
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
