"""The rules of Nostr Wallet Connect that hold whatever clients and relays do, on the whole service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kitestring.codec import bolt11
from kitestring.nostr.event import MAX_OUTGOING_EVENT_BYTES, encode_event, first_tag
from tests.kit.app.house import House
from tests.kit.clock import virtual
from tests.kit.engine.node import Script

#: Requests of one connection in one moment, and what it is served of them by the settings.
FLOOD, A_MINUTE = 10_000, 600
WEEK_S = 7 * 86_400


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def invoice(house: House, **more: Any) -> str:
    text: str = house.node.outside_bolt11(amount_msat=10_000, script=Script(**more))
    return text


def test_ten_thousand_requests_at_once_are_limited_and_harm_nobody_else(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            await service.account("purse", 1_000_000)
            flood = await service.connect("flood", account="purse", methods=["get_balance"])
            other = await service.connect("other", account="purse", budget_msat=500_000)
            events = [flood.send("get_balance") for _ in range(FLOOD)]
            paying = other.pay(invoice(house))
            began = house.clocks.service.monotonic()
            assert await other.answer(paying) == "ok"
            assert house.clocks.service.monotonic() - began < 5
            await house.clocks.service.sleep(30)
            codes = [flood.code(event) for event in events]
            assert 0 < codes.count("ok") <= A_MINUTE + A_MINUTE // 2
            assert 0 < codes.count("RATE_LIMITED") <= 12
            assert set(codes) == {"ok", "RATE_LIMITED", ""}
            await house.clocks.service.sleep(120)
            assert [flood.code(event) for event in events] == codes  # nothing is carried out later
            assert await flood.answer(flood.send("get_balance")) == "ok"
        assert house.violations() == []

    story(House(tmp_path))


def test_a_copy_from_each_of_three_relays_and_one_a_week_later_pay_once_and_get_the_same_answer(
    tmp_path: Path,
) -> None:
    @virtual
    async def story(house: House) -> None:
        text = invoice(house, settles_after_s=2.0)
        async with house.service() as service:
            await service.account("purse", 1_000_000)
            app = await service.connect("app", account="purse", budget_msat=500_000)
            paying = app.request("pay_invoice", {"invoice": text})
            for relay in ("ws://a", "ws://b", "ws://c"):
                service.core.gateway.receive(paying, relay)
            told = await app.first(paying)
            await asyncio.sleep(5)
            assert all(reply == told for reply in app.replies(paying))
        for clock in ("service", "app", "node"):
            house.clocks.step(clock, WEEK_S - 60)
        async with house.service() as service:
            before = len(app.replies(paying))
            app.publish(paying)
            await asyncio.sleep(5)
            assert app.replies(paying)[before:] == [told]
            await asyncio.sleep(120)
            service.core.gateway.receive(paying, "ws://a")  # older than a week: passed over, and not carried out
            await asyncio.sleep(5)
            assert app.replies(paying)[before:] == [told]
            assert await service.available("purse") == 1_000_000 - 11_000
        assert house.node.times_paid() == [bolt11.decode(text).payment_hash]
        assert house.violations() == []

    story(House(tmp_path))


def test_no_connection_is_shown_anything_of_another_one_on_the_same_account(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            await service.account("purse", 1_000_000)
            mine = {"account": "purse", "budget_msat": 500_000, "show_history": "own"}
            one, two = await service.connect("one", **mine), await service.connect("two", **mine)
            text = invoice(house)
            assert await one.answer(one.pay(text)) == "ok"
            made = (await one.first(one.send("make_invoice", {"amount": 5_000})))["result"]
            for wanted in (bolt11.decode(text).payment_hash, made["payment_hash"]):
                assert await two.answer(two.send("lookup_invoice", {"payment_hash": wanted})) == "NOT_FOUND"
                assert await one.answer(one.send("lookup_invoice", {"payment_hash": wanted})) == "ok"
            listed = (await two.first(two.send("list_transactions", {"unpaid": True})))["result"]
            assert (listed["transactions"], listed["total_count"]) == ([], 0)
            again = await two.first(two.pay(text))
            assert (again["error"]["code"], again["result"]) == ("OTHER", None)
            assert "preimage" not in str(again)

    story(House(tmp_path))


def test_who_is_shown_the_account_sees_what_others_did_there_and_gets_no_result_of_theirs(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            await service.account("purse", 1_000_000)
            await service.account("other", 1_000_000)
            one = await service.connect("one", account="purse", budget_msat=500_000)
            two = await service.connect("two", account="purse", budget_msat=500_000)
            stranger = await service.connect("stranger", account="other", budget_msat=500_000)
            text = invoice(house)
            paid = bolt11.decode(text).payment_hash
            assert await one.answer(one.pay(text)) == "ok"
            made = (await one.first(one.send("make_invoice", {"amount": 5_000})))["result"]["payment_hash"]
            for wanted in (paid, made):
                assert await two.answer(two.send("lookup_invoice", {"payment_hash": wanted})) == "ok"
                assert await stranger.answer(stranger.send("lookup_invoice", {"payment_hash": wanted})) == "NOT_FOUND"
            listed = (await two.first(two.send("list_transactions", {"unpaid": True})))["result"]
            assert {row["payment_hash"] for row in listed["transactions"]} == {paid, made}
            again = await two.first(two.pay(text))
            assert (again["error"]["code"], again["result"]) == ("OTHER", None)
            await house.clocks.app.sleep(5)
            told = [(name, row["payment_hash"]) for app in (one, two) for name, row in app.notifications()]
            assert told == [("payment_sent", paid)] * 2
            assert stranger.notifications() == []
        assert house.violations() == []

    story(House(tmp_path))


def test_metadata_that_is_too_long_is_dropped_and_a_long_list_fits_into_one_event(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            await service.account("purse", 0)
            app = await service.connect("app", account="purse", methods=["make_invoice", "list_transactions"])
            long = app.send("make_invoice", {"amount": 5_000, "metadata": {"comment": "x" * 5_000}})
            assert "metadata" not in (await app.first(long))["result"]
            for _ in range(50):
                params = {"amount": 5_000, "description": "d" * 600, "metadata": {"comment": "x" * 4_000}}
                assert (await app.first(app.send("make_invoice", params)))["result"]["metadata"]
            listing = app.send("list_transactions", {"unpaid": True, "limit": 50})
            listed = (await app.first(listing))["result"]
            assert 0 < len(listed["transactions"]) < 50
            assert listed["total_count"] == 51
            (reply,) = [event for event in house.relay.events if first_tag(event, "e") == listing.id]
            assert len(encode_event(reply)) <= MAX_OUTGOING_EVENT_BYTES

    story(House(tmp_path))
