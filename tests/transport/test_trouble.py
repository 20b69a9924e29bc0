from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest

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
