"""Which replies end the wait, and what happens when none comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import replace

import msgspec
import pytest

from kitestring.base.errors import CodecError, Exit, KitestringError, Reason
from kitestring.client.net import Waits
from kitestring.client.session import MAX_REPLIES, Dialog, Exchange
from kitestring.codec.json import loads_reply
from kitestring.crypto import nip44
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.transport.relays import RelayPool
from kitestring.wire.envelope import MAX_REPLY_BYTES
from kitestring.wire.reply_to import Cipher
from tests.kit.chance import entropy
from tests.kit.client.hostile import (
    CLIENT,
    IMPATIENT,
    PATIENT,
    SERVICE,
    STRANGER,
    Request,
    hostile_relay,
    net,
    pool,
    refuses_e_tags,
)
from tests.kit.clock import NOW, PATIENCE_S
from tests.rig.process import free_port

RIGHT = {"answer": 42}


def read(text: str) -> dict[str, object]:
    members = loads_reply(text, MAX_REPLY_BYTES)
    if "answer" not in members:
        raise CodecError("no answer")
    return members


def exchange(relays: RelayPool, dialog: Dialog | None = None, waits: Waits = IMPATIENT) -> Exchange:
    dialog, over = dialog or Dialog.offers(CLIENT, SERVICE.public_hex), net(waits)
    return Exchange(relays, dialog, dialog.request('{"offer":"tips"}', over), over)


def sealed(members: dict[str, str]) -> str:
    """NIP-44 with the long form of the length, which nothing here writes."""
    text = json.dumps(members).encode()
    padded = bytes(2) + len(text).to_bytes(4) + text.ljust(nip44.padded_length(len(text)), b"\0")
    return nip44.seal(padded, nip44.conversation_key(SERVICE, CLIENT.public_hex), entropy(32))


def wide_pool(url: str) -> RelayPool:
    return net().pool([url], CLIENT)


def forged(event: Event) -> Event:
    return msgspec.structs.replace(event, sig=("0" if event.sig[0] != "0" else "1") + event.sig[1:])


WRONG: dict[str, Callable[[Request], Event]] = {
    "foreign author": lambda request: request.reply(RIGHT, key=STRANGER),
    "wrong e": lambda request: request.reply(RIGHT, about="ab" * 32),
    "wrong p": lambda request: request.reply(RIGHT, to=STRANGER.public_hex),
    "wrong kind": lambda request: request.reply(RIGHT, kind=kinds.DEBIT),
    "bad signature": lambda request: forged(request.reply(RIGHT)),
    "altered content": lambda request: msgspec.structs.replace(request.reply(RIGHT), content="AAAA"),
    "unknown version": lambda request: request.reply(RIGHT, tags=[["clink_version", "2"]]),
    "undecryptable": lambda request: request.reply(RIGHT, content="AAAA"),
    "empty content": lambda request: request.reply(RIGHT, content=""),
    "no JSON": lambda request: request.reply("hello"),
    "another object": lambda request: request.reply({"question": 1}),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_reply_is_no_reply(name: str) -> None:
    async with (
        hostile_relay(lambda request: [WRONG[name](request)]) as relay,
        pool(relay.url) as relays,
        exchange(relays) as asked,
    ):
        assert await asked.next(read, 0.1) is None


async def test_all_the_wrong_replies_together_do_not_end_the_wait_for_the_right_one() -> None:
    def script(request: Request) -> list[Event]:
        return [make(request) for make in WRONG.values()] + [request.reply(RIGHT)]

    async with hostile_relay(script) as relay, pool(relay.url) as relays, exchange(relays) as asked:
        assert await asked.next(read, PATIENCE_S) == RIGHT


async def test_the_request_is_published_after_the_end_of_what_is_stored() -> None:
    async with hostile_relay(lambda request: [request.reply(RIGHT)]) as relay, pool(relay.url) as relays:
        async with exchange(relays) as asked:
            await asked.next(read, PATIENCE_S)
        assert relay.labels()[:2] == ["REQ", "EVENT"]


async def test_a_relay_without_an_index_of_e_tags_is_asked_without_and_at_once() -> None:
    script = lambda request: [WRONG["wrong e"](request), request.reply(RIGHT)]  # noqa: E731 - as the other scripts
    async with hostile_relay(script, refuses_req=refuses_e_tags) as relay, pool(relay.url) as relays:
        async with asyncio.timeout(PATIENT.eose_s / 2), exchange(relays, waits=PATIENT) as asked:
            assert await asked.next(read, PATIENCE_S) == RIGHT
        assert relay.labels()[:3] == ["REQ", "REQ", "EVENT"]
        assert "#e" not in relay.log[1][2]


async def test_a_relay_that_never_says_eose_is_used_all_the_same() -> None:
    async with (
        hostile_relay(lambda request: [request.reply(RIGHT)], eose=False) as relay,
        pool(relay.url) as relays,
        exchange(relays) as asked,
    ):
        assert await asked.next(read, PATIENCE_S) == RIGHT


async def test_a_reply_that_comes_before_the_wait_is_not_lost() -> None:
    async with (
        hostile_relay(lambda request: [request.reply(RIGHT)]) as relay,
        pool(relay.url) as relays,
        exchange(relays) as asked,
    ):
        await asyncio.wait_for(relay.news.wait(), PATIENCE_S)
        assert await asked.next(read, PATIENCE_S) == RIGHT


async def test_a_reply_delivered_many_times_is_read_once_and_the_number_of_replies_is_bounded() -> None:
    def script(request: Request) -> list[Event]:
        many = [request.reply({"answer": number}) for number in range(2 * MAX_REPLIES)]
        return [many[0], many[0], *many]

    async with hostile_relay(script) as relay, pool(relay.url) as relays, exchange(relays) as asked:
        numbers = []
        while (reply := await asked.next(read, 0.3)) is not None:
            numbers.append(reply["answer"])
        assert numbers == list(range(MAX_REPLIES))


async def test_a_nwc_response_without_p_is_taken() -> None:
    def script(request: Request) -> list[Event]:
        whole = request.reply(RIGHT)
        return [_resigned(whole, [tag for tag in whole.tags if tag[0] != "p"])]

    dialog = Dialog.nwc(CLIENT, SERVICE.public_hex, "nip04")
    async with hostile_relay(script) as relay, pool(relay.url) as relays, exchange(relays, dialog) as asked:
        assert await asked.next(read, PATIENCE_S) == RIGHT


def _resigned(event: Event, tags: list[list[str]]) -> Event:
    return sign_event(SERVICE, kind=event.kind, tags=tags, content=event.content, created_at=event.created_at)


async def test_a_relay_that_refuses_the_request_ends_the_wait_with_its_words() -> None:
    async with (
        hostile_relay(lambda _: None, refuses="blocked: not you") as relay,
        pool(relay.url) as relays,
        exchange(relays) as asked,
    ):
        assert await asked.next(read, PATIENCE_S) is None
        assert "blocked: not you" in asked.trouble()


async def test_without_a_relay_nothing_is_sent_and_the_error_says_so_soon() -> None:
    loop = asyncio.get_running_loop()
    async with pool(f"ws://127.0.0.1:{free_port()}") as relays:
        began = loop.time()
        with pytest.raises(KitestringError, match="no relay can be reached") as refused:
            await exchange(relays, waits=Waits(reach_s=0.2)).open()
    assert refused.value.reason is Reason.UNAVAILABLE
    assert refused.value.exit_code is Exit.UNAVAILABLE
    assert loop.time() - began < PATIENCE_S


async def test_the_same_event_goes_to_every_relay_that_had_it_once_more() -> None:
    def second_time(_: Request) -> Iterable[Event]:
        return [request.reply(RIGHT) for request in relay.requests[1:]]

    async with hostile_relay(second_time) as relay, pool(relay.url) as relays, exchange(relays) as asked:
        assert await asked.next(read, 0.05) is None
        asked.send_again()
        assert await asked.next(read, PATIENCE_S) == RIGHT
        assert {request.event.id for request in relay.requests} == {asked.request.id}


async def test_closing_ends_the_subscriptions() -> None:
    async with hostile_relay(lambda request: [request.reply(RIGHT)]) as relay, pool(relay.url) as relays:
        async with exchange(relays) as asked:
            await asked.next(read, PATIENCE_S)
        async with exchange(relays) as asked:  # its REQ comes after the CLOSE on the same socket
            await asked.next(read, PATIENCE_S)
        assert relay.labels()[:3] == ["REQ", "EVENT", "CLOSE"]


async def test_one_relay_with_an_index_of_e_tags_does_not_hide_that_another_one_has_none() -> None:
    silent, right = (lambda _: None), (lambda request: [request.reply(RIGHT)])
    async with (
        hostile_relay(silent) as indexed,
        hostile_relay(right, refuses_req=refuses_e_tags) as plain,
        pool(indexed.url, plain.url) as relays,
    ):
        assert await relays.connected(2)
        async with exchange(relays) as asked:
            assert await asked.next(read, PATIENCE_S) == RIGHT


# ------------------------------------------------------------ one mute relay beside a good one


async def test_a_mute_relay_beside_a_good_one_costs_nothing() -> None:
    right = lambda request: [request.reply(RIGHT)]  # noqa: E731 - as the other scripts
    async with (
        hostile_relay(right) as good,
        hostile_relay(right, mute=True) as mute,
        pool(mute.url, good.url) as relays,
    ):
        assert await relays.connected(2)
        async with asyncio.timeout(PATIENT.eose_s / 2), exchange(relays, waits=PATIENT) as asked:
            assert await asked.next(read, PATIENCE_S) == RIGHT
        assert "EVENT" not in mute.labels()  # nobody was known to listen there


async def test_a_relay_that_is_slow_to_listen_is_sent_the_request_when_it_has_had_its_time() -> None:
    async with (
        hostile_relay(lambda _: None) as good,
        hostile_relay(lambda request: [request.reply(RIGHT)], eose=False) as slow,
        pool(slow.url, good.url) as relays,
    ):
        assert await relays.connected(2)
        async with exchange(relays) as asked:
            assert await asked.next(read, PATIENCE_S) == RIGHT
        assert (good.labels().count("EVENT"), slow.labels().count("EVENT")) == (1, 1)


async def test_the_refusal_of_the_first_relay_does_not_end_the_wait_for_one_that_is_slow_to_listen() -> None:
    async with (
        hostile_relay(lambda _: None, refuses="blocked: not you") as quick,
        hostile_relay(lambda request: [request.reply(RIGHT)], eose=False) as slow,
        pool(quick.url, slow.url) as relays,
    ):
        assert await relays.connected(2)
        async with exchange(relays) as asked:
            assert await asked.next(read, PATIENCE_S) == RIGHT


async def test_the_words_of_all_relays_that_refused_are_told() -> None:
    async with (
        hostile_relay(lambda _: None, refuses="blocked: not you") as one,
        hostile_relay(lambda _: None, refuses="invalid: no kind", eose=False) as other,
        pool(one.url, other.url) as relays,
    ):
        assert await relays.connected(2)
        async with exchange(relays) as asked:
            assert await asked.next(read, PATIENCE_S) is None
            assert "blocked: not you" in asked.trouble()
            assert "invalid: no kind" in asked.trouble()


# ------------------------------------------------------------ replies that cannot be read, and clocks


@pytest.mark.parametrize("name", ["undecryptable", "empty content", "no JSON", "another object"])
async def test_a_reply_that_cannot_be_read_is_told_at_once_and_as_such(name: str) -> None:
    waits = replace(IMPATIENT, unread_s=0.05)
    async with (
        hostile_relay(lambda request: [WRONG[name](request)]) as relay,
        pool(relay.url) as relays,
        exchange(relays, waits=waits) as asked,
    ):
        async with asyncio.timeout(PATIENCE_S):
            assert await asked.next(read, 10 * PATIENCE_S) is None
        assert "cannot be read" in asked.trouble()


async def test_an_unreadable_reply_does_not_shorten_a_patient_wait() -> None:
    requests: list[Request] = []

    def script(request: Request) -> list[Event]:
        requests.append(request)
        return [WRONG["no JSON"](request)]

    waits = replace(IMPATIENT, unread_s=0)
    async with hostile_relay(script) as relay, pool(relay.url) as relays, exchange(relays, waits=waits) as asked:
        assert await asked.next(read, PATIENCE_S) is None
        wait = asyncio.create_task(asked.next(read, PATIENCE_S, patient=True))
        await relay.deliver([requests[0].reply(RIGHT)])
        assert await wait == RIGHT


@pytest.mark.parametrize("cipher", ["nip04", "nip44"])
async def test_a_nwc_wallet_may_answer_in_the_cipher_that_it_knows(cipher: Cipher) -> None:
    asked_in: Cipher = "nip44" if cipher == "nip04" else "nip04"
    dialog = Dialog.nwc(CLIENT, SERVICE.public_hex, asked_in)
    script = lambda request: [replace(request, cipher=cipher).reply(RIGHT)]  # noqa: E731 - as above
    async with hostile_relay(script) as relay, pool(relay.url) as relays, exchange(relays, dialog) as asked:
        assert await asked.next(read, PATIENCE_S) == RIGHT
        assert asked.cipher == cipher


async def test_an_offer_is_never_answered_in_nip04() -> None:
    script = lambda request: [replace(request, cipher="nip04").reply(RIGHT)]  # noqa: E731 - as above
    async with hostile_relay(script) as relay, pool(relay.url) as relays, exchange(relays) as asked:
        assert await asked.next(read, PATIENCE_S) is None


@pytest.mark.parametrize(("at", "ahead_s"), [(NOW, 0), (NOW + 300, 300), (NOW - 300, -300)])
async def test_the_clock_of_the_service_is_read_from_its_replies(at: int, ahead_s: int) -> None:
    async with (
        hostile_relay(lambda request: [request.reply(RIGHT, at=at)]) as relay,
        pool(relay.url) as relays,
        exchange(relays) as asked,
    ):
        assert await asked.next(read, PATIENCE_S) == RIGHT
        assert asked.ahead_s == ahead_s


async def test_a_reply_of_more_than_64_kilobytes_is_read() -> None:
    long = {"answer": "x" * 300_000}
    content = sealed(long)
    async with (
        hostile_relay(lambda request: [request.reply(long, content=content)]) as relay,
        wide_pool(relay.url) as relays,
        exchange(relays) as asked,
    ):
        assert await asked.next(read, PATIENCE_S) == long
