"""A tap on the way to a relay: it passes every frame on, counts the events, and can lose what the relay says."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.kit.interop.program import Json
from tests.kit.transport.relays import served


@dataclass(slots=True)
class Tap:
    """``loses`` are the labels of frames of the relay that never arrive: without OK it is a relay that confirms
    nothing."""

    relay: str
    loses: Container[str] = ()
    url: str = ""
    sent: list[Json] = field(default_factory=list)

    def times(self, kind: int) -> Counter[str]:
        """Of each answer of this kind how often it was sent, by the request that it answers."""
        return Counter(_answers(event) for event in self.sent if event["kind"] == kind)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(compress=False)
        await client.prepare(request)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self.relay, max_msg_size=0) as relay,
            asyncio.TaskGroup() as both,
        ):
            back = both.create_task(self._back(relay, client))
            async for message in client:
                self._note(json.loads(message.data))
                await relay.send_str(message.data)
            back.cancel()
        return client

    def _note(self, frame: list[Any]) -> None:
        if frame[0] == "EVENT":
            self.sent.append(frame[1])

    async def _back(self, relay: aiohttp.ClientWebSocketResponse, client: web.WebSocketResponse) -> None:
        async for message in relay:
            if json.loads(message.data)[0] not in self.loses:
                await client.send_str(message.data)
        await client.close()


def _answers(event: Json) -> str:
    return str(next((values[1] for values in event["tags"] if values[0] == "e"), event["id"]))


@asynccontextmanager
async def tapped(relay: str, loses: Container[str] = ()) -> AsyncIterator[Tap]:
    tap = Tap(relay, loses)
    async with served(tap.serve) as address:
        tap.url = f"ws://{address}"
        yield tap
