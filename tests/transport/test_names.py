"""A name server of somebody else's that says nothing keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from kitestring.transport.border import FetchError
from kitestring.transport.dial import Dialer
from kitestring.transport.fetch import FetchCaps, Fetcher
from kitestring.transport.names import MAX_AT_ONCE, ForeignNames, resolve, resolve_foreign
from tests.kit.waiting import until

#: As many as the threads of the loop itself, and of ours.
MANY = max(MAX_AT_ONCE, 32, (os.cpu_count() or 1) + 4)


class Silence:
    """Name servers: ``.home`` leads here, and that of ``.silent`` says nothing before the end. ``asked`` counts the
    questions to it."""

    def __init__(self) -> None:
        self.is_over, self.asked = threading.Event(), 0
        self._system, self._lock = socket.getaddrinfo, threading.Lock()

    def getaddrinfo(self, host: Any, *rest: Any, **more: Any) -> Any:
        if str(host).endswith(".home"):
            host = "127.0.0.1"
        if not str(host).endswith(".silent"):
            return self._system(host, *rest, **more)
        with self._lock:
            self.asked += 1
        self.is_over.wait(30)
        raise socket.gaierror("nobody has answered")


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silence]:
    found = Silence()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    yield found
    found.is_over.set()


async def end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("allow_private", [False, True])
async def test_our_own_names_are_found_while_those_in_the_codes_of_others_lead_nowhere(
    silence: Silence, *, allow_private: bool
) -> None:
    async with Dialer(allow_private=allow_private) as dialer:
        urls = [f"wss://relay{number}.silent" for number in range(MANY)]
        dialling: list[asyncio.Task[Any]] = [asyncio.create_task(dialer.open(url, foreign=True)) for url in urls]
        await until(lambda: silence.asked == MAX_AT_ONCE)
        found = await asyncio.wait_for(resolve("localhost", 443), 5)
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(dialer.open("ws://localhost:1"), 5)
        await end(dialling)
    assert found
    assert silence.asked == MAX_AT_ONCE


async def test_neither_do_pages_of_others(silence: Silence) -> None:
    web, caps = Fetcher(), FetchCaps(total_s=20)
    urls = [f"https://shop{number}.silent/" for number in range(MANY)]
    asking: list[asyncio.Task[Any]] = [asyncio.create_task(web.fetch(url, caps=caps)) for url in urls]
    await until(lambda: silence.asked == MAX_AT_ONCE)
    with pytest.raises(FetchError, match="is not on a public address"):
        await asyncio.wait_for(web.fetch("https://shop.home/", own=True), 5)
    await end(asking)
    assert silence.asked == MAX_AT_ONCE


async def test_a_name_of_somebody_else_has_the_addresses_that_the_system_knows() -> None:
    (row, *_) = await ForeignNames().resolve("localhost", 443)
    assert row["host"] in {"127.0.0.1", "::1"}
    assert (row["hostname"], row["port"]) == ("localhost", 443)
    assert {address[4][0] for address in await resolve_foreign("127.0.0.1", 1)} == {"127.0.0.1"}
