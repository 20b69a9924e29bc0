"""lnd's database of invoices behind its paths: pages in both directions, look-ups, and the stream of settlements."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from aiohttp import web

from kitestring.backend.http import NodeHttp
from kitestring.backend.lnd.rest import connect
from kitestring.backend.registry import BackendUrl
from tests.kit.clock import NOW
from tests.kit.transport.relays import served


@dataclass
class Made:
    """An invoice; ``number`` is its place among the settled ones, 0 while it is open."""

    preimage: bytes
    number: int = 0

    @property
    def payment_hash(self) -> str:
        return sha256(self.preimage).hexdigest()

    def told(self) -> dict[str, str]:
        is_settled = bool(self.number)
        return {
            "r_hash": base64.b64encode(bytes.fromhex(self.payment_hash)).decode(),
            "r_preimage": base64.b64encode(self.preimage).decode(),
            "state": "SETTLED" if is_settled else "OPEN",
            "settle_index": str(self.number),
            "settle_date": str(NOW + self.number if is_settled else 0),
            "amt_paid_msat": str(1_000 * self.number),
        }


class Invoices:
    """A database; ``began`` are the numbers after which streams were asked for, ``pages`` the offsets of the lists.

    With ``fault`` the paths of a single invoice answer as told (status, body).
    """

    def __init__(self, name: str = "first") -> None:
        self._name = name
        self.made: list[Made] = []
        self.began: list[int] = []
        self.pages: list[str] = []
        self.fault: tuple[int, object] | None = None
        self.is_ending = False
        self._changed = asyncio.Condition()

    def make(self, count: int = 1) -> list[Made]:
        numbers = range(len(self.made), len(self.made) + count)
        new = [Made(sha256(f"{self._name} {number}".encode()).digest()) for number in numbers]
        self.made += new
        return new

    async def settle(self, *invoices: Made) -> None:
        async with self._changed:
            for one in invoices:
                one.number = 1 + max(other.number for other in self.made)
            self._changed.notify_all()

    async def end_streams(self) -> None:
        async with self._changed:
            self.is_ending = True
            self._changed.notify_all()

    def begin_again(self, other: Self) -> None:
        """A new database, as after a recovery from the seed alone."""
        self.made, self._name = other.made, other._name

    @asynccontextmanager
    async def served(self) -> AsyncIterator[NodeHttp]:
        async with served(self._answer) as address:
            http = connect(BackendUrl.parse(f"lnd+http://{address}"), b"\x02")
            await http.open()
            try:
                yield http
            finally:
                await http.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/invoices":
            return web.json_response(self._page(request))
        if request.path == "/v1/invoices/subscribe":
            return await self._stream(request)
        if request.path.startswith("/v2/invoices/subscribe/"):  # it says how things are, and ends
            return web.json_response({"result": self.made[-1].told()})
        return self._one(request.path.rpartition("/")[2])

    def _page(self, request: web.Request) -> dict[str, object]:
        """Offsets are numbers of creation, from 1 on; a page has them in ascending order whichever way it goes."""
        query = request.query
        self.pages.append(query["index_offset"])
        offset, most = int(query["index_offset"]), int(query["num_max_invoices"])
        numbered = list(enumerate(self.made, 1))
        if query.get("reversed") == "true":
            page = [row for row in numbered if not offset or row[0] < offset][-most:]
        else:
            page = [row for row in numbered if row[0] > offset][:most]
        first, last = (str(page[0][0]), str(page[-1][0])) if page else ("0", "0")
        return {
            "invoices": [one.told() for _, one in page], "first_index_offset": first, "last_index_offset": last,
        }  # fmt: skip

    def _one(self, payment_hash: str) -> web.Response:
        if self.fault is not None:
            status, body = self.fault
            return web.json_response(body, status=status)
        for one in self.made:
            if one.payment_hash == payment_hash:
                return web.json_response(one.told())
        return web.json_response({"code": 5, "message": "unable to locate invoice", "details": []}, status=404)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """After index 0 there is no backlog: that means "from now on"."""
        last = int(request.query["settle_index"])
        self.began.append(last)
        last = last or max((one.number for one in self.made), default=0)
        response = web.StreamResponse()
        while new := await self._news(last):
            for one in new:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(json.dumps({"result": one.told()}).encode() + b"\n")
                last = one.number
        return response

    async def _news(self, last: int) -> list[Made]:
        """Wait for what settles after number ``last``; nothing when streams are to end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.is_ending or self._after(last))
        return self._after(last)

    def _after(self, last: int) -> list[Made]:
        return sorted((one for one in self.made if one.number > last), key=lambda one: one.number)
