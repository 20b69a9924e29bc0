"""Real events in, real events out: what the gateway answers, repeats, and passes over in silence."""

from __future__ import annotations

import json
import logging
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.app.service.in_hand import InHand
from kitestring.base.errors import CodecError, KitestringError, NotStoredError, Reason
from kitestring.base.node import NodeBalance
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, sign_event
from tests.kit.app.door import APP, STRANGER, Door, code, door
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life

# ------------------------------------------------------------ who is heard


@door()
async def test_a_payment_is_answered_with_its_preimage(life: Life, door: Door) -> None:
    reply = await door.ask("pay_invoice", {"invoice": door.invoice()})
    assert reply["result_type"] == "pay_invoice"
    assert reply.get("error") is None
    assert sha256(bytes.fromhex(reply["result"]["preimage"])).hexdigest() in life.node.paid_out()


@door()
async def test_a_foreign_author_is_met_with_silence_and_pays_nothing(life: Life, door: Door) -> None:
    assert await door.tell(door.request("pay_invoice", {"invoice": door.invoice()}, key=STRANGER)) == []
    assert life.node.sends == []


@door()
async def test_each_request_of_an_app_is_a_use_of_its_connection_and_nobody_elses_is(life: Life, door: Door) -> None:
    await door.tell(door.request("get_balance", key=STRANGER))
    assert door.seen == []
    await door.ask("get_balance")
    await door.ask("pay_keysend", {})
    assert door.seen == ["app", "app"]


@door()
async def test_an_event_for_somebody_else_is_passed_over(life: Life, door: Door) -> None:
    assert await door.tell(door.request("get_balance", to=STRANGER.public_hex)) == []
    first_p_is_foreign = door.request("get_balance")
    tags = [["p", STRANGER.public_hex], *first_p_is_foreign.tags]
    event = sign_event(
        APP, kind=kinds.NWC_REQUEST, tags=tags, content=first_p_is_foreign.content, created_at=door.clock.now(),
        aux=b"\x00" * 32,
    )  # fmt: skip
    assert await door.tell(event) == []


@door()
async def test_a_forged_signature_is_passed_over_and_does_not_spoil_the_genuine_event(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    assert await door.tell(msgspec.structs.replace(event, sig="00" * 64)) == []
    assert len(await door.tell(event)) == 1


@door()
async def test_an_event_whose_expiration_has_passed_is_not_carried_out(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()}, expires_at=door.clock.now() - 1)
    assert await door.tell(event) == []
    assert life.node.sends == []


@door()
async def test_a_revoked_connection_is_told_so_and_pays_nothing(life: Life, door: Door) -> None:
    await door.rig.change("app", revoked_at=door.clock.now())
    await door.refresh()
    assert code(await door.ask("pay_invoice", {"invoice": door.invoice()})) == "UNAUTHORIZED"
    assert code(await door.ask("get_balance")) == "UNAUTHORIZED"
    assert life.node.sends == []


@door(methods="get_balance")
async def test_what_a_connection_may_not_do_is_restricted(life: Life, door: Door) -> None:
    assert code(await door.ask("pay_invoice", {"invoice": door.invoice()})) == "RESTRICTED"
    assert (await door.ask("get_info")).get("error") is None


# ------------------------------------------------------------ when


@door()
async def test_a_stale_request_is_told_the_delta_and_not_carried_out(life: Life, door: Door) -> None:
    invoice = door.invoice()
    reply = await door.ask("pay_invoice", {"invoice": invoice}, age_s=301)
    assert (reply["result_type"], code(reply)) == ("pay_invoice", "OTHER")
    assert code(await door.ask("pay_invoice", {"invoice": invoice}, age_s=-61)) == "OTHER"
    assert await door.tell(door.request("pay_invoice", {"invoice": invoice}, age_s=86_401)) == []
    assert life.node.sends == []


@pytest.mark.parametrize("is_full", [False, True])
def test_of_what_an_earlier_life_may_have_paid_nobody_says_that_it_was_not(life: Life, is_full: bool) -> None:
    @door()
    async def story(life: Life, door: Door) -> None:
        life.is_witnessed = False
        stale = door.request("pay_invoice", {"invoice": door.invoice()}, age_s=301)
        unread = door.event("not a request", age_s=100)
        if is_full:
            door.rig.store.broken["Refuse"] = [FULL, FULL]
        assert [await door.tell(event) for event in (stale, unread)] == [[], []]
        assert code(await door.ask("pay_invoice", {"invoice": door.invoice()}, age_s=-61)) == "OTHER"
        life.is_witnessed = True
        for event in (stale, unread):
            await door.tell(event)
        assert life.node.sends == []

    story(life)


