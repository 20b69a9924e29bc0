"""The owner's commands about money: once per key, for what was asked, and an open end is never called failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from fractions import Fraction
from hashlib import sha256
from typing import Any

import pytest

from kitestring.app.owner.money import show_transaction
from kitestring.app.service.waiters import Waiters
from kitestring.base.budgets import Budget
from kitestring.base.commands import MakeInvoice
from kitestring.base.currency import ExchangeRate
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Direction, Refused, Transaction, TransactionState
from kitestring.codec.bolt11 import decode
from kitestring.codec.pointers import PriceType, encode
from kitestring.nostr.event import Event
from tests.kit.app.desk import RELAY, Office, open_office
from tests.kit.changed import replace
from tests.kit.client.hostile import HostileRelay, Request, hostile_relay, noffer
from tests.kit.clock import EPOCH
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life


async def pending(office: Office) -> str:
    """A payment whose end nobody knows; its hash."""
    office.node.deaf = True
    text = office.node.outside_bolt11(script=Script(answers=["lost"], settles_after_s=None))
    with pytest.raises(KitestringError, match="still under way"):
        await office.run("pay", target=text, wait_s=0)
    payment_hash = decode(text).payment_hash
    await office.has_state(payment_hash, "unknown")
    return payment_hash


async def test_what_was_priced_in_a_currency_is_shown_with_its_price_and_its_rate() -> None:
    rate = ExchangeRate.of_price("EUR", Fraction(97_012), EPOCH, ("one", "two"))
    bare = Transaction(Direction.INCOMING, TransactionState.SETTLED, "ab" * 32, sat(3608), Msat(0), EPOCH)
    row = show_transaction(replace(bare, rate=rate))
    assert row["price"] == "3.50 EUR at 1 BTC = 97,012 EUR"
    assert row["rate"] == {
        "currency": "EUR", "msat": rate.msat, "minor": rate.minor, "told_at": EPOCH, "sources": ["one", "two"],
    }  # fmt: skip
    assert (show_transaction(bare)["price"], show_transaction(bare)["rate"]) == (None, None)


# ------------------------------------------------------------ paying


async def test_an_invoice_is_paid_with_what_it_says(office: Office) -> None:
    text = office.node.outside_bolt11(script=Script(fee=1_005))
    result = await office.run("pay", target=f"lightning:{text.upper()}", max_fee_msat=2_000)
    assert (result["amount_msat"], result["fee_msat"], result["internal"]) == (50_000, 1_005, False)
    assert sha256(bytes.fromhex(result["preimage"])).hexdigest() == result["payment_hash"] == decode(text).payment_hash
    payment = await office.store.payment_by_hash(office.rig.context.node.node_id, result["payment_hash"])
    assert (payment.amount_msat, payment.fee_cap_msat, payment.destination) == (sat(50), Msat(2_000), Bolt11(text))


async def test_an_amountless_invoice_is_paid_with_the_given_amount(office: Office) -> None:
    text = office.node.outside_bolt11(None)
    result = await office.run("pay", target=text, amount_msat=9_000)
    payment = await office.store.payment_by_hash(office.rig.context.node.node_id, result["payment_hash"])
    assert (payment.amount_msat, payment.destination) == (Msat(9_000), Bolt11(text, True))


async def test_a_key_pays_once_and_gives_the_same_answer_ever_after(office: Office) -> None:
    text = office.node.outside_bolt11()
    answers = [await office.run("pay", target=text) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert len(office.node.sends) == 1


async def test_words_for_an_invoice_are_refused_and_nothing_is_claimed(office: Office) -> None:
    error = await office.refused("pay", target=office.node.outside_bolt11(), description="thanks")
    assert error.reason is Reason.MALFORMED
    assert "a description, payer data and NIP-69 are for offers" in error.message
    assert office.rig.store.applied == []


async def test_an_open_payment_is_pending_not_failed(office: Office) -> None:
    text = office.node.outside_bolt11(script=Script(settles_after_s=None))
    error = await office.refused("pay", target=text, wait_s=0)
    assert error.reason is Reason.PAYMENT_IN_FLIGHT
    assert error.details == {"payment_hash": decode(text).payment_hash}
    again = await office.refused("pay", target=text, wait_s=0)
    assert (again.reason, len(office.node.sends)) == (Reason.PAYMENT_IN_FLIGHT, 1)


async def test_a_refusal_keeps_its_reason_and_details(office: Office) -> None:
    await office.set_owner(budgets=(Budget.total(Msat(5_000)),))
    error = await office.refused("pay", target=office.node.outside_bolt11())
    assert (error.reason, error.details["limit_msat"]) == (Reason.OVER_BUDGET, 5_000)


async def test_a_key_that_was_used_for_an_invoice_pays_nothing(office: Office) -> None:
    await office.run("invoice", amount_msat=21_000)
    stored = office.rig.store.applied[-1].request
    office.rig.store.request = lambda _: _given(stored)
    assert (await office.refused("pay", target=office.node.outside_bolt11())).reason is Reason.ALREADY_USED
    assert office.node.sends == []


async def _given(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("target", "amount", "word"),
    [
        ("invoice", 51_000, "leave the amount out"),
        ("amountless", None, "how much to pay"),
        ("spontaneous", None, "how much to pay"),
        ("spontaneous", 1_500, "whole sats"),
        ("fixed", 6_000, "costs 5 sat"),
        ("npub1xxx", None, "cannot be read"),
        ("gibberish", None, "no invoice"),
        ("lnbc1qqqq", None, "cut off"),
    ],
)
async def test_what_cannot_be_paid_is_said_before_anything_is_claimed(
    office: Office, target: str, amount: int | None, word: str
) -> None:
    free = noffer(RELAY)
    targets = {
        "invoice": office.node.outside_bolt11(),
        "amountless": office.node.outside_bolt11(None),
        "spontaneous": encode(free),
        "fixed": encode(replace(free, price_type=PriceType.FIXED, price_sats=5)),
    }
    params = {} if amount is None else {"amount_msat": amount}
    assert word in (await office.refused("pay", target=targets.get(target, target), **params)).message
    assert office.rig.store.applied == []


# ------------------------------------------------------------ paying an offer


class Shop:
    """Somebody else's service behind a relay: it makes an invoice for each request."""

    def __init__(self, office: Office, relay: HostileRelay) -> None:
        self.office, self.relay, self.script = office, relay, Script()
        relay.script = self.answer

    def answer(self, request: Request) -> Iterable[Event]:
        text = self.office.node.outside_bolt11(1_000 * int(request.members["amount_sats"]), script=self.script)
        return [request.reply({"bolt11": text}, at=EPOCH)]

    def code(self, offer: str = "tips") -> str:
        return encode(noffer(self.relay.url, offer))


