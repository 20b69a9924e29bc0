"""What was pasted, and what is paid for it."""

from __future__ import annotations

import asyncio
import json

import pytest

from kitestring.base.destinations import Bolt11
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.client.net import Net
from kitestring.client.payable import KINDS, Payable, TargetKind, Terms, agreed, ask, choose, offer_sats, read
from kitestring.codec import bolt11, nip19, pointers
from kitestring.codec.address import InternetAddress
from kitestring.codec.pointers import Noffer, PriceType
from kitestring.codec.target import Target
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from tests.kit.changed import replace
from tests.kit.client.hostile import IMPATIENT, SERVICE, STRANGER, Request, hostile_relay, net, noffer
from tests.kit.client.web import Documents
from tests.kit.clock import NOW, PATIENCE_S
from tests.kit.codec.invoices import PAYMENT_HASH, invoice

OFFER = Noffer(SERVICE.public_hex, ("wss://relay.example.com",), "tips")
CODE = pointers.encode(OFFER)


@pytest.mark.parametrize(
    "text", [invoice(), invoice().upper(), f"lightning:{invoice()}", f" bitcoin:?lightning={invoice()} "]
)
def test_an_invoice_is_found_however_it_is_wrapped(text: str) -> None:
    assert read(text) == bolt11.decode(invoice())


@pytest.mark.parametrize(
    "text",
    [
        CODE, CODE.upper(), f" {CODE}\n", f"lightning:{CODE}", f"LIGHTNING:{CODE.upper()}", f"nostr:{CODE}",
        f"noffer:{CODE}", f"bitcoin:bc1q?noffer={CODE}", f"BITCOIN:?NOFFER={CODE.upper()}",
    ],
)  # fmt: skip
def test_an_offer_is_found_however_it_is_wrapped(text: str) -> None:
    assert read(text) == OFFER


FIXED = pointers.encode(Noffer(SERVICE.public_hex, ("wss://relay.example.com",), "tea", PriceType.FIXED, 21))
FOREIGN = invoice(network="bitcoin")


def test_the_first_thing_of_a_link_that_can_be_paid_wins() -> None:
    broken = invoice()[:-1]
    assert read(f"bitcoin:?lightning={broken}&lightning={invoice()}&noffer={CODE}") == bolt11.decode(invoice())
    assert read(f"bitcoin:?lightning={broken}&lightning=me@example.com&lno=lno1x&noffer={CODE}") == OFFER
    with pytest.raises(KitestringError, match="cannot be read") as caught:
        read(f"bitcoin:?lightning={broken}&lno=lno1x")
    assert caught.value.reason is Reason.MALFORMED


def test_of_two_invoices_in_a_link_the_one_of_the_payers_network_is_chosen() -> None:
    link = f"bitcoin:?lightning={FOREIGN}&lightning={invoice()}"
    assert choose(link, "regtest").text == invoice()
    assert choose(link).text == choose(link, "bitcoin").text == FOREIGN
    assert choose(f"bitcoin:?lightning={FOREIGN}", "regtest").text == FOREIGN  # and is refused by its network


@pytest.mark.parametrize(
    "link", [f"bitcoin:?amount=0.00000022&lightning={invoice()}", f"bitcoin:?amount=1&noffer={FIXED}"]
)
def test_a_link_that_contradicts_itself_is_refused_before_anybody_is_asked(link: str) -> None:
    with pytest.raises(KitestringError, match="ask for a right one") as caught:
        read(link)
    assert caught.value.reason is Reason.AMOUNT_OUT_OF_RANGE
    assert read(f"bitcoin:?amount=0.00000021&lightning={invoice()}") == bolt11.decode(invoice())
    assert isinstance(read(f"bitcoin:?amount=0.00000021&noffer={FIXED}"), Noffer)


async def test_the_amount_of_a_link_is_paid_where_its_invoice_names_none_and_no_other() -> None:
    link = f"bitcoin:?amount=0.00000042&lightning={invoice(None)}"
    assert (
        (await ask(link, Terms(), net())).amount_msat == (await ask(link, Terms(sat(42)), net())).amount_msat == sat(42)
    )
    with pytest.raises(KitestringError, match="asks for 42 sat, not for 41 sat") as caught:
        await ask(link, Terms(sat(41)), net())
    assert caught.value.reason is Reason.AMOUNT_OUT_OF_RANGE


