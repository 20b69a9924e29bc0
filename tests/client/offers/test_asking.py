"""Asking an offer for an invoice: what is accepted, what is refused, moves and receipts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.client.offers.asking import AskedOffer, JudgedReceipt, OfferQuestion, ask_offer
from kitestring.codec import bech32, pointers, tlv
from kitestring.codec.pointers import Noffer
from kitestring.nostr.event import Event, encode_event
from kitestring.nostr.filter import Filter
from kitestring.nostr.work import MAX_WORK_BITS, work_bits
from kitestring.relay.server import Relay
from kitestring.wire.clink import CLINK_VERSION
from tests.kit.chance import entropy
from tests.kit.client.hostile import (
    CLOCK,
    IMPATIENT,
    PATIENT,
    SERVICE,
    STRANGER,
    HostileRelay,
    Request,
    hostile_relay,
    net,
    noffer,
    pool,
    read_request,
)
from tests.kit.clock import NOW, PATIENCE_S
from tests.kit.codec.invoices import PREIMAGE, invoice
from tests.kit.vectors import load

OBSERVED = load("lightning_pub_offers.json")["replies"]


def answering(*replies: dict[str, object]) -> Callable[[Request], Iterable[Event]]:
    return lambda request: [request.reply(reply, tags=[CLINK_VERSION]) for reply in replies]


TWENTY_ONE = OfferQuestion(21)


async def asked(relay: HostileRelay, amount_sats: int | None = 21, offer: Noffer | None = None) -> AskedOffer:
    question = OfferQuestion(amount_sats, network="regtest")
    return await ask_offer(offer or noffer(relay.url), question, net(IMPATIENT, relay.url))


async def refused(script: Callable[[Request], Iterable[Event]], amount_sats: int | None = 21) -> KitestringError:
    async with hostile_relay(script) as relay:
        with pytest.raises(KitestringError) as caught:
            await asked(relay, amount_sats)
        assert set(relay.labels()) <= {"REQ", "EVENT", "CLOSE"}
    return caught.value


# ---------------------------------------------------------------- over a real relay


async def test_an_invoice_and_its_receipt_come_over_the_embedded_relay() -> None:
    async with Relay(None, clock=CLOCK, entropy=entropy) as relay, _Service(relay.url) as service:
        offer = noffer(relay.url)
        question = OfferQuestion(21, "for tea", {"name": "Bob"})
        async with await ask_offer(offer, question, net(PATIENT, relay.url)) as got:
            assert got.bolt11 == invoice()
            assert got.invoice.amount_msat == sat(21)
            request = service.requests[0]
            assert request.event.id == got.request_id
            wanted = {"offer": "tips", "amount_sats": 21, "description": "for tea", "payer_data": {"name": "Bob"}}
            assert request.members == wanted
            await service.send(request.reply({"res": "ok", "preimage": PREIMAGE}, tags=[CLINK_VERSION]))
            assert await got.wait_receipt(PATIENCE_S) == JudgedReceipt(PREIMAGE, "proven")


@pytest.mark.parametrize("said", ["hello", '{"res":"maybe"}', '{"res":"ok"}'])
async def test_a_reply_that_cannot_be_read_is_told_as_such(said: str) -> None:
    error = await refused(lambda request: [request.reply(said, tags=[CLINK_VERSION])])
    assert error.reason is Reason.INTERNAL
    assert "the reply of the offer's service cannot be read" in error.message


async def test_a_request_out_of_the_services_time_is_told_with_how_much() -> None:
    delta = {"max_delta_ms": 30_000, "actual_delta_ms": 400_000}
    error = await refused(answering({"res": "GFY", "code": 2, "error": "Temporary Failure", "delta": delta}))
    assert error.reason is Reason.STALE_REQUEST
    assert "6.7 minutes from its own time" in error.message


async def test_the_form_of_2024_has_no_version_and_its_answers_neither() -> None:
    async with hostile_relay(lambda request: [request.reply({"bolt11": invoice()})]) as relay:
        question = OfferQuestion(21, payer_data={"note": "from Bob"}, network="regtest", version="legacy")
        async with await ask_offer(noffer(relay.url), question, net(IMPATIENT, relay.url)):
            (request,) = relay.requests
    assert request.event.tags == [["p", SERVICE.public_hex]]
    assert request.members == {"offer": "tips", "amount": 21, "amount_sats": 21, "payer_data": "from Bob"}


async def test_payer_data_that_services_refuse_is_told_before_anybody_is_asked() -> None:
    async with hostile_relay(answering({"bolt11": invoice()})) as relay:
        question = OfferQuestion(21, payer_data={"x" * 65: "y"})
        with pytest.raises(KitestringError, match="at most 64 characters") as caught:
            await ask_offer(noffer(relay.url), question, net(IMPATIENT, relay.url))
        assert relay.log == []
    assert caught.value.reason is Reason.MALFORMED


async def test_each_request_has_a_key_of_its_own() -> None:
    async with hostile_relay(answering({"bolt11": invoice()})) as relay:
        for _ in range(2):
            await (await asked(relay)).close()
        assert len({request.event.pubkey for request in relay.requests}) == 2


class _Service:
    """A service on a real relay that answers every request with the same invoice."""

    def __init__(self, url: str) -> None:
        self.requests: list[Request] = []
        self._pool = pool(url)

    async def send(self, event: Event) -> None:
        assert (await self._pool.publish(event)).accepted

    async def __aenter__(self) -> _Service:
        await self._pool.start()
        wanted = Filter(kinds={21001}, tags={"p": {SERVICE.public_hex}})
        standing = self._pool.subscribe("service", lambda _: (wanted,), self._hear)
        assert await standing.wait_eose()
        return self

    def _hear(self, event: Event, _: str) -> None:
        request = read_request(event)
        self.requests.append(request)
        reply = request.reply({"bolt11": invoice()}, tags=[CLINK_VERSION])
        self._pool.send(reply.id, reply.pubkey, encode_event(reply), lambda _: None)

    async def __aexit__(self, *_: object) -> None:
        await self._pool.stop()


async def test_a_mute_relay_of_the_code_costs_nothing_beside_a_good_one() -> None:
    async with (
        hostile_relay(answering({"bolt11": invoice()})) as good,
        hostile_relay(lambda _: None, mute=True) as mute,
    ):
        offer = Noffer(SERVICE.public_hex, (mute.url, good.url), "tips", noffer(good.url).price_type)
        async with asyncio.timeout(PATIENT.eose_s / 2):
            got = await ask_offer(offer, TWENTY_ONE, net(PATIENT, mute.url, good.url))
        await got.close()


# ---------------------------------------------------------------- what a running peer answers


@pytest.mark.parametrize("row", OBSERVED, ids=[row["case"] for row in OBSERVED])
async def test_every_observed_reply_is_read(row: dict[str, Any]) -> None:
    members = json.loads(row["reply"])
    if "bolt11" in members:
        members["bolt11"] = invoice()
    tags: list[list[str]] = row["tags"]
    async with hostile_relay(lambda request: [request.reply(members, tags=tags)]) as relay:
        if "bolt11" in members:
            async with await asked(relay) as got:
                assert got.bolt11 == invoice()
        elif members.get("res") == "ok":
            relay.script = lambda request: [request.reply({"bolt11": invoice()}), request.reply(members, tags=tags)]
            async with await asked(relay) as got:
                assert await got.wait_receipt(PATIENCE_S) == JudgedReceipt(None, "claimed")
        else:
            with pytest.raises(KitestringError) as caught:
                await asked(relay)
            assert caught.value.details["code"] == members["code"]
            assert caught.value.details.get("range") == members.get("range")
            assert caught.value.details.get("payer_data") == members.get("payer_data")
            assert str(members["error"]) in caught.value.message


BUSY = {"code": 2, "error": "too many requests", "retry_after": NOW + 60}


@pytest.mark.parametrize(
    ("told", "asked_times", "bits"), [(8, 2, 8), (MAX_WORK_BITS + 1, 1, 0), (None, 1, 0), ("x", 1, 0)]
)
async def test_a_busy_service_is_shown_the_work_that_it_names_once(told: object, asked_times: int, bits: int) -> None:
    seen: list[Event] = []

    def busy(request: Request) -> Iterable[Event]:
        seen.append(request.event)
        return [request.reply({**BUSY, "work_bits": told}, tags=[CLINK_VERSION])]

    failure = await refused(busy)
    assert failure.reason is Reason.RATE_LIMITED
    assert (len(seen), work_bits(seen[-1])) == (asked_times, bits)


async def test_an_invoice_for_shown_work_is_taken() -> None:
    def busy(request: Request) -> Iterable[Event]:
        worked = work_bits(request.event) >= 8
        return [request.reply({"bolt11": invoice()} if worked else {**BUSY, "work_bits": 8}, tags=[CLINK_VERSION])]

    async with hostile_relay(busy) as relay, await asked(relay) as got:
        assert got.bolt11 == invoice()


async def test_a_range_is_told_in_words() -> None:
    error = await refused(answering({"res": "GFY", "code": 5, "error": "no", "range": {"min": 10, "max": 4000}}))
    assert error.reason is Reason.AMOUNT_OUT_OF_RANGE
    assert "at least 10 sat and at most 4,000 sat" in error.message


async def test_silence_is_unavailable_and_never_more() -> None:
    error = await refused(lambda _: [])
    assert error.reason is Reason.UNAVAILABLE


# ---------------------------------------------------------------- a service that cheats


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (invoice(sat(22)), Reason.AMOUNT_OUT_OF_RANGE),
        (invoice(sat(20)), Reason.AMOUNT_OUT_OF_RANGE),
        (invoice(network="bitcoin"), Reason.WRONG_NETWORK),
        (invoice(at=NOW - 4000), Reason.EXPIRED_INVOICE),
        (invoice(at=NOW - 3550), Reason.EXPIRED_INVOICE),
        (invoice()[:-1] + ("q" if invoice()[-1] != "q" else "p"), Reason.MALFORMED),
        ("lnbcrt1", Reason.MALFORMED),
    ],
    ids=["more", "less", "other network", "expired", "under a minute left", "bad checksum", "no invoice"],
)
async def test_an_invoice_that_is_not_what_was_asked_for_is_refused(text: str, reason: Reason) -> None:
    assert (await refused(answering({"bolt11": text}))).reason is reason


async def test_an_amountless_invoice_is_for_the_amount_asked_and_refused_where_none_was() -> None:
    async with (
        hostile_relay(answering({"bolt11": invoice(None)})) as relay,
        await asked(relay) as got,
    ):
        assert got.invoice.amount_msat is None
    error = await refused(answering({"bolt11": invoice(None)}), amount_sats=None)
    assert error.reason is Reason.AMOUNT_OUT_OF_RANGE


async def test_a_fixed_price_in_the_code_is_asked_for_and_held_to() -> None:
    async with hostile_relay(answering({"bolt11": invoice(sat(22))})) as relay:
        with pytest.raises(KitestringError) as caught:
            await asked(relay, None, noffer(relay.url, price_sats=21))
        assert relay.requests[0].members["amount_sats"] == 21
    assert caught.value.reason is Reason.AMOUNT_OUT_OF_RANGE


async def test_a_receipt_with_a_false_preimage_is_reported_and_its_preimage_not_given() -> None:
    script = answering({"bolt11": invoice()}, {"res": "ok", "preimage": "33" * 32})
    async with hostile_relay(script) as relay, await asked(relay) as got:
        assert await got.wait_receipt(PATIENCE_S) == JudgedReceipt(None, "false")


async def test_no_receipt_is_no_failure() -> None:
    async with (
        hostile_relay(answering({"bolt11": invoice()})) as relay,
        await asked(relay) as got,
    ):
        assert await got.wait_receipt(0.05) is None


# ---------------------------------------------------------------- moves


def moved_to(latest: Noffer) -> dict[str, object]:
    return {"res": "GFY", "code": 3, "error": "Expired or Moved Offer", "latest": pointers.encode(latest)}


async def test_a_move_within_the_service_is_followed_once() -> None:
    def script(request: Request) -> Iterable[Event]:
        moved = request.members["offer"] == "tips"
        return answering(moved_to(noffer(relay.url, "new")) if moved else {"bolt11": invoice()})(request)

    async with hostile_relay(script) as relay, await asked(relay) as got:
        assert got.noffer == noffer(relay.url, "new")
        assert [request.members["offer"] for request in relay.requests] == ["tips", "new"]
        assert [request.members["amount_sats"] for request in relay.requests] == [21, 21]
        assert len({request.event.pubkey for request in relay.requests}) == 2  # nobody is the same payer twice


async def test_a_moved_offer_is_asked_for_at_the_relays_of_its_new_code() -> None:
    async with hostile_relay(answering({"bolt11": invoice()})) as there:
        new = noffer(there.url, "new")
        async with hostile_relay(answering(moved_to(new))) as here:
            mine = net(IMPATIENT, here.url, there.url)
            async with await ask_offer(noffer(here.url), TWENTY_ONE, mine) as got:
                assert got.noffer == new
            assert [request.members["offer"] for request in here.requests] == ["tips"]
        assert [request.members["offer"] for request in there.requests] == ["new"]


@pytest.mark.parametrize("inside", ["ws://10.0.0.1", "wss://127.0.0.1", "wss://[::1]:8443", "wss://nas.local"])
async def test_a_moved_offer_does_not_lead_into_a_private_network(inside: str) -> None:
    async with hostile_relay(answering(moved_to(noffer(inside, "new")))) as here:
        with pytest.raises(KitestringError, match="of the code is not") as caught:
            await ask_offer(noffer(here.url), TWENTY_ONE, net(IMPATIENT, here.url))
        assert len(here.requests) == 1
    assert caught.value.reason is Reason.NOT_PERMITTED


async def test_a_moved_offer_whose_new_code_names_no_relay_is_asked_for_where_the_old_one_was() -> None:
    parts = [(2, b"new"), (0, bytes.fromhex(SERVICE.public_hex))]
    moved = {**moved_to(noffer("wss://x.example")), "latest": bech32.encode("noffer", tlv.encode(parts))}

    def script(request: Request) -> Iterable[Event]:
        return answering(moved if request.members["offer"] == "tips" else {"bolt11": invoice()})(request)

    async with hostile_relay(script) as here:
        got = await ask_offer(noffer(here.url), TWENTY_ONE, net(IMPATIENT, allow_private=True))
        await got.close()
        assert (got.noffer.offer, got.noffer.relays) == ("new", ())


async def test_a_second_move_ends_it() -> None:
    def script(request: Request) -> Iterable[Event]:
        return answering(moved_to(noffer(relay.url, "new")))(request)

    async with hostile_relay(script) as relay:
        with pytest.raises(KitestringError) as caught:
            await asked(relay)
        assert len(relay.requests) == 2
    assert caught.value.reason is Reason.MOVED_OR_EXPIRED_OFFER
    assert "moved or expired as well" in caught.value.message


async def test_all_relays_of_the_code_are_asked_and_the_one_where_the_service_is_answers() -> None:
    async with (
        hostile_relay(lambda _: []) as deserted,
        hostile_relay(answering({"bolt11": invoice()})) as served,
    ):
        code = Noffer(SERVICE.public_hex, (deserted.url, served.url), "tips")
        async with await ask_offer(code, TWENTY_ONE, net(PATIENT, deserted.url, served.url)):
            assert [len(each.requests) for each in (deserted, served)] == [1, 1]
            assert deserted.requests[0].event == served.requests[0].event


async def test_a_move_to_another_service_is_for_the_caller_to_decide() -> None:
    other = noffer("wss://relay.example.com", "new", STRANGER)
    async with hostile_relay(answering(moved_to(other))) as relay:
        with pytest.raises(KitestringError, match="another service") as caught:
            await asked(relay)
        assert len(relay.requests) == 1
    assert caught.value.details["latest"] == pointers.encode(other)


async def test_the_code_of_another_service_is_told_bare() -> None:
    other = pointers.encode(noffer("wss://relay.example.com", "new", STRANGER))
    moved = {"code": 3, "error": "moved", "latest": f"bitcoin:x;y?noffer={other.upper()}"}
    error = await refused(answering(moved))
    assert error.details["latest"] == other


@pytest.mark.parametrize("latest", ["", "noffer1qqqq", "nothing"])
async def test_an_expired_offer_ends_it(latest: str) -> None:
    error = await refused(answering({"code": "3", "error": "expired", "latest": latest}))
    assert error.reason is Reason.MOVED_OR_EXPIRED_OFFER


# ---------------------------------------------------------------- relays of a foreign code


async def test_a_private_relay_of_a_foreign_code_is_not_dialled() -> None:
    async with hostile_relay(answering({"bolt11": invoice()})) as relay:
        with pytest.raises(KitestringError) as caught:
            await ask_offer(noffer(relay.url), TWENTY_ONE, net(IMPATIENT))
        assert relay.log == []
    assert caught.value.reason is Reason.NOT_PERMITTED


async def test_a_private_relay_is_dialled_where_the_caller_says_so() -> None:
    async with hostile_relay(answering({"bolt11": invoice()})) as relay:
        got = await ask_offer(noffer(relay.url), TWENTY_ONE, net(IMPATIENT, allow_private=True))
        await got.close()


async def test_the_callers_own_relay_is_used_although_another_one_in_the_code_is_refused() -> None:
    async with hostile_relay(answering({"bolt11": invoice()})) as relay:
        both = Noffer(SERVICE.public_hex, (f"{relay.url}/", "ws://10.0.0.1"), "tips")
        got = await ask_offer(both, TWENTY_ONE, net(IMPATIENT, relay.url))
        await got.close()


async def test_an_offer_without_relays_is_asked_for_at_the_callers_own() -> None:
    bare = Noffer(SERVICE.public_hex, (), "tips")
    with pytest.raises(KitestringError, match="names no relay"):
        await ask_offer(bare, TWENTY_ONE, net(IMPATIENT))
    async with hostile_relay(answering({"bolt11": invoice()})) as relay:
        got = await ask_offer(bare, TWENTY_ONE, net(IMPATIENT, relay.url))
        await got.close()