@door()
async def test_a_replay_gets_the_stored_reply_again_even_hours_later(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    (first,) = await door.tell(event)
    (again,) = await door.tell(event)
    await door.clock.sleep(7_200)
    (late,) = await door.tell(event)
    assert first == again == late
    assert len(life.node.sends) == 1
    fresh = [reply for reply in door.pool.sent if first_tag(reply, "e") == event.id][-1]
    assert fresh.created_at == door.clock.now()  # relays refuse old ephemeral events


@door()
async def test_a_late_copy_of_a_payment_under_way_is_not_called_stale(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice(Script(settles_after_s=1_000))})
    assert await door.tell(event) == []
    await door.clock.sleep(600)
    assert await door.tell(event) == []
    await door.clock.sleep(600)
    assert len([reply for reply in door.pool.sent if first_tag(reply, "e") == event.id]) == 1


@door(limits=RequestLimits(payments_per_min=1))
async def test_a_copy_of_a_payment_under_way_is_not_called_too_many(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice(Script(settles_after_s=30))})
    assert await door.tell(event) == []
    assert await door.tell(event) == []
    await door.clock.sleep(31)
    assert len([reply for reply in door.pool.sent if first_tag(reply, "e") == event.id]) == 1


@door(limits=RequestLimits(requests_per_min=3, payments_per_min=2))
async def test_more_requests_than_allowed_are_limited_until_the_bucket_has_room(life: Life, door: Door) -> None:
    replies = [await door.ask("pay_invoice", {"invoice": door.invoice()}) for _ in range(3)]
    assert [code(reply) if "error" in reply else None for reply in replies] == [None, None, "RATE_LIMITED"]
    assert await door.tell(door.request("get_balance")) == []  # told once; the rest is silence
    assert [(wire, grant, refused.reason) for wire, grant, refused, _ in door.refused] == [  # the owner sees both
        ("nwc", "app", Reason.RATE_LIMITED),
        ("nwc", "app", Reason.RATE_LIMITED),
    ]
    await door.clock.sleep(5)
    assert code(await door.ask("make_invoice", {"amount": "x"})) == "RATE_LIMITED"
    await door.clock.sleep(60)
    assert (await door.ask("pay_invoice", {"invoice": door.invoice()})).get("error") is None


# ------------------------------------------------------------ what


@door()
async def test_what_nobody_can_read_is_answered_once_a_minute(life: Life, door: Door) -> None:
    def unreadable() -> Event:
        event = door.request("get_balance")
        content = event.content[:20] + ("A" if event.content[20] != "A" else "B") + event.content[21:]
        created_at = door.clock.now()
        return sign_event(
            APP, kind=event.kind, tags=event.tags, content=content, created_at=created_at, aux=door.rig.life.entropy(32)
        )

    (told,) = await door.tell(unreadable())
    assert code(told) == "OTHER"
    assert await door.tell(unreadable()) == []
    await door.clock.sleep(61)
    assert len(await door.tell(unreadable())) == 1