async def test_the_amount_of_a_link_is_what_an_offer_is_asked_for() -> None:
    async with hostile_relay(lambda request: [request.reply({"bolt11": invoice()})]) as relay:
        link = f"bitcoin:?amount=0.00000021&noffer={pointers.encode(noffer(relay.url))}"
        async with await ask(link, Terms(), net(IMPATIENT, relay.url)) as found:
            assert found.amount_msat == sat(21)
        assert relay.requests[0].members["amount_sats"] == 21


def test_two_spellings_of_one_wish_have_one_identity_and_another_amount_is_another_wish() -> None:
    bare = invoice(None)
    assert choose(f"\ufefflightning:{bare.upper()}\n").identity == choose(f"bitcoin:?lightning={bare}").identity == bare
    assert (
        choose(f"bitcoin:?amount=1&lightning={bare}").identity != choose(f"bitcoin:?amount=2&lightning={bare}").identity
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bitcoin:?amount=x&lightning=" + invoice(), Reason.MALFORMED),
        ("bitcoin:?req-pop=a&lightning=" + invoice(), Reason.MALFORMED),
        ("", Reason.MALFORMED),
        ("hello", Reason.MALFORMED),
        (invoice()[:-1], Reason.MALFORMED),
        (CODE[:-1], Reason.MALFORMED),
        ("bitcoin:bc1q", Reason.MALFORMED),
        ("me@127.0.0.1", Reason.MALFORMED),
        ("lnurl1dp68gurn8ghj7", Reason.UNSUPPORTED),
        ("lno1abc", Reason.UNSUPPORTED),
        ("npub1xxx", Reason.MALFORMED),
        ("nevent1xxx", Reason.UNSUPPORTED),
        ("x" * 20_000, Reason.MALFORMED),
    ],
)
def test_what_cannot_be_paid_is_refused_with_a_sentence(text: str, reason: Reason) -> None:
    with pytest.raises(KitestringError) as caught:
        read(text)
    assert caught.value.reason is reason


def offer(price_type: PriceType, price_sats: int | None = None) -> Noffer:
    return Noffer(SERVICE.public_hex, ("wss://relay.example.com",), "tips", price_type, price_sats)


@pytest.mark.parametrize(
    ("noffer", "amount", "sats"),
    [
        (offer(PriceType.SPONTANEOUS), sat(21), 21),
        (offer(PriceType.FIXED, 21), None, 21),
        (offer(PriceType.FIXED, 21), sat(21), 21),
        (offer(PriceType.FIXED), None, None),
        (offer(PriceType.VARIABLE), None, None),
        (offer(PriceType.VARIABLE), sat(5), 5),
    ],
)
def test_an_offer_is_asked_for_the_amount_that_is_known(noffer: Noffer, amount: Msat | None, sats: int | None) -> None:
    assert offer_sats(noffer, amount) == sats


@pytest.mark.parametrize(
    ("noffer", "amount"),
    [
        (offer(PriceType.SPONTANEOUS), None),
        (offer(PriceType.SPONTANEOUS), Msat(0)),
        (offer(PriceType.SPONTANEOUS), Msat(1500)),
        (offer(PriceType.FIXED, 21), sat(20)),
    ],
)
def test_an_amount_that_cannot_be_asked_for_is_refused(noffer: Noffer, amount: Msat | None) -> None:
    with pytest.raises(KitestringError):
        offer_sats(noffer, amount)


def test_a_price_that_only_the_service_named_is_shown_and_not_paid() -> None:
    with pytest.raises(KitestringError, match="costs 21 sat now") as caught:
        agreed(bolt11.decode(invoice()), None)
    assert caught.value.details == {"amount_msat": 21_000, "bolt11": invoice()}
    with pytest.raises(KitestringError) as caught:
        agreed(bolt11.decode(invoice()), None, currency="EUR")
    assert caught.value.details["currency"] == "EUR"
    assert agreed(bolt11.decode(invoice()), None, sat(21)) == sat(21)
    assert agreed(bolt11.decode(invoice()), 21) == sat(21)
    assert agreed(bolt11.decode(invoice(None)), 21) == sat(21)


# ---------------------------------------------------------------- what is to be paid


async def test_an_invoice_is_payable_as_it_stands_and_becomes_an_order() -> None:
    found = await ask(f"lightning:{invoice()}", Terms(network="regtest"), net())
    order = found.order(sat(2), description="not used", metadata="{}")
    assert (order.destination, order.payment_hash, order.amount_msat) == (Bolt11(invoice()), PAYMENT_HASH, sat(21))
    assert (order.max_fee_msat, order.network) == (sat(2), "regtest")
    assert (order.description, order.metadata, order.expires_at) == ("tea", "{}", found.invoice.expires_at)


