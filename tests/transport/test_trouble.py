from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest

from kitestring.transport.dial import Dialer
from kitestring.transport.proxies import Proxies
from kitestring.transport.trouble import trouble


async def test_a_port_where_nobody_listens_is_named_without_the_address(port: int) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as refused:
            await session.ws_connect(f"ws://127.0.0.1:{port}")
    assert trouble(refused.value) == "connection refused"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENETUNREACH, "Connect call failed ('1.2.3.4', 80)"), "network is unreachable"),
        (OSError("Multiple exceptions: one, two"), "Multiple exceptions: one, two"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "[SSL] wrong version number"), "[SSL] wrong version number"),
        (TimeoutError(), "no answer in time"),
        (asyncio.IncompleteReadError(b"", 3), "0 bytes read on a total of 3 expected bytes"),
        (ConnectionResetError(), "ConnectionResetError()"),
        (aiohttp.ClientConnectionError("the relay answers with a redirect"), "the relay answers with a redirect"),
        (aiohttp.ConnectionTimeoutError("Connection timeout to host https://x/v1"), "no answer in time"),
    ],
    ids=repr,
)
def test_each_trouble_is_a_few_words(error: Exception, words: str) -> None:
    assert trouble(error) == words


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
         "the proxy answers with HTTP status 407, proxy authentication required"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://a/\r\nContent-Length: 0\r\n\r\n",
         "the proxy answers with HTTP status 302, found"),
        (b"HTTP/1.1 599 \x1b[2J\r\nContent-Length: 0\r\n\r\n", "the proxy answers with HTTP status 599"),
        (b"SSH-2.0-x\r\n\r\n", "what answers there does not speak HTTP"),
        (b"", "Server disconnected"),
    ],
)  # fmt: skip
async def test_the_password_of_a_proxy_is_in_no_sentence(answer: bytes, words: str) -> None:
    """Such a sentence stands in the log, in the doctor's lines and in the errors of every command."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    proxy = f"http://user:password@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Dialer(Proxies(wss=proxy)) as dialer:
        for ask in (dialer.open, dialer.ask_about):
            with pytest.raises(aiohttp.ClientError) as refused:
                await ask("wss://relay.example.com")
            assert trouble(refused.value) == words


async def test_a_relay_that_answers_with_a_page_is_named_by_its_number() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Nope\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, Dialer() as dialer:
        with pytest.raises(aiohttp.ClientError) as refused:
            await dialer.open(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert trouble(refused.value) == "HTTP status 503, service unavailable"
