"""Proxies that note what they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def proxy(greeting: asyncio.Queue[bytes], *, socks: bool) -> AsyncIterator[int]:
    """A proxy for one tunnel: reads what it is asked for, then (as SOCKS5) connects and passes bytes on."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not socks:
            greeting.put_nowait(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writers.append(writer)
        await reader.readexactly(3)
        writer.write(b"\x05\x00")
        head = await reader.readexactly(5)
        name = await reader.readexactly(head[4])
        port = int.from_bytes(await reader.readexactly(2))
        greeting.put_nowait(head[3:4] + name)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writers.append(back)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