@pytest.fixture
async def shop(life: Life) -> AsyncIterator[Shop]:
    async with hostile_relay(lambda _: None) as relay, open_office(life, (relay.url,)) as opened:
        yield Shop(opened, relay)


async def test_a_repeated_payment_of_an_offer_asks_for_no_second_invoice(shop: Shop) -> None:
    first = await shop.office.run("pay", target=shop.code(), amount_msat=21_000)
    again = await shop.office.run("pay", target=shop.code(), amount_msat=21_000)
    assert first == again
    assert [request.members["amount_sats"] for request in shop.relay.requests] == [21]


async def test_of_the_same_payment_of_an_offer_twice_at_once_one_invoice_is_paid_and_both_name_its_hash(
    shop: Shop,
) -> None:
    shop.script = Script(settles_after_s=None)
    asked: dict[str, Any] = {"target": shop.code(), "amount_msat": 21_000, "wait_s": 0}
    both = [await one for one in [asyncio.create_task(shop.office.refused("pay", **asked)) for _ in range(2)]]
    assert len(shop.relay.requests) == 2, "each has asked for an invoice before the other was claimed"
    (sent,) = shop.office.node.sends
    assert {error.reason for error in both} == {Reason.PAYMENT_IN_FLIGHT}
    assert {error.details.get("payment_hash", sent) for error in both} == {sent}
    again = await shop.office.refused("pay", **asked)
    assert again.details == {"payment_hash": sent}


async def test_of_two_orders_with_one_key_at_once_the_second_is_not_told_of_the_first_as_its_own(shop: Shop) -> None:
    orders = [{"target": shop.code(), "amount_msat": sats * 1_000} for sats in (21, 22)]
    ends = await asyncio.gather(*(shop.office.run("pay", **one) for one in orders), return_exceptions=True)
    (refused,) = (end for end in ends if isinstance(end, KitestringError))
    assert (refused.reason, len(shop.office.node.sends)) == (Reason.ALREADY_USED, 1)