async def test_an_invoices_words_are_kept_on_one_line_and_within_its_bytes() -> None:
    found = await ask(invoice(description="tea\x1b[1A\npaid\u202e"), Terms(), net())
    assert found.order().description == "tea [1A paid"
    assert (await ask(invoice(description=""), Terms(), net())).order(description="a\nb").description == "a b"


async def test_an_invoice_without_amount_takes_the_payers() -> None:
    found = await ask(invoice(None), Terms(Msat(1_500)), net())
    order = found.order()
    assert (order.amount_msat, order.destination, order.max_fee_msat) == (
        Msat(1_500),
        Bolt11(invoice(None), True),
        None,
    )


@pytest.mark.parametrize(
    ("text", "terms", "reason"),
    [
        (invoice(None), Terms(), Reason.MALFORMED),
        (invoice(), Terms(sat(20)), Reason.AMOUNT_OUT_OF_RANGE),
        (invoice(network="bitcoin"), Terms(network="regtest"), Reason.WRONG_NETWORK),
        ("lnurlp://pay.example/p", Terms(sat(1)), Reason.UNSUPPORTED),
        ("hello", Terms(sat(1)), Reason.MALFORMED),
    ],
)
async def test_what_the_terms_do_not_allow_is_not_payable(text: str, terms: Terms, reason: Reason) -> None:
    with pytest.raises(KitestringError) as caught:
        await ask(text, terms, net())
    assert caught.value.reason is reason


async def test_an_offer_is_asked_for_its_invoice_and_its_line_stays_open_for_the_receipt() -> None:
    async with hostile_relay(lambda request: [request.reply({"bolt11": invoice()})]) as relay:
        code = pointers.encode(noffer(relay.url))
        async with await ask(code, Terms(sat(21), "tea", "regtest"), net(IMPATIENT, relay.url)) as found:
            assert (found.invoice, found.amount_msat) == (bolt11.decode(invoice()), sat(21))
            assert relay.requests[0].members["description"] == "tea"
            assert found.asked is not None
            assert found.asked.request_id == relay.requests[0].event.id


async def test_a_price_in_the_code_is_paid_also_with_an_invoice_that_has_no_amount() -> None:
    async with hostile_relay(lambda request: [request.reply({"bolt11": invoice(None)})]) as relay:
        code = pointers.encode(noffer(relay.url, price_sats=21))
        async with await ask(code, Terms(), net(IMPATIENT, relay.url)) as found:
            order = found.order()
    assert (order.amount_msat, order.destination) == (sat(21), Bolt11(invoice(None), True))


async def test_a_price_that_nobody_has_seen_closes_the_line_and_is_shown() -> None:
    offer = Noffer(SERVICE.public_hex, (), "tips", PriceType.VARIABLE)
    async with hostile_relay(lambda request: [request.reply({"bolt11": invoice()})]) as relay:
        with pytest.raises(KitestringError, match="costs 21 sat now"):
            await ask(pointers.encode(replace(offer, relays=(relay.url,))), Terms(), net(IMPATIENT, relay.url))
        await asyncio.wait_for(relay.gone.wait(), PATIENCE_S)


VARIABLE = Noffer(SERVICE.public_hex, (), "tips", PriceType.VARIABLE, currency="EUR")


async def test_a_price_up_to_the_most_that_the_payer_agrees_to_is_paid_unseen() -> None:
    async with hostile_relay(lambda request: [request.reply({"bolt11": invoice()})]) as relay:
        code = pointers.encode(replace(VARIABLE, relays=(relay.url,)))
        mine = net(IMPATIENT, relay.url)
        async with await ask(code, Terms(max_msat=sat(21)), mine) as found:
            assert found.amount_msat == sat(21)
        with pytest.raises(KitestringError, match="costs 21 sat, and at most 20 sat") as caught:
            await ask(code, Terms(max_msat=sat(20)), mine)
        assert all("amount_sats" not in request.members for request in relay.requests)
    assert caught.value.reason is Reason.AMOUNT_OUT_OF_RANGE
    assert caught.value.details == {"amount_msat": 21_000}


