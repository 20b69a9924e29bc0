"""Several payments in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

import pytest

from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import invoice_text
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.base.outcomes import Paid
from kitestring.client import session
from kitestring.client.payable import Payable
from kitestring.client.session import NothingSentError
from kitestring.codec import bolt11
from kitestring.nostr.event import Event
from tests.kit.client.hostile import IMPATIENT, Request, hostile_relay, info_event
from tests.kit.client.nwc import client, script, settled
from tests.kit.clock import PATIENCE_S
from tests.kit.codec.invoices import invoice

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

        wallet._paying._hear_of_each = fails  # type: ignore[method-assign,assignment]  # as a relay that hangs up
        assert await wallet.pay_many(orders()) == [error] * 3
        assert wallet._paying._attempts._open == {}


async def test_what_no_relay_can_carry_leaves_an_earlier_order_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = iter((None, ("QUOTA_EXCEEDED", "the first one holds it")))
    payment_hash = orders()[0].payment_hash

    def answer(request: Request) -> Iterable[Event]:
        said = next(replies) if request.method == "pay_invoice" else settled(
            state="pending", preimage=None, settled_at=None, payment_hash=payment_hash
        )  # fmt: skip
        return script(**{request.method: said})(request)

    async def is_away(*_: object) -> None:
        raise NothingSentError(Reason.UNAVAILABLE, "no relay")

    async with hostile_relay(answer, stored=[MANY]) as relay, client(relay, IMPATIENT) as wallet:
        with pytest.raises(KitestringError):
            await wallet.pay(orders()[0])
        with monkeypatch.context() as away:
            away.setattr(session, "reach", is_away)
            assert words(await wallet.pay_many(orders())) == ["unavailable"] * 3
            with pytest.raises(NothingSentError):
                await wallet.pay(orders()[0])
        with pytest.raises(KitestringError) as refused:
            await wallet.pay(orders()[0])
    assert refused.value.reason is Reason.PAYMENT_IN_FLIGHT


async def test_a_failure_without_a_name_is_that_of_the_payments_whose_records_do_not_say_otherwise() -> None:
    """The wallet answers each for itself, and names none."""
    places = {one.payment_hash: place for place, one in enumerate(orders())}

    def answer(request: Request) -> Iterable[Event]:
        if request.method == "lookup_invoice":
            payment_hash = request.members["params"]["payment_hash"]
            place = places[payment_hash]
            if not place:
                return [request.result(error={"code": "NOT_FOUND", "message": ""})]
            return [request.result(settled(payment_hash=payment_hash, preimage=SEVERAL[place].hex()))]
        failed = response(request, None, code="PAYMENT_FAILED")
        return [failed, response(request, None, proof(1)), response(request, None, proof(2))]

    async with hostile_relay(answer, stored=[MANY]) as relay, client(relay, IMPATIENT) as wallet:
        assert words(await wallet.pay_many(orders())) == ["payment_failed", "ok", "ok"]


async def test_the_time_that_is_given_bounds_the_looks_too_and_what_is_open_then_is_in_flight() -> None:
    waits = replace(IMPATIENT, read_s=3_600)
    async with (
        hostile_relay(script(multi_pay_invoice=None, lookup_invoice=None), stored=[MANY]) as relay,
        client(relay, waits) as wallet,
        asyncio.timeout(PATIENCE_S),
    ):
        ends = await wallet.pay_many(orders(), timeout_s=0.4)
    assert words(ends) == ["payment_in_flight"] * 3