async def test_what_was_seen_of_an_offer_is_paid_without_asking_its_service_again(shop: Shop) -> None:
    asked: dict[str, Any] = {"target": shop.code(), "amount_msat": 21_000}
    seen = await shop.office.run("pay_preview", **asked)
    assert (seen["kind"], seen["amount_msat"], "tips" in seen["payee"]) == ("offer", 21_000, True)
    paid = await shop.office.run("pay", **asked, bolt11=seen["bolt11"])
    assert (paid["payment_hash"], len(shop.relay.requests)) == (seen["payment_hash"], 1)
    assert await shop.office.run("pay", **asked) == paid  # the same order, whatever was seen of it
    other = shop.office.node.outside_bolt11(22_000)
    beyond = await shop.office.refused("pay", "k2", **asked, bolt11=other)
    assert (beyond.reason, len(shop.office.node.sends)) == (Reason.AMOUNT_OUT_OF_RANGE, 1)


@pytest.mark.parametrize("changed", [{"amount_msat": 22_000}, {"max_fee_msat": 1}, {"target": "other"}])
async def test_a_key_pays_one_thing_only(shop: Shop, changed: dict[str, Any]) -> None:
    await shop.office.run("pay", target=shop.code(), amount_msat=21_000)
    asked: dict[str, Any] = {"target": shop.code(), "amount_msat": 21_000, **changed}
    if "target" in changed:
        asked["target"] = shop.code("other")
    assert (await shop.office.refused("pay", **asked)).reason is Reason.ALREADY_USED
    assert len(shop.office.node.sends) == 1


async def test_an_amount_in_a_currency_is_the_same_order_whatever_it_is_worth_when_it_is_repeated(shop: Shop) -> None:
    asked: dict[str, Any] = {"target": shop.code(), "currency": "EUR", "amount_minor": 450}
    first = await shop.office.run("pay", **asked, amount_msat=21_000)
    assert await shop.office.run("pay", **asked, amount_msat=20_900) == first
    assert (await shop.office.run("pay_preview", **asked, amount_msat=20_900, key="k1"))["is_repeated"]
    other = {**asked, "amount_minor": 451, "amount_msat": 21_000}
    assert (await shop.office.refused("pay", **other)).reason is Reason.ALREADY_USED
    assert (await shop.office.refused("pay", target=shop.code(), amount_msat=21_000)).reason is Reason.ALREADY_USED
    assert len(shop.office.node.sends) == 1


async def test_what_an_offer_is_told_is_kept_as_a_hash_and_is_part_of_the_order(shop: Shop) -> None:
    bob: dict[str, Any] = {"target": shop.code(), "amount_msat": 21_000, "payer_data": {"name": "Bob"}, "nip69": True}
    first = await shop.office.run("pay", **bob)
    assert await shop.office.run("pay", **bob) == first
    for changed in ({"payer_data": {"name": "Eve"}}, {"nip69": False}, {"max_amount_msat": 21_000}):
        assert (await shop.office.refused("pay", **{**bob, **changed})).reason is Reason.ALREADY_USED
    (request,) = shop.relay.requests
    assert (request.members["payer_data"], request.members["amount"]) == ({"name": "Bob"}, 21)
    payment = await shop.office.store.payment_by_hash(shop.office.rig.context.node.node_id, first["payment_hash"])
    assert "Bob" not in payment.metadata
    assert "payer_data_hash" in payment.metadata


async def test_the_owner_pays_no_more_than_the_most_that_they_named(shop: Shop) -> None:
    asked = {"target": shop.code(), "amount_msat": 21_000}
    refused = await shop.office.refused("pay", "k1", **asked, max_amount_msat=20_999)
    assert (refused.reason, shop.office.node.sends) == (Reason.AMOUNT_OUT_OF_RANGE, [])
    assert (await shop.office.run("pay", "k2", **asked, max_amount_msat=21_000))["amount_msat"] == 21_000


# ------------------------------------------------------------ being paid


async def test_an_invoice_is_made_once_per_key(office: Office) -> None:
    made = await office.run("invoice", amount_msat=21_000, description="tea", expiry_s=600)
    assert (made["type"], made["state"], made["account"], made["connection_id"]) == (
        "incoming", "pending", "owner", None,
    )  # fmt: skip
    assert (made["amount_msat"], made["description"], made["expires_at"]) == (21_000, "tea", EPOCH + 600)
    asked = {"amount_msat": 21_000, "description": "tea", "expiry_s": 600}
    assert await office.run("invoice", **asked) == made
    assert (await office.refused("invoice", **{**asked, "amount_msat": 22_000})).reason is Reason.ALREADY_USED
    assert len(await office.store.invoices(InvoiceState.OPEN)) == 1


