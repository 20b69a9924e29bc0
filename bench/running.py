"""A running service with its relay: what is asked of it, and what that costs it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from bench import fill, loads, world
from bench.floor import Floor, Series
from bench.loads import Load, Sent
from bench.node import write_invoices
from bench.peer import IN_FLIGHT, ROUND_S, Peer, peer
from bench.process import Child, child
from bench.setup import Setup
from bench.world import Client

#: After a round the service still writes its marks of publication (every 0.25 s); they belong to the cost.
SETTLE_S: Final = 0.4
#: The service is idle when it takes less than this share of a core over this many seconds.
IDLE_SHARE: Final = 0.02
IDLE_S: Final = 0.5
_ROWS: Final = "SELECT count(*) FROM requests WHERE wire <> 'control' AND finished_at IS NOT NULL"


class Running:
    """``connections`` is how many there were at the start; requests are sent by all of them in turn. ``rows_before``
    are the finished requests that the ledger had then."""

    def __init__(self, setup: Setup, process: Child, relay: Peer, connections: int, rows_before: int) -> None:
        self.process: Final = process
        self.relay: Final = relay
        self.directory: Final = Path(setup.directory)
        self.connections: Final = connections
        self._setup: Final = setup
        self._sent: Final[Counter[str]] = Counter()
        self._journaled = 0
        self._rows_before: Final = rows_before

    # ------------------------------------------------------------ asking

    def prepare(self, load: Load, count: int) -> list[Sent]:
        """The next ``count`` requests of this kind; no number comes twice."""
        first = self._sent[load.name] + self._setup.first_payable
        self._sent[load.name] += count
        if load.pays and self._sent[load.name] > self._setup.payable:
            raise AssertionError(f"the node was told to pay {self._setup.payable} invoices only")
        return loads.prepare(load, range(first, first + count), lambda number: self._sender(load, number))

    def _sender(self, load: Load, number: int) -> Client:
        if load.sender == "requestor":
            return world.requestor(number % self._setup.requestors)
        return world.client(number % self.connections)

    async def cost_us(self, load: Load, sent: list[Sent], in_flight: int = IN_FLIGHT) -> float:
        """CPU microseconds of the service per request, with all that it causes. Every answer is checked afterwards."""
        frames = self.frames(sent)
        before = await self.process.cpu_ns()
        answers = await self.relay.round(frames, in_flight)
        await asyncio.sleep(SETTLE_S)
        cost_us = (await self.process.cpu_ns() - before) / len(sent) / 1000
        self.note(load, sent, answers)
        return cost_us

    def frames(self, sent: list[Sent]) -> list[bytes]:
        """What the relay delivers, each by the REQ that asks for it."""
        return [world.frame(self.relay.subscription(one.sender.service), one.event) for one in sent]

    def note(self, load: Load, sent: list[Sent], answers: list[bytes]) -> dict[int, loads.Content]:
        """Check what was answered, by number, and that the ledger will have to show it."""
        self._journaled += len(sent) if load.journaled else 0
        return loads.check(load, sent, answers)

    async def made(self, count: int) -> dict[int, str]:
        """So many invoices of its own, by number; each connection in turn asks for one."""
        sent = self.prepare(loads.MAKE_INVOICE, count)
        answers = await self.relay.round(self.frames(sent), IN_FLIGHT)
        contents = self.note(loads.MAKE_INVOICE, sent, answers)
        return {number: str(content["result"]["invoice"]) for number, content in contents.items()}

    async def cost_inside_us(self, count: int) -> float:
        """CPU microseconds of one payment of an invoice of its own, over ``count`` that were made before."""
        invoices = await self.made(count)
        await self.idle()
        load = loads.pay_inside(invoices)
        sent = loads.prepare(load, invoices, lambda number: self._sender(load, number))
        return await self.cost_us(load, sent)

    async def measure(
        self, load: Load, floor: Floor, *, rounds: int, count: int, warm_up: int = 0, in_flight: int = IN_FLIGHT
    ) -> Series:
        """``rounds`` of ``count`` requests, each between two samples of the floor."""
        series = Series(floor)
        if warm_up:
            await self.cost_us(load, self.prepare(load, warm_up), in_flight)
        for _ in range(rounds):
            await self.add(series, load, count, in_flight)
        return series

    async def add(self, series: Series, load: Load, count: int, in_flight: int = IN_FLIGHT) -> None:
        """One round of a series."""
        sent = self.prepare(load, count)
        floor_us = series.floor.sample()
        series.add(await self.cost_us(load, sent, in_flight), floor_us)

    # ------------------------------------------------------------ waiting and checking

    async def idle(self) -> None:
        """Wait until the service has nothing to do. Raises AssertionError if it never comes to that."""
        await idle(self.process)

    async def announced(self, clients: list[Client]) -> None:
        """Wait until the relay has an info event of each, and the service has heard that."""
        await self.relay.has_info([client.service for client in clients])
        await self.idle()

    def count(self, query: str) -> int:
        """The one number that a query to the ledger answers."""
        return _count(self.directory, query)

    async def check_ledger(self) -> tuple[int, str]:
        """The finished rows of requests, after checking that they are exactly those that were sent, and how the ledger
        was written."""
        rows, pragmas = self.count(_ROWS) - self._rows_before, await self.process.ask("pragmas")
        if rows != self._journaled:
            raise AssertionError(f"{self._journaled} journaled requests were sent, but the ledger has {rows} of them")
        if pragmas["synchronous"] != 2:
            raise AssertionError(f"the ledger was written with synchronous={pragmas['synchronous']}, not FULL (2)")
        return rows, f"synchronous={pragmas['synchronous']} ({pragmas['journal_mode']})"


async def idle(process: Child) -> None:
    """Wait until the service in ``process`` has nothing to do. Raises AssertionError if it never comes to that."""
    until_s = time.monotonic() + ROUND_S
    before = await process.cpu_ns()
    while time.monotonic() < until_s:
        await asyncio.sleep(IDLE_S)
        now = await process.cpu_ns()
        if now - before < IDLE_SHARE * IDLE_S * 1e9:
            return
        before = now
    raise AssertionError(f"the service is still busy after {ROUND_S} s without a request")


@asynccontextmanager
async def running(setup: Setup, connections: int) -> AsyncIterator[Running]:
    """A service on the ledger in ``setup.directory``, listening and with nothing to do. All its ``connections`` are
    announced."""
    async with started(setup, connections) as service:
        clients = [world.client(number) for number in range(connections)]
        await service.announced(clients)
        yield service


@asynccontextmanager
async def started(setup: Setup, connections: int) -> AsyncIterator[Running]:
    """A service that has just been started, and listens."""
    keys = [world.keyring().service_id, *(world.client(number).service for number in range(connections))]
    rows_before = _count(Path(setup.directory), _ROWS)
    async with peer() as relay, child("service", setup.encode(), relay.url) as process:
        await relay.listened_for(keys)
        service = Running(setup, process, relay, connections, rows_before)
        yield service
        await service.check_ledger()


def _count(directory: Path, query: str) -> int:
    connection = sqlite3.connect(f"{(directory / fill.LEDGER).absolute().as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


async def prepare_ledger(
    directory: Path, *, connections: int = world.CLIENTS, payable: int = 0, makeable: int = 0, requestors: int = 0,
    offers: int = world.OFFERS,
) -> Setup:  # fmt: skip
    """An empty ledger with so many connections and offers, and a node that pays and gives out so many invoices."""
    setup = msgspec.structs.replace(_with_invoices(directory, payable, makeable), requestors=requestors)
    async with fill.ledger(directory) as store:
        await fill.connections(store, range(connections))
        await fill.offers(store, offers)
        await fill.debits(store, range(requestors))
    return setup


def _with_invoices(directory: Path, payable: int, makeable: int) -> Setup:
    directory.mkdir(exist_ok=True)
    setup = Setup(directory=str(directory.absolute()), payable=payable)
    write_invoices(setup.invoices, range(payable, payable + makeable))
    return setup
