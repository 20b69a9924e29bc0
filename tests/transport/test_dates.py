"""The time of a relay is read where it says it now, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from aiohttp import web

from kitestring.base.clocks import OURS, ClockReading
from kitestring.relay.server import Relay
from kitestring.transport import dates
from kitestring.transport.clock import SystemClock
from kitestring.transport.dates import machine_of, read_relay_clock, unix_time
from kitestring.transport.dial import Dialer
from kitestring.transport.proxies import Proxies
from tests.kit.chance import entropy
from tests.kit.clock import NOW, STEPS_S, StandingClock
from tests.kit.transport.relays import served

DATE = "Thu, 09 Oct 2025 08:53:20 GMT"


@pytest.mark.parametrize(
    ("headers", "time"),
    [
        ({"Date": DATE}, NOW),
        ({"Date": DATE, "Age": "0"}, NOW),
        ({"Date": DATE.replace("GMT", "+0200")}, NOW - 7_200),
        ({"Date": DATE, "Age": "7"}, None),
        ({"Date": DATE, "Age": "a while"}, None),
        ({"Date": DATE.replace("2025", "1969")}, None),
        ({"Date": DATE.replace("Oct", "Smarch")}, None),
        ({"Date": DATE.replace("2025", "99999999")}, None),
        ({"Date": DATE.replace("09", "9" * 400)}, None),
        ({"Date": "yesterday"}, None),
        ({"Date": ""}, None),
        ({}, None),
    ],
)
def test_a_date_is_read_unless_a_cache_kept_it(headers: dict[str, str], time: int | None) -> None:
    assert unix_time(headers) == time


@pytest.mark.parametrize(
    ("url", "machine"),
    [
        ("wss://relay.example.com/a", "relay.example.com"),
        ("wss://8.8.8.8:7777", "8.8.8.8"),
        ("wss://[2606:4700::1111]", "2606:4700::1111"),
        ("ws://127.0.0.1:7777", ""),
        ("ws://192.168.1.5", ""),
        ("ws://[::1]:7777", ""),
        ("ws://localhost:7777", ""),
        ("ws://relay:7777", ""),
        ("ws://box.local", ""),
        ("ws://abcdef.onion", ""),
    ],
)
def test_a_host_is_another_machine_only_on_a_public_address(url: str, machine: str) -> None:
    assert machine_of(url) == machine


@asynccontextmanager
async def telling(headers: dict[str, str], status: int = 200) -> AsyncIterator[str]:
    """A relay that answers the question about itself with this head."""

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Accept"] == "application/nostr+json"
        return web.Response(status=status, headers=headers)

    async with served(answer) as address:
        yield f"ws://{address}"


async def read(url: str, clock: StandingClock | SystemClock | None = None) -> ClockReading | None:
    async with Dialer() as dialer:
        return await read_relay_clock(dialer, url, clock or StandingClock())


@pytest.mark.parametrize("ahead_s", [sign * step for step in STEPS_S for sign in (1, -1)])
async def test_a_relay_tells_how_far_our_clock_is_ahead(ahead_s: int) -> None:
    async with telling({"Date": formatdate(NOW - ahead_s, usegmt=True)}) as url:
        assert await read(url) == ClockReading(url, "", ahead_s - 1, ahead_s + 1)


async def test_a_refusal_has_a_time_too() -> None:
    async with telling({"Date": DATE}, 429) as url:
        assert await read(url) == ClockReading(url, "", -1, 1)


@pytest.mark.parametrize(("headers", "status"), [({"Date": "no"}, 200), ({"Date": DATE, "Location": "/there"}, 301)])
async def test_a_relay_that_does_not_say_is_no_reading(headers: dict[str, str], status: int) -> None:
    async with telling(headers, status) as url:
        assert await read(url) is None


async def test_a_relay_that_cannot_be_asked_is_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read("ws://127.0.0.1:1") is None

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    monkeypatch.setattr(dates, "ASK_LIMIT_S", 0.01)
    async with served(silent) as address:
        assert await read(f"ws://{address}") is None


async def test_a_missing_socks_extra_is_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aiohttp_socks", None)
    async with Dialer(Proxies(wss="socks5://127.0.0.1:1")) as dialer:
        assert await read_relay_clock(dialer, "wss://relay.example.com", StandingClock()) is None


async def test_our_own_relay_tells_the_time() -> None:
    async with Relay(None, clock=SystemClock(), entropy=entropy) as relay:
        found = await read(relay.url, SystemClock())
    assert found is not None
    assert found.apart_s(OURS) == 0