async def test_what_an_app_has_paid_or_asked_for_is_listed_under_the_name_of_its_connection(office: Office) -> None:
    shop = await office.run("connect", name="my shop")
    command = MakeInvoice(amount_msat=Msat(21_000))
    await office.desk.make_invoice("r1", shop["connection_id"], command, 5)
    own = await office.run("invoice", "k2", amount_msat=22_000)
    listed = (await office.run("transactions", unpaid=True))["transactions"]
    assert {row["amount_msat"]: row["connection"] for row in listed} == {21_000: "my shop", 22_000: None}
    assert (await office.run("lookup", payment_hash=own["payment_hash"]))["connection"] is None
    (of_app,) = [row for row in listed if row["connection"]]
    assert (await office.run("lookup", payment_hash=of_app["payment_hash"]))["connection"] == "my shop"


async def test_a_description_is_measured_in_the_bytes_of_an_invoice_and_the_node_is_not_blamed(office: Office) -> None:
    error = await office.refused("invoice", amount_msat=21_000, description="🫖" * 200)
    assert (error.reason, error.message) == (
        Reason.MALFORMED, "the description has 800 bytes, and an invoice carries at most 639",
    )  # fmt: skip
    made = await office.run("invoice", amount_msat=21_000, description="🫖" * 159)
    assert made["description"] == "🫖" * 159
    assert (await office.run("invoice", "k2", amount_msat=1_000, description="a\x1b\nb"))["description"] == "a b"


async def test_an_invoice_that_the_node_could_not_receive_is_not_made_and_the_most_is_said(office: Office) -> None:
    most = int(await office.desk.receivable())
    assert (await office.run("invoice", amount_msat=most))["amount_msat"] == most
    beyond = await office.refused("invoice", "k2", amount_msat=most + 1)
    assert (beyond.reason, beyond.details) == (Reason.AMOUNT_OUT_OF_RANGE, {"receivable_msat": most})
    assert "the node can receive at most" in beyond.message
    assert len(await office.store.invoices(InvoiceState.OPEN)) == 1


async def test_a_node_that_is_away_makes_no_invoice_and_it_is_said_why(office: Office) -> None:
    office.node.offline = True
    error = await office.refused("invoice", amount_msat=21_000)
    assert (error.reason, "switched off" in error.message) == (Reason.UNAVAILABLE, True)


@pytest.mark.parametrize(
    ("command", "asked", "other"),
    [
        ("invoice", {"amount_msat": 21_000}, {"amount_msat": 22_000}),
        ("pay", {}, {"max_fee_msat": 7}),
        ("keysend", {"amount_msat": 9_000}, {"amount_msat": 8_000}),
        ("hold_create", {"amount_msat": 21_000}, {"amount_msat": 22_000}),
        ("hold_cancel", {"payment_hash": "ab" * 32}, {"payment_hash": "cd" * 32}),
        ("hold_settle", {"payment_hash": "ab" * 32}, {"payment_hash": "cd" * 32}),
    ],
)
async def test_a_key_that_was_refused_is_refused_in_the_same_words_and_is_good_for_nothing_else(
    office: Office, command: str, asked: dict[str, Any], other: dict[str, Any]
) -> None:
    target: dict[str, Any] = {"pay": {"target": office.node.outside_bolt11()}}.get(command, {})
    target |= {"pubkey": office.node.outside_key()} if command == "keysend" else {}
    office.node.offline = True
    await office.set_owner(budgets=(Budget.total(Msat(5_000)),))
    first = await office.refused(command, **target, **asked)
    office.node.offline = False
    again = await office.refused(command, **target, **asked)
    assert (again.reason, again.message, again.details) == (first.reason, first.message, first.details)
    assert (await office.refused(command, **target, **{**asked, **other})).reason is Reason.ALREADY_USED
    assert office.node.sends == []


async def test_a_second_key_for_what_is_paid_is_told_so_as_often_as_it_is_asked(office: Office) -> None:
    text = office.node.outside_bolt11()
    paid = await office.run("pay", target=text)
    assert (paid["already_paid"], paid["created_at"]) == (False, EPOCH)
    before = {**paid, "already_paid": True}
    assert [await office.run("pay", "k2", target=text) for _ in range(2)] == [before, before]
    assert await office.run("pay", target=text) == paid
    assert (await office.refused("pay", "k2", target=text, max_fee_msat=7)).reason is Reason.ALREADY_USED
    assert len(office.node.sends) == 1


async def test_an_invoice_that_takes_too_long_is_not_there_yet_and_comes_with_the_same_key(office: Office) -> None:
    desk = office.desk
    office.desk = replace(desk, waiters=Waiters())  # who hears of no answer
    late = await office.refused("invoice", amount_msat=21_000, wait_s=0)
    assert (late.reason, "not made the invoice yet" in late.message) == (Reason.UNAVAILABLE, True)
    office.desk = desk
    await office.run("invoice", amount_msat=21_000)
    assert len(await office.store.invoices(InvoiceState.OPEN)) == 1


