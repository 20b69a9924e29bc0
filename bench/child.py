"""What runs in a process of its own: the service, the embedded relay, both in one, a crowd, a wallet client, or a payer
of offers. The bench starts it and asks it.

    python -m bench.child service SETUP RELAY_URL
    python -m bench.child embedded SETUP
    python -m bench.child relay
    python -m bench.child crowd RELAY_URL
    python -m bench.child client ours|nostr_sdk NWC_URI
    python -m bench.child payer NOFFER,NOFFER,…

Each line on standard input is a question (a word and whole numbers), each answer one JSON line; end of input stops the
process. ``SETUP`` is a :class:`bench.setup.Setup` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kitestring.app.home.config import Config
    from kitestring.relay.vouched import VouchedKeys

Answers = dict[str, Callable[..., Awaitable[object]]]

#: Rate limits are raised beyond what a bench can reach; they are looked at all the same.
_MANY = 1_000_000_000
_RATES = ("requests_per_min", "payments_per_min", "offer_requests_per_min", "all_offers_requests_per_min")


def _config(directory: Path, relays: tuple[str, ...], cache_mib: int) -> Config:
    """The settings as `kitestring up` would read them."""
    from kitestring.app.home.config import load

    rates = {f"limits.{name}": _MANY for name in _RATES}
    cache = {"ledger.cache_mib": cache_mib} if cache_mib else {}
    unlimited = {"limits.open_invoices": 0, "limits.all_open_invoices": 0}
    return load(directory, options={"relays": relays, **unlimited, **rates, **cache}, environment={})


@asynccontextmanager
async def service(setup_json: str, relay_url: str) -> AsyncIterator[Answers]:
    """The whole service with a relay somewhere else."""
    from kitestring.relay.vouched import VouchedKeys

    async with _service(setup_json, {relay_url: {}}, VouchedKeys()) as answers:
        yield answers


@asynccontextmanager
async def embedded(setup_json: str) -> AsyncIterator[Answers]:
    """The whole service with its own relay, in memory, in one process."""
    from bench import world
    from kitestring.app.home.config import RelaySettings
    from kitestring.app.service.own_relay import own_relay
    from kitestring.relay.vouched import VouchedKeys
    from kitestring.transport.clock import SystemClock

    vouched = VouchedKeys(own={world.keyring().service_id})
    async with own_relay(RelaySettings(), None, SystemClock(), vouched) as relay:

        async def url() -> object:
            return relay.url

        async with _service(setup_json, {relay.url: relay.headers}, vouched) as answers:
            yield {**answers, "url": url}


@asynccontextmanager
async def _service(
    setup_json: str, relays: Mapping[str, Mapping[str, str]], vouched: VouchedKeys
) -> AsyncIterator[Answers]:
    """The whole service as `kitestring up` wires it, with its door, on a node that costs nothing."""
    from bench import fill, memory, setup, world
    from bench.node import BenchNode
    from kitestring.app.doors.unix import ControlServer
    from kitestring.app.home.datadir import DataDir
    from kitestring.app.owner.commands import OwnerCommands, all_commands
    from kitestring.app.owner.desk import Desk
    from kitestring.app.service.core import Core, Ground, Place
    from kitestring.ledger.sqlite.store import SqliteStore
    from kitestring.transport.clock import SystemClock

    what = setup.decode(setup_json)
    directory = Path(what.directory)
    config = _config(directory, tuple(relays), what.cache_mib)
    ring, clock, home = world.keyring(), SystemClock(), DataDir(directory, config.runtime_dir)
    node = BenchNode(what.payable_numbers, what.invoices, what.lookup_s)

    began = time.monotonic()
    cache_kib = config.ledger_cache_mib * 1_024
    store = await SqliteStore.open(home.ledger, ring.service_id, cache_kib=cache_kib)
    row = (await store.nodes())[-1]
    place = Place(home.ledger, home.path, tuple(relays), vouched, relays)
    core = Core(Ground.of(config, place, ring, store, node, row, clock, os.urandom))
    await core.start()
    door = ControlServer(OwnerCommands[Desk](core.desk, all_commands()), home.bind_control())
    await door.start()

    async def pragmas() -> object:
        # Read back on the very connection that writes: synchronous belongs to a connection, not to the file.
        assert store._writer is not None  # noqa: SLF001 - nobody else asks for it
        connection = store._writer.connection  # noqa: SLF001 - as above
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")}

    async def began_at() -> object:
        return began

    async def looked_up() -> object:
        return node.looked_up

    async def remembered() -> object:
        return memory.resident_bytes(), memory.page_cache_bytes()

    async def read() -> object:
        return memory.read_bytes()

    async def connect(first: int, number: int) -> object:
        """Connections that have never spoken, as a command of the owner writes them."""
        await fill.connections(core.store, range(first, first + number), fresh=True)
        return number

    try:
        yield {
            "pragmas": pragmas,
            "began": began_at,
            "looked_up": looked_up,
            "memory": remembered,
            "read": read,
            "connect": connect,
        }
    finally:
        await door.stop()
        home.release_control()
        await core.stop()


@asynccontextmanager
async def relay() -> AsyncIterator[Answers]:
    """The embedded relay alone, in memory, as `kitestring up` runs it inside the service."""
    from bench import memory
    from kitestring.relay.server import Relay
    from kitestring.transport.clock import SystemClock

    async def remembered() -> object:
        return memory.resident_bytes(), memory.page_cache_bytes()

    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as running:

        async def url() -> object:
            return running.url

        yield {"url": url, "memory": remembered}


@asynccontextmanager
async def crowd(relay_url: str) -> AsyncIterator[Answers]:
    """Strangers with fresh keys who write to the service, see :mod:`bench.crowd`."""
    from bench.crowd import Crowd

    one = Crowd(relay_url)
    yield {"prepare": one.prepare, "flood": one.flood}


@asynccontextmanager
async def client(library: str, uri: str) -> AsyncIterator[Answers]:
    """A client of a wallet, which asks for its balance."""
    async with CLIENTS[library](uri) as ask:
        yield {"call": _caller(ask)}


@asynccontextmanager
async def payer(codes: str) -> AsyncIterator[Answers]:
    """A payer that asks these offers in turn for an invoice of 1,000 sat, checks it, and hangs up."""
    from itertools import cycle

    from kitestring.client.net import Net
    from kitestring.client.offers.asking import OfferQuestion, ask_offer
    from kitestring.codec.pointers import Noffer, decode
    from kitestring.transport.clock import SystemClock

    net, following = Net(SystemClock(), os.urandom, allow_private=True), cycle(codes.split(","))

    async def ask() -> object:
        noffer = decode(next(following))
        assert isinstance(noffer, Noffer)
        async with await ask_offer(noffer, OfferQuestion(1_000), net) as asked:
            return asked.bolt11

    yield {"call": _caller(ask)}


def _caller(ask: Callable[[], Awaitable[object]]) -> Callable[[int, int], Awaitable[object]]:
    async def call(number: int, in_flight: int) -> object:
        """Seconds of CPU, and by the clock on the wall, of so many calls."""
        left = iter(range(number))

        async def one_after_the_other() -> None:
            for _ in left:
                await ask()

        cpu_s, wall_s = time.process_time(), time.perf_counter()
        await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
        return time.process_time() - cpu_s, time.perf_counter() - wall_s

    return call


@asynccontextmanager
async def _ours(uri: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    from kitestring import Wallet

    async with Wallet.open(uri) as wallet:
        yield wallet.balance


@asynccontextmanager
async def _nostr_sdk(uri: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    import nostr_sdk

    yield nostr_sdk.NostrWalletConnect(nostr_sdk.NostrWalletConnectUri.parse(uri)).get_balance


CLIENTS: dict[str, Callable[[str], AbstractAsyncContextManager[Callable[[], Awaitable[object]]]]] = {
    "ours": _ours,
    "nostr_sdk": _nostr_sdk,
}

KINDS: dict[str, Callable[..., AbstractAsyncContextManager[Answers]]] = {
    "service": service,
    "embedded": embedded,
    "relay": relay,
    "crowd": crowd,
    "client": client,
    "payer": payer,
}


async def _cpu_ns() -> object:
    return time.process_time_ns()


async def main(what: str, *arguments: str) -> None:
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with KINDS[what](*arguments) as answers:
        answers |= {"cpu_ns": _cpu_ns}
        while line := await lines.readline():
            question, *numbers = line.decode().split()
            print(json.dumps(await answers[question](*map(int, numbers))), flush=True)


if __name__ == "__main__":
    profile = os.environ.get("KITESTRING_BENCH_PROFILE")
    if profile:
        import cProfile

        cProfile.run("asyncio.run(main(*sys.argv[1:]))", profile)
    else:
        asyncio.run(main(*sys.argv[1:]))
