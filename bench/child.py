"""What runs in a process of its own: the service, or the embedded relay. The bench starts it and asks it.

    python -m bench.child service DIRECTORY RELAY_URL PAYABLE MAKEABLE
    python -m bench.child relay

Each line on standard input is a question, each answer one JSON line; end of input stops the process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

Answers = dict[str, Callable[[], Any]]


@asynccontextmanager
async def service(directory: str, relay_url: str, payable: str, makeable: str) -> AsyncIterator[Answers]:
    """The whole service as `kitestring up` wires it, with a node that costs nothing and raised rate limits."""
    from bench import world
    from bench.node import BenchNode
    from kitestring.app.home.config import Config, RequestRates
    from kitestring.app.service.core import Core, Place
    from kitestring.base.records import Message, Node, Request
    from kitestring.base.transactions import Execute, SaveGrant, SaveNode
    from kitestring.engine.limits import Limits
    from kitestring.ledger.sqlite.store import SqliteStore
    from kitestring.transport.clock import SystemClock

    ring, clock, place = world.keyring(), SystemClock(), Path(directory)
    many = 1_000_000_000
    rates = RequestRates(requests_per_min=many, payments_per_min=many)
    config = Config(data_dir=place, relays=(relay_url,), rates=rates, limits=Limits(open_invoices=0))
    node = BenchNode(int(payable), int(makeable))
    gc.freeze()  # what the bench has prepared is not the service's to look through again and again
    cache_kib = config.ledger_cache_mib * 1_024
    store = await SqliteStore.open(place / "kitestring.db", ring.service_id, cache_kib=cache_kib)
    info = await node.info()
    row = Node(info.node_id, 1, "bench", info.network)
    await store.apply(SaveNode(row))
    for grant in world.grants():
        request = Request(f"grant {grant.grant_id}", "control", "owner", b"", b"control", clock.now(), clock.now())
        message = Message(request.request_id, "reply", b"{}", b"", clock.now(), b"control")
        await store.apply(Execute(request, (SaveGrant(grant),), message))
    core = Core(config, Place(place / "kitestring.db", place, (relay_url,)), ring, store, node, row, clock, os.urandom)
    await core.start()

    def pragmas() -> dict[str, Any]:
        # Read back on the very connection that writes: synchronous belongs to a connection, not to the file.
        assert store._writer is not None  # noqa: SLF001 - nobody else asks for it
        connection = store._writer.connection  # noqa: SLF001 - as above
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")}

    try:
        yield {"pragmas": pragmas}
    finally:
        await core.stop()


@asynccontextmanager
async def relay() -> AsyncIterator[Answers]:
    """The embedded relay alone, in memory, as `kitestring up` runs it inside the service."""
    from kitestring.relay.server import Relay
    from kitestring.transport.clock import SystemClock

    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as running:
        yield {"url": lambda: running.url}


async def main(what: str, *arguments: str) -> None:
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    running = service(*arguments) if what == "service" else relay()
    async with running as answers:
        answers |= {"cpu_ns": time.process_time_ns}
        while line := await lines.readline():
            print(json.dumps(answers[line.decode().strip()]()), flush=True)


if __name__ == "__main__":
    profile = os.environ.get("KITESTRING_BENCH_PROFILE")
    if profile:
        import cProfile

        cProfile.run("asyncio.run(main(*sys.argv[1:]))", profile)
    else:
        asyncio.run(main(*sys.argv[1:]))