# ------------------------------------------------------------ looking


async def test_the_balance_says_when_the_node_cannot_be_asked(office: Office) -> None:
    await office.run("account_create", name="bob")
    await office.run("account_fund", "k2", account="bob", amount_msat=7_000)
    told = await office.run("balance")
    assert (told["balance_msat"], told["unknown_because"]) == (1_000_000_000 - 7_000, None)
    assert [row["available_msat"] for row in told["accounts"]] == [7_000]
    office.node.offline = True
    told = await office.run("balance")
    assert (told["balance_msat"], "switched off" in told["unknown_because"]) == (None, True)
    await office.set_owner(methods=frozenset({"spend"}))
    assert (await office.refused("balance")).reason is Reason.NOT_PERMITTED


async def test_the_service_and_its_node_show_who_they_are_and_what_is_going_on(office: Office) -> None:
    payment_hash = await pending(office)
    shown = await office.run("info")
    assert (shown["service_pubkey"], shown["relays"]) == (office.desk.service_id, [RELAY])
    assert (shown["alias"], shown["network"], shown["node_pubkey"]) == ("faulty", "regtest", "02" + "ab" * 32)
    assert (shown["spent_msat"], shown["pending_msat"], shown["spending_stopped"]) == (0, 60_000, None)
    office.node.deaf = False
    office.node.release(payment_hash)


# ------------------------------------------------------------ the operator's word


async def test_only_a_payment_of_unknown_outcome_is_resolved_by_its_id_or_its_hash(office: Office) -> None:
    text = office.node.outside_bolt11(script=Script(settles_after_s=None))
    await office.refused("pay", "k0", target=text, wait_s=0)
    for name in (decode(text).payment_hash, "no such payment"):
        assert (await office.refused("payment_resolve", payment=name, note="why")).reason is Reason.UNKNOWN_TARGET
    payment_hash = await pending(office)
    told = await office.run("payment_resolve", payment=payment_hash, note="the channel is gone")
    assert (told["payment_hash"], told["amount_msat"], told["state"]) == (payment_hash, 50_000, "resolved")
    again = await office.run("payment_resolve", "k2", payment=told["payment_id"], note="again")
    assert again == told
    assert (await office.store.payment(told["payment_id"])).evidence == "the channel is gone"


async def test_of_two_words_about_one_payment_at_the_same_time_the_second_finds_the_first(office: Office) -> None:
    payment_hash = await pending(office)
    payment = await office.store.payment_by_hash(office.rig.context.node.node_id, payment_hash)
    asked = (office.run("payment_resolve", key, payment=payment.payment_id, note=key) for key in ("one", "two"))
    first, second = await asyncio.gather(*asked)
    assert (first["state"], second) == ("resolved", {name: first[name] for name in second})
    assert (await office.store.payment(payment.payment_id)).evidence == "one"


async def test_a_refusal_of_the_engine_is_told_as_one_and_not_as_an_unknown_balance(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> Refused:
        return Refused(Reason.CONNECTION_ENDED)

    monkeypatch.setattr(office.rig.engine, "ask", refuse)
    assert (await office.refused("balance")).reason is Reason.CONNECTION_ENDED


# ------------------------------------------------------------ looking one up


async def test_an_invoice_and_a_payment_are_found_by_their_hash_in_either_case(office: Office) -> None:
    made = await office.run("invoice", amount_msat=5_000, description="tea")
    found = await office.run("lookup", payment_hash=made["payment_hash"].upper())
    assert (found["type"], found["state"], found["amount_msat"]) == ("incoming", "pending", 5_000)
    paid = await office.run("pay", target=office.node.outside_bolt11(script=Script(fee=5)))
    found = await office.run("lookup", payment_hash=paid["payment_hash"])
    assert (found["type"], found["state"], found["preimage"]) == ("outgoing", "settled", paid["preimage"])


async def test_an_invoice_past_its_time_may_still_be_paid_and_what_is_not_there_is_told_so(office: Office) -> None:
    made = await office.run("invoice", amount_msat=5_000, expiry_s=60)
    office.rig.clock.advance(61)
    assert (await office.run("lookup", payment_hash=made["payment_hash"]))["state"] == "pending", "nobody has said so"
    with pytest.raises(KitestringError) as caught:
        await office.run("lookup", payment_hash="00" * 32)
    assert caught.value.reason is Reason.UNKNOWN_TARGET
    with pytest.raises(KitestringError, match="64 hexadecimal digits"):
        await office.run("lookup", payment_hash="00")
