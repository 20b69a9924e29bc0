"""Exchanges on loopback that tell the prices which a test lays ready."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.kit.transport.relays import served


@dataclass(slots=True)
class Exchange:
    """Answers ``says`` to whoever asks ``/CODE``, as a text, with ``status``; ``asked`` are the codes."""

    says: str
    status: int = 200
    address: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def pattern(self) -> str:
        """What an owner writes to have it asked."""
        return f"http://{self.address}/{{CURRENCY}}#/price"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path.removeprefix("/"))
        return web.Response(text=self.says, status=self.status, content_type="application/json")


def price(amount: str) -> str:
    """An answer with a price in it."""
    return f'{{"price":"{amount}"}}'


@asynccontextmanager
async def exchanges(*prices: str) -> AsyncIterator[list[Exchange]]:
    """One exchange for each price."""
    async with AsyncExitStack() as stack:
        found = [Exchange(price(amount)) for amount in prices]
        for exchange in found:
            exchange.address = await stack.enter_async_context(served(exchange.answer))
        yield found
