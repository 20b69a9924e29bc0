"""Receivers of webhooks: a server on loopback that answers as it is told, and one in virtual time."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kitestring.base.ports import Clock
from kitestring.transport.border import FetchError, FetchFault
from kitestring.transport.fetch import FetchCaps, Fetched
from kitestring.wire.webhooks import SIGNATURE_HEADER
from tests.kit.transport.web import answer


@dataclass(frozen=True)
class Asked:
    """One request as it came; ``path`` with its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)

    def is_signed(self, secret: str, base: str) -> bool:
        """Whether the signature is right, judged by nothing of ours."""
        parts = dict(part.split("=", 1) for part in self.headers[SIGNATURE_HEADER.lower()].split(","))
        signed = b"\n".join([parts["t"].encode(), self.method.encode(), (base + self.path).encode(), self.body])
        return hmac.compare_digest(parts["v1"], hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest())


@dataclass
class Receiver:
    """``answers`` are said one after the other, the last of them again and again."""

    answers: list[bytes]
    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def says(status: int) -> bytes:
    return answer(b"", status=f"{status} So")


@asynccontextmanager
async def receiver(*answers: bytes) -> AsyncIterator[Receiver]:
    found, writers = Receiver(list(answers) or [says(200)]), set[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            found.asked.append(await _read(reader))
            said = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
            writer.write(said)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    found.port = listener.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        listener.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, path, _ = first.split(" ")
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


class WebDouble:
    """In the place of a fetcher. ``answers`` tells a status by the URL, or None: nothing, until the time is over."""

    def __init__(self, clock: Clock, answers: Callable[[str], int | None] = lambda _: 200) -> None:
        self.clock, self.answers = clock, answers
        self.asked: list[tuple[float, str, Any]] = []
        self.under_way: dict[str, int] = {}
        self.most: dict[str, int] = {}

    async def fetch(
        self, url: str, *, own: bool = False, method: str = "GET", body: bytes | None = None,
        headers: Mapping[str, str] | None = None, caps: FetchCaps | None = None,
    ) -> Fetched:  # fmt: skip
        self.asked.append((self.clock.monotonic(), url, json.loads(body) if body else None))
        for name in (url, ""):
            self.under_way[name] = self.under_way.get(name, 0) + 1
            self.most[name] = max(self.most.get(name, 0), self.under_way[name])
        try:
            status = self.answers(url)
            await self.clock.sleep(0.01 if status is not None or caps is None else caps.total_s)
        finally:
            for name in (url, ""):
                self.under_way[name] -= 1
        if status is None:
            raise FetchError(FetchFault.LATE, "has not answered")
        return Fetched(status, "text/plain", b"", url)