async def test_the_currency_beside_an_unseen_price_is_that_of_the_code_that_has_answered() -> None:
    def script(request: Request) -> list[Event]:
        moved = {
            "code": 3,
            "error": "moved",
            "latest": pointers.encode(replace(VARIABLE, relays=(relay.url,), offer="new")),
        }
        return [request.reply(moved if request.members["offer"] == "old" else {"bolt11": invoice()})]

    async with hostile_relay(script) as relay:
        old = Noffer(SERVICE.public_hex, (relay.url,), "old", PriceType.VARIABLE)
        with pytest.raises(KitestringError) as caught:
            await ask(pointers.encode(old), Terms(), net(IMPATIENT, relay.url))
    assert caught.value.details == {"amount_msat": 21_000, "bolt11": invoice(), "currency": "EUR"}


async def test_the_most_is_one_for_every_kind_of_target() -> None:
    assert (await ask(invoice(), Terms(max_msat=sat(21)), net())).amount_msat == sat(21)
    with pytest.raises(KitestringError, match="nothing was paid"):
        await ask(invoice(), Terms(max_msat=Msat(20_999)), net())
    with pytest.raises(KitestringError, match="nothing was paid"):
        await ask(invoice(None), Terms(sat(22), max_msat=sat(21)), net())


async def test_what_the_payer_agrees_to_tell_goes_to_an_offer_in_the_version_asked_for_and_to_no_invoice() -> None:
    terms = Terms(sat(21), payer_data={"name": "Bob"}, version="legacy")
    async with hostile_relay(lambda request: [request.reply({"bolt11": invoice()})]) as relay:
        found = await ask(pointers.encode(noffer(relay.url)), terms, net(IMPATIENT, relay.url))
        await found.close()
        (request,) = relay.requests
    assert request.members["payer_data"] == {"name": "Bob"}
    assert request.members["amount"] == 21
    for refused in (replace(terms, version="tagged"), replace(terms, payer_data={})):
        with pytest.raises(KitestringError, match="are for offers") as caught:
            await ask(invoice(), refused, net())
        assert caught.value.reason is Reason.MALFORMED


async def test_a_further_kind_is_one_row() -> None:
    asked: list[str] = []

    async def ask_other(text: str, terms: Terms, _: Net) -> Payable:
        asked.append(text)
        return Payable(bolt11.decode(invoice(None)), terms.amount_msat or sat(1))

    more = {**KINDS, Target.BOLT12: TargetKind(str, ask_other)}
    found = await ask("lightning:lno1abc", Terms(sat(5)), net(), more)
    assert (found.order().amount_msat, asked) == (sat(5), ["lno1abc"])


NPUB = nip19.encode(nip19.PublicKey(STRANGER.public_hex))
NPROFILE = nip19.encode(nip19.Profile(STRANGER.public_hex, ("wss://relay.example.com",)))


@pytest.mark.parametrize("text", ["Bob@Pay.example", "lightning:bob@pay.example", "₿bob@pay.example\n"])
def test_an_address_is_read_without_asking_anybody(text: str) -> None:
    assert read(text) == InternetAddress("bob", "pay.example")


@pytest.mark.parametrize("text", [NPUB, NPUB.upper(), f"nostr:{NPUB}", NPROFILE])
def test_somebody_is_read_without_asking_anybody(text: str) -> None:
    found = read(text)
    assert isinstance(found, nip19.Profile)
    assert found.pubkey == STRANGER.public_hex


def test_an_address_in_a_link_is_taken_where_nothing_else_can_be_paid() -> None:
    assert read(f"bitcoin:?lightning=bob@pay.example&noffer={CODE}") == OFFER
    assert read("bitcoin:?lightning=bob@pay.example&lno=lno1x") == InternetAddress("bob", "pay.example")


async def test_the_offers_of_an_address_and_of_a_profile_are_paid() -> None:
    async with hostile_relay(lambda request: [request.reply({"bolt11": invoice()})]) as relay:
        code = pointers.encode(noffer(relay.url))
        named = json.dumps({"clink_offer": code})
        relay.stored = [sign_event(STRANGER, kind=kinds.METADATA, tags=[], content=named, created_at=NOW)]
        web = Documents({InternetAddress("bob", "pay.example").nostr_json: named})
        mine = replace(net(IMPATIENT, relay.url), web=web)
        for text in ("bob@pay.example", NPUB):
            async with await ask(text, Terms(sat(21)), mine) as found:
                assert found.amount_msat == sat(21)
        with pytest.raises(KitestringError, match=r"not on a public address|not encrypted"):
            await ask("bob@pay.example", Terms(sat(21)), replace(net(IMPATIENT), web=web))  # its relay is checked
    assert len(relay.requests) == 2
