from __future__ import annotations

import asyncio
import sys

import aiohttp
import pytest
from aiohttp import web

from kitestring.base.errors import KitestringError, Reason
from kitestring.transport.dial import HEARTBEAT_S, Dialer
from kitestring.transport.proxies import Proxies
from kitestring.transport.publications import PUBLISH_DEADLINE_S
from tests.kit.transport.proxy import proxy
from tests.kit.transport.relays import scripted_relay, served


async def test_a_wss_relay_is_reached_through_the_tunnel_of_an_http_proxy() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    async with proxy(asked, socks=False) as port, Dialer(Proxies(wss=f"http://127.0.0.1:{port}")) as dialer:
        with pytest.raises(aiohttp.ClientError):
            await dialer.open("wss://relay.example.com")
    assert asked.get_nowait().startswith(b"CONNECT relay.example.com:443 ")


async def test_a_socks_proxy_resolves_the_name_itself() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    async with scripted_relay() as relay, proxy(asked, socks=True) as port:
        url = relay.url.replace("127.0.0.1", "someonion.onion")
        async with Dialer(Proxies(ws=f"socks5h://127.0.0.1:{port}")) as dialer:
            socket = await dialer.open(url)
            caller = await relay.caller()
            await caller.send("NOTICE", "through the tunnel")
            assert (await socket.receive()).data == b'["NOTICE", "through the tunnel"]'
            relay.stop()
            await socket.close()
    assert asked.get_nowait() == b"\x03someonion.onion"


async def test_a_missing_socks_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp_socks", None)
    async with Dialer(Proxies(wss="socks5://127.0.0.1:9050")) as dialer:
        with pytest.raises(KitestringError, match=r"pip install 'kitestring\[tor\]'") as caught:
            await dialer.open("wss://relay.example.com")
    assert caught.value.reason is Reason.UNSUPPORTED


async def test_a_foreign_relay_is_not_dialled_through_a_proxy_that_hides_its_address() -> None:
    async with Dialer(Proxies(wss="http://127.0.0.1:1")) as dialer:
        with pytest.raises(KitestringError, match="behind a proxy"):
            await dialer.open("wss://relay.example.com", foreign=True)
    async with Dialer(Proxies(wss="http://127.0.0.1:1", allow_foreign=True)) as dialer:
        with pytest.raises(aiohttp.ClientConnectorError):
            await dialer.open("wss://relay.example.com", foreign=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_foreign_name_that_leads_home_is_not_connected_to(host: str) -> None:
    async with scripted_relay() as relay, Dialer() as dialer:
        with pytest.raises(aiohttp.ClientError, match="not on a public address"):
            await dialer.open(relay.url.replace("127.0.0.1", host), foreign=True)
        assert relay.callers.empty()
        async with Dialer(allow_private=True) as free:
            socket = await free.open(relay.url, foreign=True)
            await relay.caller()
            relay.stop()
            await socket.close()


async def test_headers_go_to_the_relay_that_they_are_for_and_to_no_other() -> None:
    heard: list[str | None] = []

    async def hear(request: web.Request) -> web.StreamResponse:
        heard.append(request.headers.get("Pass"))
        raise web.HTTPForbidden

    async with served(hear) as one, served(hear) as other, Dialer(headers={f"ws://{one}": {"Pass": "1"}}) as dialer:
        for address in (one, other):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await dialer.open(f"ws://{address}")
    assert heard == ["1", None]


async def test_a_redirect_is_not_followed() -> None:
    async with scripted_relay() as inside:

        async def elsewhere(_: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(inside.url.replace("ws:", "http:"))

        async with served(elsewhere) as address, Dialer() as dialer:
            with pytest.raises(aiohttp.ClientError, match="redirect"):
                await dialer.open(f"ws://{address}")
        assert inside.callers.empty()


def test_a_publication_outlasts_a_connection_that_died_before_it() -> None:
    """Or it would be taken for one that a relay has had and never confirmed, and never be sent again. aiohttp rounds
    both of its times up to whole seconds."""
    dead_after_s = HEARTBEAT_S + 1 + HEARTBEAT_S / 2 + 1
    assert dead_after_s < PUBLISH_DEADLINE_S
