"""A wallet behind a NWC connection: the relay of its URI is its own, and its network is asked for once."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.client.net import Waits
from kitestring.codec import pointers
from kitestring.codec.uri import encode_nwc
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.sdk.results import WalletBudget
from kitestring.sdk.source import Encryption
from kitestring.sdk.wallet import Wallet
from kitestring.wire.envelope import encrypt, shared_secret
from tests.kit.chance import entropy
from tests.kit.client.hostile import (
    CLIENT,
    CLOCK,
    IMPATIENT,
    PATIENT,
    SERVICE,
    HostileRelay,
    Request,
    Script,
    hostile_relay,
    info_event,
    noffer,
    nwc_uri,
)
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.rig.process import free_port


def over(relay: HostileRelay, waits: Waits = PATIENT) -> Wallet:
    return Wallet.open(encode_nwc(nwc_uri(relay.url)), clock=CLOCK, waits=waits)


def service(**results: object) -> Script:
    known = {"get_info": {"network": "regtest"}, "pay_invoice": {"preimage": PREIMAGE, "fees_paid": 7}, **results}

    def answer(request: Request) -> Iterable[Event]:
        if request.method == "":
            return [request.reply({"bolt11": invoice()})]
        found = known[request.method]
        if isinstance(found, str):
            return [request.result(error={"code": found, "message": "no"})]
        return [] if found is None else [request.result(found)]

    return answer


@pytest.mark.parametrize(
    ("stored", "encryption", "cipher"),
    [
        ([], "auto", "nip44"),
        ([], "legacy", "nip04"),
        ([info_event(encryption="nip44_v2 nip04")], "legacy", "nip44"),
        ([info_event(encryption=None)], "auto", "nip04"),
        ([info_event(encryption=None)], "nip44", "nip44"),
    ],
)
async def test_the_encryption_is_that_of_the_info_event_unless_its_owner_knows_better(
    stored: list[Event], encryption: Encryption, cipher: str
) -> None:
    async with hostile_relay(service(), stored=stored) as relay:
        uri = encode_nwc(nwc_uri(relay.url))
        async with Wallet.open(uri, clock=CLOCK, waits=PATIENT, encryption=encryption) as wallet:
            assert (await wallet.pay(invoice())).preimage == PREIMAGE
        assert {request.cipher for request in relay.requests} == {cipher}


async def test_a_nwc_wallet_pays_invoices_and_offers_of_its_own_relay() -> None:
    async with hostile_relay(service(), stored=[info_event()]) as relay, over(relay) as wallet:
        direct = await wallet.pay(invoice(), max_fee=sat(3))
        assert (direct.preimage, direct.fee, direct.amount, direct.payment_hash) == (
            PREIMAGE, Msat(7), sat(21), PAYMENT_HASH,
        )  # fmt: skip
        assert await wallet.pay(pointers.encode(noffer(relay.url)), sat(21)) == direct
        methods = [request.method or "offer" for request in relay.requests]
        assert methods == ["get_info", "pay_invoice", "offer", "pay_invoice"]
        assert relay.requests[1].members["params"]["max_fee"] == 3_000


async def test_a_wallet_that_tells_no_network_checks_it_itself() -> None:
    async with (
        hostile_relay(service(get_info="RESTRICTED"), stored=[info_event()]) as relay,
        over(relay) as wallet,
    ):
        assert (await wallet.pay(invoice(network="bitcoin"))).preimage == PREIMAGE


async def test_an_invoice_of_another_network_is_not_sent_to_the_wallet() -> None:
    async with hostile_relay(service(), stored=[info_event()]) as relay, over(relay) as wallet:
        with pytest.raises(KitestringError) as caught:
            await wallet.pay(invoice(network="bitcoin"))
        assert [request.method for request in relay.requests] == ["get_info"]
    assert caught.value.reason is Reason.WRONG_NETWORK


async def test_an_expired_invoice_that_was_paid_in_time_still_has_its_receipt() -> None:
    record = {"type": "outgoing", "state": "settled", "payment_hash": PAYMENT_HASH, "amount": 21_000, "fees_paid": 7}
    old = invoice(at=NOW - 4_000)
    for found, reason in (
        ({**record, "preimage": PREIMAGE}, None),
        ({**record, "preimage": "44" * 32}, Reason.PAYMENT_IN_FLIGHT),
        (record, Reason.PAYMENT_IN_FLIGHT),
        ({**record, "state": "pending"}, Reason.PAYMENT_IN_FLIGHT),
        ({**record, "state": "expired"}, Reason.PAYMENT_IN_FLIGHT),
        ({**record, "state": "failed"}, Reason.EXPIRED_INVOICE),
        ({**record, "type": "incoming", "preimage": PREIMAGE}, Reason.EXPIRED_INVOICE),
        ("NOT_FOUND", Reason.EXPIRED_INVOICE),
    ):
        script = service(lookup_invoice=found)
        async with hostile_relay(script, stored=[info_event()]) as relay, over(relay) as wallet:
            if reason is None:
                assert (await wallet.pay(old)).preimage == PREIMAGE
                continue
            with pytest.raises(KitestringError) as caught:
                await wallet.pay(old)
            assert caught.value.reason is reason
            assert "pay_invoice" not in [request.method for request in relay.requests]


async def test_a_lost_payment_is_pending_and_named() -> None:
    script = service(pay_invoice=None, lookup_invoice="NOT_FOUND")
    async with hostile_relay(script, stored=[info_event()]) as relay, over(relay, IMPATIENT) as wallet:
        with pytest.raises(KitestringError, match=PAYMENT_HASH) as caught:
            await wallet.pay(invoice())
    assert caught.value.exit_code is Exit.PENDING


async def test_with_the_relay_stopped_the_wallet_does_not_open() -> None:
    wallet = Wallet.open(encode_nwc(nwc_uri(f"ws://127.0.0.1:{free_port()}")), waits=IMPATIENT)
    with pytest.raises(KitestringError) as caught:
        await wallet.__aenter__()
    assert caught.value.exit_code is Exit.UNAVAILABLE


async def test_the_budget_of_a_connection_is_told_with_what_is_left_of_it() -> None:
    told: dict[str, object] = {
        "used_budget": 10_000,
        "total_budget": 9_000,
        "renewal_period": "daily",
        "renews_at": NOW,
    }
    async with hostile_relay(service(get_budget=told)) as relay, over(relay) as wallet:
        budget = await wallet.budget()
    assert budget == WalletBudget(sat(9), sat(10), "day", NOW)
    assert budget.left == sat(0)


async def test_a_connection_without_a_budget_has_none() -> None:
    async with hostile_relay(service(get_budget={})) as relay, over(relay) as wallet:
        assert await wallet.budget() is None


def told(number: int) -> Event:
    """A notification of the wallet."""
    record = {"type": "incoming", "payment_hash": f"{number:016x}" + 48 * "0", "amount": 1, "settled_at": NOW}
    text = json.dumps({"notification_type": "payment_received", "notification": record})
    content = encrypt(text, "nip44", shared_secret(SERVICE, CLIENT.public_hex, "nip44"), entropy)
    tags = [["p", CLIENT.public_hex]]
    return sign_event(SERVICE, kind=kinds.NWC_NOTIFY, tags=tags, content=content, created_at=NOW)


async def test_two_iterators_hear_what_the_wallet_tells_and_find_what_it_lists() -> None:
    listed = {"type": "incoming", "state": "settled", "payment_hash": "ff" * 32, "amount": 1, "settled_at": NOW}
    script = service(list_transactions={"transactions": [{**listed, "created_at": NOW - 9}]})
    announced = info_event("list_transactions notifications")
    async with hostile_relay(script, stored=[announced]) as relay, over(relay) as wallet:
        one, two = wallet.notifications(), wallet.notifications(types=["payment_received"])
        for news in (one, two):
            assert (await anext(news)).transaction.payment_hash == "ff" * 32
        await relay.deliver([told(7)])
        for news in (one, two):
            assert (await anext(news)).transaction.payment_hash.startswith(f"{7:016x}")
        asked = [request.members["params"] for request in relay.requests if request.method == "list_transactions"]
        assert [each.get("type") for each in asked] == [None, "incoming"]


#: One times the base point.
KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


def keysender(request: Request) -> Iterable[Event]:
    return [request.result({"preimage": request.members["params"]["preimage"], "fees_paid": 7})]


async def test_a_key_is_paid_with_words_and_records_and_each_time_with_another_preimage() -> None:
    async with hostile_relay(keysender, stored=[info_event("pay_keysend")]) as relay, over(relay) as wallet:
        first = await wallet.keysend(KEY.upper(), sat(21), message="hi", records={65_536: b"\x00"}, max_fee=sat(3))
        second = await wallet.keysend(KEY, sat(21))
        params = [request.members["params"] for request in relay.requests]
    assert (first.amount, first.fee, first.bolt11) == (sat(21), Msat(7), "")
    assert first.payment_hash != second.payment_hash
    records = [{"type": 65_536, "value": "00"}, {"type": 34_349_334, "value": b"hi".hex()}]
    assert params[0] == {
        "pubkey": KEY, "amount": 21_000, "preimage": first.preimage, "tlv_records": records, "max_fee": 3_000,
    }  # fmt: skip
    assert params[1] == {"pubkey": KEY, "amount": 21_000, "preimage": second.preimage}


@pytest.mark.parametrize(
    ("pubkey", "records", "reason"),
    [
        (KEY[2:], {}, Reason.MALFORMED),
        (KEY, {5: b""}, Reason.MALFORMED),
        (KEY, {65_536: bytes(1_001)}, Reason.MALFORMED),
        (KEY, {}, Reason.UNSUPPORTED),  # the wallet announces no keysend
    ],
)
async def test_a_keysend_that_cannot_be_meant_is_not_sent(
    pubkey: str, records: dict[int, bytes], reason: Reason
) -> None:
    async with hostile_relay(keysender, stored=[info_event()]) as relay, over(relay) as wallet:
        with pytest.raises(KitestringError) as caught:
            await wallet.keysend(pubkey, sat(21), records=records)
        assert relay.requests == []
    assert caught.value.reason is reason


async def test_several_go_in_one_request_where_the_wallet_announces_that() -> None:
    def several(request: Request) -> Iterable[Event]:
        if request.method == "get_info":
            return [request.result({"network": "regtest"})]
        text = {"result_type": request.method, "result": {"preimage": PREIMAGE, "fees_paid": 7}}
        return [request.reply(text, tags=[["d", one["id"]]]) for one in request.members["params"]["invoices"]]

    announced = info_event("pay_invoice multi_pay_invoice get_info")
    async with hostile_relay(several, stored=[announced]) as relay, over(relay) as wallet:
        first, second = await wallet.pay_many([invoice(), invoice()], max_fee=sat(1))
        assert [request.method for request in relay.requests] == ["get_info", "multi_pay_invoice"]
    assert first == second
    assert not isinstance(first, KitestringError)
    assert (first.preimage, first.fee, first.bolt11) == (PREIMAGE, Msat(7), invoice())


# ------------------------------------------------------------ methods of its own, links


async def test_a_method_that_the_wallet_announces_is_called_with_its_params_and_gives_its_result() -> None:
    async with hostile_relay(service(multisig_round={"keys": ["02"]}), stored=[info_event("multisig_round")]) as relay:
        async with over(relay) as wallet:
            assert await wallet.call("multisig_round", {"round": 1}) == {"keys": ["02"]}
        assert [request.members["params"] for request in relay.requests] == [{"round": 1}]


async def test_a_refusal_and_silence_are_told_and_what_is_not_announced_is_not_asked() -> None:
    stored = [info_event("refused mute")]
    async with hostile_relay(service(refused="RESTRICTED", mute=None), stored=stored) as relay:
        async with over(relay, IMPATIENT) as wallet:
            for method, reason in (
                ("refused", Reason.NOT_PERMITTED), ("mute", Reason.UNAVAILABLE), ("absent", Reason.UNSUPPORTED),
            ):  # fmt: skip
                with pytest.raises(KitestringError) as told:
                    await wallet.call(method)
                assert told.value.reason is reason
        assert {request.method for request in relay.requests} == {"refused", "mute"}


async def test_a_wallet_that_makes_links_itself_is_asked_for_one() -> None:
    link = f"bitcoin:?lightning={invoice(sat(5))}"
    async with hostile_relay(service(receive={"bip321": link}), stored=[info_event("receive")]) as relay:
        async with over(relay) as wallet:
            made = await wallet.receive(sat(5), "tea")
        assert (made.bip321, made.invoice.amount, made.invoice.payment_hash) == (link, sat(5), PAYMENT_HASH)
        assert relay.requests[0].members["params"] == {"amount": 5_000, "description": "tea"}


@pytest.mark.parametrize(
    "link",
    [None, 7, "bitcoin:", "bitcoin:?lightning=lnbcrt1x", f"bitcoin:?lightning={invoice(sat(6))}", "x"],
)
async def test_a_link_that_is_not_what_was_asked_for_is_not_shown(link: object) -> None:
    stored = [info_event("receive")]
    async with hostile_relay(service(receive={"bip321": link}), stored=stored) as relay, over(relay) as wallet:
        with pytest.raises(KitestringError) as told:
            await wallet.receive(sat(5))
        assert told.value.reason is Reason.INTERNAL
