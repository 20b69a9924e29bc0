"""Wallet clients against each other: ours, `@getalby/sdk` and `nostr-sdk`, on one service, one after the other.

Each asks for the balance of a connection of its own, in a process of its own. What is compared are calls per second of
the client's CPU: the service would be the limit of what a clock on the wall shows. That one is told beside it.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import world
from bench.figures import Figure
from bench.process import Child, child, started
from bench.running import prepare_ledger
from kitestring.codec.uri import NwcUri, encode_nwc

SCRIPT: Final = Path(__file__).with_suffix(".mjs")
ROUNDS: Final = 5
CALLS: Final = 320
WARM_UP: Final = 64
IN_FLIGHT: Final = (1, 16)
#: At least so many of our calls to one of theirs.
GETALBY_LIMIT: Final = 5.0
NOSTR_SDK_LIMIT: Final = 1.0
OURS, GETALBY, NOSTR_SDK = "kitestring", "@getalby/sdk", "nostr-sdk"


@dataclass(slots=True)
class Rate:
    """Calls per second of CPU, and by the clock on the wall, of each round."""

    by_cpu: list[float] = field(default_factory=list)
    by_wall: list[float] = field(default_factory=list)

    @property
    def words(self) -> str:
        return f"{statistics.median(self.by_cpu):.0f} ({statistics.median(self.by_wall):.0f})"


Rates = dict[int, Rate]


async def measure(directory: Path) -> list[Figure]:
    """``directory`` is on a real disk and empty. Who is not installed has no row."""
    setup = await prepare_ledger(directory, connections=len((OURS, GETALBY, NOSTR_SDK)))
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(child("embedded", setup.encode()))
        url = await service.ask("url")
        room = directory / "node"
        clients = {OURS: await stack.enter_async_context(child("client", "ours", link(url, 0)))}
        if nostr_sdk_is_there():
            clients[NOSTR_SDK] = await stack.enter_async_context(child("client", "nostr_sdk", link(url, 1)))
        if (node := node_js(room)) is not None:
            clients[GETALBY] = await stack.enter_async_context(getalby(node, room, link(url, 2)))
        rates = {name: {number: Rate() for number in IN_FLIGHT} for name in clients}
        for client in clients.values():
            await client.ask("call", WARM_UP, max(IN_FLIGHT))
        for turn in range(ROUNDS):
            for name in clients if turn % 2 else reversed(clients):
                await one_round(clients[name], rates[name])
    limits = {GETALBY: GETALBY_LIMIT, NOSTR_SDK: NOSTR_SDK_LIMIT}
    return [
        row
        for name, limit in limits.items()
        for row in (against(name, rates[OURS], rates[name], limit) if name in rates else (absent(name),))
    ]


async def one_round(client: Child, rates: Rates) -> None:
    for number, rate in rates.items():
        cpu_s, wall_s = await client.ask("call", CALLS, number)
        rate.by_cpu.append(CALLS / cpu_s)
        rate.by_wall.append(CALLS / wall_s)


def against(name: str, ours: Rates, theirs: Rates, limit: float) -> tuple[Figure, ...]:
    return tuple(
        Figure(
            f"client calls against {name}, {number} in flight",
            statistics.median(ours[number].by_cpu) / statistics.median(theirs[number].by_cpu),
            limit,
            "higher",
            f"{ours[number].words} calls per second of CPU (by the wall) against {theirs[number].words}",
        )
        for number in IN_FLIGHT
    )


def absent(name: str) -> Figure:
    """A row that says what is missing, and judges nothing."""
    return Figure(f"client calls against {name}", 0.0, None, "higher", f"not measured: {name} is not installed")


def link(url: str, number: int) -> str:
    """The link of one connection."""
    client = world.client(number)
    return encode_nwc(NwcUri(client.service, (url,), bytes.fromhex(client.key.hex())))


# ------------------------------------------------------------ who is there


def nostr_sdk_is_there() -> bool:
    from importlib.util import find_spec

    return find_spec("nostr_sdk") is not None


def node_js(room: Path) -> Path | None:
    """Node.js, with ``room`` made for scripts that import the clients; None where one of these is not built."""
    from tests.rig import parts

    node, modules = parts.find_node(), parts.find_clients()
    if node is None or modules is None:
        return None
    room.mkdir()
    (room / "node_modules").symlink_to(modules)
    return node.node


@asynccontextmanager
async def getalby(node: Path, room: Path, uri: str) -> AsyncIterator[Child]:
    script = room / SCRIPT.name
    shutil.copyfile(SCRIPT, script)
    async with started(str(node), str(script), uri) as process:
        yield process
