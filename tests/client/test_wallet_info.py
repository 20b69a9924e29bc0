"""The info event: whoever tells it first is believed, the newest wins, and what comes later counts."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from kitestring.client.net import Waits
from kitestring.client.wallet_info import WalletInfo
from kitestring.transport.relays import RelayPool
from tests.kit.client.hostile import PATIENT, SERVICE, STRANGER, hostile_relay, info_event, pool
from tests.kit.clock import NOW
from tests.kit.waiting import until

NEW, OLD = info_event(encryption="nip44_v2"), info_event(encryption=None, at=NOW - 9)


async def told(relays: RelayPool, waits: Waits = PATIENT, *, connected: int = 2) -> WalletInfo:
    assert await relays.connected(connected)
    info = WalletInfo(relays, SERVICE.public_hex, nip44_seen=False)
    await info.open(waits)
    return info


async def test_a_mute_relay_beside_one_that_has_it_costs_nothing() -> None:
    async with (
        hostile_relay(lambda _: None, mute=True) as mute,
        hostile_relay(lambda _: None, stored=[NEW]) as good,
        pool(mute.url, good.url) as relays,
        asyncio.timeout(PATIENT.others_s / 2),
    ):
        info = await told(relays)
    assert info.latest is not None
    assert info.latest.ciphers == ("nip44",)


async def test_a_mute_relay_beside_one_that_has_none_costs_a_moment() -> None:
    waits = Waits(info_s=60, others_s=0.05)
    async with (
        hostile_relay(lambda _: None, mute=True) as mute,
        hostile_relay(lambda _: None) as empty,
        pool(mute.url, empty.url) as relays,
        asyncio.timeout(10),
    ):
        assert (await told(relays, waits)).latest is None


async def test_where_the_first_relay_has_none_that_of_the_second_is_waited_for() -> None:
    async with (
        hostile_relay(lambda _: None) as empty,
        hostile_relay(lambda _: None, stored=[NEW], eose=False) as good,
        pool(empty.url, good.url) as relays,
    ):
        info = await told(relays)
        assert info.latest is not None


async def test_where_no_relay_has_one_nobody_waits() -> None:
    async with (
        hostile_relay(lambda _: None) as one,
        hostile_relay(lambda _: None) as other,
        pool(one.url, other.url) as relays,
        asyncio.timeout(PATIENT.others_s / 2),
    ):
        assert (await told(relays)).latest is None


@pytest.mark.parametrize("stored", [[OLD, NEW], [NEW, OLD]], ids=["old first", "new first"])
async def test_the_newest_counts_whatever_order_they_come_in(stored: list[object]) -> None:
    async with hostile_relay(lambda _: None, stored=stored) as relay, pool(relay.url) as relays:
        info = await told(relays, connected=1)
    assert info.latest is not None
    assert info.latest.ciphers == ("nip44",)


async def test_a_later_one_counts_and_nip44_once_offered_stays_offered() -> None:
    async with hostile_relay(lambda _: None, stored=[NEW]) as relay, pool(relay.url) as relays:
        info = await told(relays, connected=1)
        forged = msgspec.structs.replace(info_event("forged", at=NOW + 1), sig=NEW.sig)
        foreign = msgspec.structs.replace(info_event("foreign", at=NOW + 2), pubkey=STRANGER.public_hex)
        await relay.deliver([forged, foreign, info_event("pay_invoice get_balance", None, at=NOW + 3)])

        async def changed() -> bool:
            return info.latest is not None and info.latest.methods == ("pay_invoice", "get_balance")

        await until(changed, "the later info event counts")
        assert info.nip44_seen
