"""What a wallet says unasked is heard in both ciphers; what was missed is said to be missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kitestring.client.nwc import listening as nwc_listening
from kitestring.client.nwc.listening import Listening
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.wire.envelope import encrypt, shared_secret
from kitestring.wire.reply_to import Cipher
from tests.kit.chance import entropy
from tests.kit.client.hostile import CLIENT, CLOCK, SERVICE, STRANGER, HostileRelay, hostile_relay, pool
from tests.kit.clock import NOW
from tests.kit.waiting import until

CIPHERS: dict[Cipher, int] = {"nip44": kinds.NWC_NOTIFY, "nip04": kinds.NWC_NOTIFY_NIP04}
LONG_S = 5.0


def told(number: int = 1, cipher: Cipher = "nip44", key: SecretKey = SERVICE, text: str | None = None) -> Event:
    """The ``number``-th payment, as the wallet tells it."""
    record = {
        "type": "incoming",
        "state": "settled",
        "payment_hash": f"{number:016x}" + 48 * "0",
        "amount": 1,
        "settled_at": NOW,
    }
    text = json.dumps({"notification_type": "payment_received", "notification": record}) if text is None else text
    content = encrypt(text, cipher, shared_secret(key, CLIENT.public_hex, cipher), entropy)
    tags = [["p", CLIENT.public_hex]]
    return sign_event(key, kind=CIPHERS[cipher], tags=tags, content=content, created_at=NOW)


@asynccontextmanager
async def listening(relay: HostileRelay, *, is_promised: bool = True) -> AsyncIterator[Listening]:
    async with pool(relay.url) as relays:
        made = Listening(relays, CLIENT, SERVICE.public_hex, CLOCK, "n", lambda: is_promised)
        await made.open(LONG_S)
        try:
            yield made
        finally:
            await made.close()


def has_missed(made: Listening) -> bool:
    return made.has_missed


async def numbers(made: Listening, count: int) -> list[int]:
    heard = [await made.next(LONG_S) for _ in range(count)]
    return [int(one.transaction.payment_hash[:16], 16) for one in heard if one is not None]


async def test_both_ciphers_are_heard_each_event_once_and_nothing_forged() -> None:
    forged = [told(7, key=STRANGER), told(8, text="{}"), told(9, text="no json")]
    async with hostile_relay(lambda _: ()) as relay, listening(relay) as made:
        one, two = told(1), told(2, "nip04")
        await relay.deliver([one, *forged, one, two, told(3)])
        assert await numbers(made, 3) == [1, 2, 3]
        assert await made.next(0.05) is None


async def test_what_a_relay_has_kept_is_heard_and_asked_for_by_addressee() -> None:
    async with hostile_relay(lambda _: (), stored=[told(4)]) as relay, listening(relay) as made:
        assert await numbers(made, 1) == [4]
        (asked,) = [frame[2] for frame in relay.log if frame[0] == "REQ"]
        assert asked == {
            "kinds": [kinds.NWC_NOTIFY_NIP04, kinds.NWC_NOTIFY], "authors": [SERVICE.public_hex],
            "#p": [CLIENT.public_hex], "since": NOW - nwc_listening.SINCE_S,
        }  # fmt: skip


async def test_a_relay_that_knows_no_p_tags_is_asked_for_all_that_the_wallet_says() -> None:
    def refuses(wanted: dict[str, Any]) -> str:
        return "unsupported: no such filter" if "#p" in wanted else ""

    async with hostile_relay(lambda _: (), refuses_req=refuses) as relay, listening(relay) as made:
        await until(lambda: len([frame for frame in relay.log if frame[0] == "REQ"]) == 2, "asked in another way")
        await until(lambda: bool(made._live()), "it was taken")
        await relay.deliver([told(5)])
        assert await numbers(made, 1) == [5]


async def test_at_the_beginning_and_after_a_lost_connection_something_may_be_missed() -> None:
    async with hostile_relay(lambda _: ()) as relay, listening(relay) as made:
        assert has_missed(made)
        made.has_missed = False
        assert await made.next(0.05) is None
        assert not has_missed(made)
        for socket, _ in relay._sockets:
            await socket.close()
        assert await made.next(LONG_S) is None
        assert has_missed(made)
        await relay.deliver([told(6)])
        assert await numbers(made, 1) == [6]


async def test_more_than_can_wait_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nwc_listening, "MAX_HEARD", 3)
    monkeypatch.setattr(nwc_listening, "MAX_SEEN", 2)
    async with hostile_relay(lambda _: ()) as relay, listening(relay) as made:
        made.has_missed = False
        await relay.deliver([told(number) for number in range(1, 6)])
        await until(lambda: made.has_missed, "it has missed some")
        assert await numbers(made, 3) == [1, 2, 3]
        assert len(made._seen) == 2


async def test_who_waits_is_told_of_the_end() -> None:
    async with hostile_relay(lambda _: ()) as relay, listening(relay, is_promised=False) as made:
        assert not made.is_promised
        waiting = asyncio.ensure_future(made.next(60))
        await asyncio.sleep(0)
        await made.close()
        assert await asyncio.wait_for(waiting, LONG_S) is None


async def test_one_that_was_never_opened_can_be_closed() -> None:
    await Listening(pool("ws://127.0.0.1:1"), CLIENT, SERVICE.public_hex, CLOCK, "n", lambda: True).close()