BAD: dict[str, tuple[str, Any, str]] = {
    "unknown method": ("mine_bitcoin", {}, "NOT_IMPLEMENTED"),
    "params null where something is needed": ("pay_invoice", None, "OTHER"),
    "params a list": ("pay_invoice", [], "OTHER"),
    "not an invoice": ("pay_invoice", {"invoice": "lnbcrt1nonsense"}, "OTHER"),
    "an amount as a float": ("make_invoice", {"amount": 1.5}, "OTHER"),
    "a negative amount": ("make_invoice", {"amount": -1}, "OTHER"),
    "an amount as true": ("make_invoice", {"amount": True}, "OTHER"),
    "a hash that is none": ("lookup_invoice", {"payment_hash": "xyz"}, "OTHER"),
    "an unknown hash": ("lookup_invoice", {"payment_hash": "00" * 32}, "NOT_FOUND"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_requests_get_one_typed_answer_and_the_service_goes_on(life: Life, bad: str) -> None:
    method, params, expected = BAD[bad]

    @door()
    async def story(_: Life, opened: Door) -> None:
        reply = await opened.ask(method, params)
        assert (reply["result_type"], code(reply)) == (method, expected)
        assert (await opened.ask("get_balance", None)).get("error") is None

    story(life)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"method":"get_balance","method":"get_info"}', "[" * 5_000, "NaN"])
def test_texts_that_are_no_request_get_one_typed_answer(life: Life, text: str) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        try:
            event = opened.event(text)
        except CodecError:
            return  # NIP-44 has no form for it
        (reply,) = await opened.tell(event)
        assert code(reply) == "OTHER"

    story(life)


@door()
async def test_invoices_that_must_not_be_paid_are_refused_before_the_node_is_asked(life: Life, door: Door) -> None:
    invoice = door.invoice()
    refused = [
        {"invoice": invoice[:-1] + ("q" if invoice[-1] != "q" else "p")},
        {"invoice": invoice, "amount": 9_999},
        {"invoice": door.invoice(amount_msat=None)},
        {"invoice": door.invoice(amount_msat=None), "amount": 0},
        {"invoice": invoice, "max_fee": -1},
    ]
    for params in refused:
        assert code(await door.ask("pay_invoice", params)) == "OTHER", params
    assert life.node.sends == []
    reply = await door.ask("pay_invoice", {"invoice": door.invoice(amount_msat=None), "amount": 5_000})
    assert "error" not in reply


@door()
async def test_what_the_node_says_about_a_failure_is_told_to_nobody_outside(life: Life, door: Door) -> None:
    async def broken() -> NodeBalance:
        raise RuntimeError("rpc at 10.0.0.7: permission denied")

    life.node.replace("balance", broken)
    await door.rig.offer("coffee")
    replies = [await door.ask("get_balance"), *await door.tell(door.offer_request())]
    assert code(replies[0]) == "INTERNAL"
    assert replies[1]["code"] == 2
    assert "10.0.0.7" not in json.dumps(replies)


# ------------------------------------------------------------ encryption


@door()
async def test_a_connection_answers_in_the_encryption_it_was_asked_in(life: Life, door: Door) -> None:
    old = door.request("get_balance", {}, cipher="nip04")
    assert len(await door.tell(old)) == 1
    assert "?iv=" in door.pool.sent[-1].content
    assert door.raised == []
    await door.ask("get_balance")
    assert "?iv=" not in door.pool.sent[-1].content
    assert door.raised == ["app"]


@door(nip44_seen=True)
async def test_who_has_spoken_nip44_is_never_lowered_to_nip04(life: Life, door: Door) -> None:
    reply = await door.ask("pay_invoice", {"invoice": door.invoice()}, cipher="nip04")
    assert (reply["result_type"], code(reply)) == ("pay_invoice", "OTHER")
    assert life.node.sends == []
    assert (await door.ask("get_balance")).get("error") is None


@door(cipher="legacy")
async def test_a_legacy_connection_stays_with_nip04(life: Life, door: Door) -> None:
    assert (await door.ask("get_balance", {}, cipher="nip04")).get("error") is None
    reply = await door.ask("get_balance", {}, cipher="nip44")
    assert (reply["result_type"], code(reply)) == ("get_balance", "UNSUPPORTED_ENCRYPTION")
    assert door.raised == []


@door(cipher="both")
async def test_what_was_not_sent_and_never_will_be_has_failed(life: Life, door: Door) -> None:
    """Wallets that put a payment off until they are told otherwise wait forever after OTHER."""
    foreign, expired = door.invoice(network="bitcoin"), door.invoice(expiry_s=60)
    await door.clock.sleep(61)
    for invoice, words in ((foreign, "for bitcoin"), (expired, "expired")):
        for cipher in ("nip44", "nip04"):
            reply = await door.ask("pay_invoice", {"invoice": invoice}, cipher=cipher)
            assert (code(reply), words in reply["error"]["message"]) == ("PAYMENT_FAILED", True)
    assert life.node.sends == []


@door(cipher="both")
async def test_an_app_that_mixes_encryptions_is_served_in_both_where_the_owner_has_allowed_it(
    life: Life, door: Door
) -> None:
    for cipher in ("nip44", "nip04", "nip44", "nip04"):
        assert "error" not in await door.ask("get_balance", {}, cipher=cipher)
        assert ("?iv=" in door.pool.sent[-1].content) is (cipher == "nip04")
    assert door.raised == []


@door(cipher="legacy", link_salt=b"salt")
async def test_the_first_request_tells_that_the_link_is_in_use(life: Life, door: Door) -> None:
    await door.ask("get_balance", {}, cipher="nip44")
    assert door.used == []  # refused: whoever made a mistake may need the link once more
    await door.ask("get_balance", {}, cipher="nip04")
    assert (door.used, door.raised) == (["app"], [])


# ------------------------------------------------------------ offers


@door()
async def test_a_stranger_gets_an_invoice_from_an_offer_and_a_receipt_after_paying_it(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    asking: dict[str, Any] = {"key": STRANGER, "to": door.keyring.service_id, "kind": kinds.OFFER}
    event = door.event(json.dumps({"offer": "coffee", "amount_sats": 21}), **asking)
    (reply,) = await door.tell(event)
    made = next(iter(life.node._made))
    assert reply["bolt11"] == life.node._made[made].invoice.bolt11
    assert await door.tell(event) == [reply]
    life.node.pay_in(made)
    await door.clock.sleep(5)
    receipt = door.read(door.pool.sent[-1])
    assert sha256(bytes.fromhex(receipt["preimage"])).hexdigest() == made


@door()
async def test_offer_requests_that_cannot_be_read_are_met_with_silence(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    asking: dict[str, Any] = {"key": STRANGER, "to": door.keyring.service_id, "kind": kinds.OFFER}
    event = door.event('{"offer":"coffee"}', **asking)
    garbled = sign_event(
        STRANGER, kind=kinds.OFFER, tags=event.tags, content="AgAAAA" + "A" * 200, created_at=door.clock.now(),
        aux=b"\x00" * 32,
    )  # fmt: skip
    assert await door.tell(garbled) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [('{"offer":"nowhere","amount_sats":1}', 1), ('{"offer":"coffee","amount_sats":-1}', 6), ("[]", 6)],
)
def test_bad_offer_requests_get_one_typed_answer_and_leave_no_row(life: Life, text: str, expected: int) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        await opened.rig.offer("coffee")
        event = opened.event(text, key=STRANGER, to=opened.keyring.service_id, kind=kinds.OFFER)
        (reply,) = await opened.tell(event)
        assert reply["code"] == expected
        assert await opened.rig.store.request(event.id) is None
        ((wire, grant_id, refused, _),) = opened.refused
        assert (wire, grant_id, refused.reason is not None) == ("offers", "", True), "the owner sees it"

    story(life)


@door(limits=RequestLimits(offer_requests_per_min=2))
async def test_strangers_share_one_bucket_per_offer(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    asking: dict[str, Any] = {"key": STRANGER, "to": door.keyring.service_id, "kind": kinds.OFFER}
    text = json.dumps({"offer": "coffee", "amount_sats": 21})
    replies = [(await door.tell(door.event(text, **asking)))[0] for _ in range(3)]
    assert ["bolt11" in reply for reply in replies] == [True, True, False]
    assert replies[2]["code"] == 2


# ------------------------------------------------------------ unreadable


def unreadable(opened: Door, cipher: str | None) -> Event:
    tags = [["p", opened.grant_key], *([["encryption", cipher]] if cipher else [])]
    return sign_event(
        APP, kind=23194, tags=tags, content="garbage", created_at=opened.clock.now(), aux=opened.rig.life.entropy(32)
    )


@pytest.mark.parametrize(
    ("grant", "tag", "nip04"),
    [({}, None, False), ({}, "nip44_v2", False), ({"nip44_seen": True}, None, False),
     ({"cipher": "nip44"}, "nip04", False), ({"cipher": "legacy"}, "nip44_v2", False),
     ({"cipher": "legacy"}, None, True)],
)  # fmt: skip
def test_what_cannot_be_read_is_answered_in_the_preferred_cipher(
    life: Life, grant: dict[str, Any], tag: str | None, nip04: bool
) -> None:
    @door(**grant)
    async def story(_: Life, opened: Door) -> None:
        event = unreadable(opened, tag)
        assert len(await opened.tell(event)) == 1
        assert first_tag(opened.pool.sent[-1], "e") == event.id
        assert ("?iv=" in opened.pool.sent[-1].content) is nip04

    story(life)


@door()
async def test_requests_of_one_connection_leave_room_for_those_of_others_and_are_heard_when_shown_again(
    life: Life, door: Door
) -> None:
    await door.rig.offer("coffee")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.gateway, "_in_hand", InHand(4))
        events = [door.request("get_balance") for _ in range(3)]
        for event in (*events, asked := door.offer_request()):
            door.gateway.receive(event, "ws://127.0.0.1:1")
        await door.gateway.drain(60)
        await door.clock.sleep(0.1)
        told = [first_tag(reply, "e") for reply in door.pool.sent]
        assert [told.count(event.id) for event in (*events, asked)] == [1, 1, 0, 1]
        assert len(await door.tell(events[2])) == 1


@door()
async def test_a_flood_fills_one_line_a_minute(life: Life, door: Door) -> None:
    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    lines: list[str] = []
    handler = Lines()
    logging.getLogger("kitestring.gateway").addHandler(handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door.gateway, "_in_hand", InHand(0))
            for pause_s in (0, 0, 0, 61):
                await door.clock.sleep(pause_s)
                await door.tell(door.request("get_balance"))
    finally:
        logging.getLogger("kitestring.gateway").removeHandler(handler)
    assert [line.partition(":")[2].split()[0] for line in lines] == ["1", "3"]


# ------------------------------------------------------------ a disk without room

FULL = NotStoredError(Reason.INTERNAL, "the disk is full")


@door()
async def test_a_payment_that_cannot_be_stored_is_refused_and_no_copy_of_it_is_ever_carried_out(
    life: Life, door: Door
) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    door.rig.store.broken["ClaimPayment"] = [FULL]
    (reply,) = await door.tell(event)
    assert (reply["result_type"], reply["error"]["code"]) == ("pay_invoice", "INTERNAL")
    assert "nothing was done" in reply["error"]["message"]
    await door.tell(event)
    await door.forget()
    (again,) = await door.tell(event)
    assert again == reply
    assert life.node.sends == []
    assert await door.rig.store.request(event.id) is not None  # the disk has room again: it is in the ledger now


@door()
async def test_while_the_disk_stays_full_a_copy_is_refused_without_it(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    door.rig.store.broken.update({"ClaimPayment": [FULL] * 9, "Refuse": [FULL] * 9})
    first = await door.tell(event)
    await door.forget()
    assert await door.tell(event) == first != []
    assert life.node.sends == []


@door()
async def test_where_nothing_can_be_kept_of_a_refusal_nothing_is_said(life: Life, door: Door) -> None:
    door.rig.life.path.with_suffix(".refused").unlink()
    door.rig.life.path.with_suffix(".refused").mkdir()
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    door.rig.store.broken["ClaimPayment"] = [FULL]
    assert await door.tell(event) == []
    (reply,) = await door.tell(event)
    assert reply.get("error") is None
    assert len(life.node.sends) == 1


@pytest.mark.parametrize(("pays_s", "unstored"), [(30, "ClaimPayment"), (0, "Refuse")], ids=["under way", "made"])
def test_a_second_request_for_a_payment_that_is_made_or_under_way_is_not_told_that_nothing_was_done(
    life: Life, pays_s: int, unstored: str
) -> None:
    @door()
    async def story(life: Life, door: Door) -> None:
        invoice = door.invoice(Script(settles_after_s=pays_s))
        await door.tell(door.request("pay_invoice", {"invoice": invoice}))
        door.rig.store.broken[unstored] = [FULL]
        second = door.request("pay_invoice", {"invoice": invoice})
        assert await door.tell(second) == []
        await door.clock.sleep(60)
        (reply,) = await door.tell(second)
        assert reply.get("error") is None, "the disk has room again"
        assert len(life.node.sends) == 1

    story(life)


@pytest.mark.parametrize("is_expired", [False, True], ids=["payable", "expired since"])
def test_of_requests_for_a_payment_under_way_beyond_a_number_nothing_is_said_and_little_is_kept(
    life: Life, monkeypatch: pytest.MonkeyPatch, is_expired: bool
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.claims.MAX_JOINED", 2)

    @door()
    async def story(life: Life, door: Door) -> None:
        invoice = door.invoice(Script(settles_after_s=600), expiry_s=60)
        first = [door.request("pay_invoice", {"invoice": invoice}) for _ in range(2)]
        for event in first:
            await door.tell(event)
        await door.clock.sleep(120 if is_expired else 1)
        beyond = door.request("pay_invoice", {"invoice": invoice})
        assert await door.tell(beyond) == []
        stored = await door.rig.store.request(beyond.id)
        assert (stored.command, await door.rig.store.messages(beyond.id)) == (b"", ())
        await door.clock.sleep(700)
        assert len({first_tag(reply, "e") for reply in door.pool.sent} & {event.id for event in first}) == 2
        assert (await door.ask("pay_invoice", {"invoice": invoice})).get("error") is None
        assert await door.tell(beyond) == []
        assert len(life.node.sends) == 1

    story(life)


@door()
async def test_an_error_that_may_have_been_stored_is_met_with_silence(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    door.rig.store.broken["ClaimPayment"] = [KitestringError(Reason.INTERNAL, "disk I/O error")]
    assert await door.tell(event) == []


@door()
async def test_a_stranger_whose_request_cannot_be_stored_is_told_so(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    door.rig.store.broken["RecordInvoice"] = [FULL]
    (reply,) = await door.tell(door.offer_request())
    assert "nothing was done" in reply["error"]
