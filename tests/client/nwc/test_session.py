"""A session with a wallet: ciphers, clocks, and answers that do not come or cannot be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest

from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.client.nwc import NwcClient
from kitestring.nostr.event import Event
from tests.kit.client.hostile import IMPATIENT, PATIENT, STRANGER, Request, hostile_relay, info_event, net, nwc_uri
from tests.kit.client.nwc import client, refused, script
from tests.kit.clock import NOW
from tests.rig.process import free_port


@pytest.mark.parametrize("said", ["hello", "[]", "{}", '{"result":{}}', '{"result":{"balance":"much"}}'])
async def test_an_answer_that_cannot_be_read_is_told_at_once_and_as_such(said: str) -> None:
    waits = replace(PATIENT, unread_s=0.05)
    async with (
        hostile_relay(lambda request: [request.reply(said)], stored=[info_event()]) as relay,
        client(relay, waits) as wallet,
        asyncio.timeout(PATIENT.read_s / 2),
    ):
        with pytest.raises(KitestringError, match="the wallet's reply cannot be read") as caught:
            await wallet.get_balance()
    assert caught.value.reason is Reason.INTERNAL


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [(600, "10 minutes ahead of the one here"), (-600, "10 minutes behind the one here")],
)
async def test_a_clock_that_differs_is_told_with_what_it_may_have_ended(ahead_s: int, words: str) -> None:
    def answer(request: Request) -> Iterable[Event]:
        error = {"code": "EXPIRED", "message": "this app has expired"}
        return [request.reply({"error": error, "result": None}, at=NOW + ahead_s)]

    error = await refused(answer)
    assert error.reason is Reason.CONNECTION_ENDED
    assert words in error.message


async def test_a_silent_wallet_without_an_info_event_may_be_one_of_nip04() -> None:
    async with hostile_relay(script(get_balance=None)) as relay:
        async with client(relay, IMPATIENT) as wallet:
            with pytest.raises(KitestringError, match="knows NIP-04 only"):
                await wallet.get_balance()
        async with client(relay, IMPATIENT, legacy=True) as wallet:
            with pytest.raises(KitestringError) as caught:
                await wallet.get_balance()
    assert "NIP-04" not in caught.value.message


async def test_a_refusal_in_nip04_does_not_raise_the_connection_to_nip44() -> None:
    def answer(request: Request) -> Iterable[Event]:
        return [replace(request, cipher="nip04").result(error={"code": "OTHER", "message": "what?"})]

    async with hostile_relay(answer) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="what"):
            await wallet.get_balance()
        assert not wallet.nip44_seen


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
