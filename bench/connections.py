"""What the number of connections changes: the requests of all days, the first request of each, and `connect`.

Three services run side by side, so that each round meets the same machine with all of them.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from bench import loads, world
from bench.figures import Figure
from bench.floor import Floor, Series
from bench.loads import Load
from bench.running import Running, prepare_ledger, running
from bench.service import memory
from bench.world import Client
from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.config import load as load_config
from kitestring.app.home.datadir import DataDir
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import decode_event, first_tag, verify_event

NUMBERS: Final = (1, 64, 1_000, 10_000)
FEW: Final = NUMBERS[0]
MANY: Final = NUMBERS[-1]
#: What all days bring, each connection in turn; None: payments of the service's own invoices.
DAILY: Final = (loads.GET_INFO, loads.GET_BALANCE, loads.MAKE_INVOICE, loads.PAY_INVOICE, None)
DAILY_ROUNDS: Final = 5
DAILY_REQUESTS: Final = 640
#: Connections that speak for the first time, all at once; their numbers begin beyond all others.
FRESH: Final = 300
FRESH_ROUNDS: Final = 3
FIRST_FRESH: Final = 1_000_000
#: Connections that the owner makes, one after the other.
CONNECTS: Final = 20
CONNECT_ROUNDS: Final = 3

_GRANTS: Final = "SELECT count(*) FROM grants WHERE wire = 'nwc'"
_RAISED: Final = f"{_GRANTS} AND nip44_seen"

Services = dict[int, Running]


async def measure(floor: Floor, directory: Path) -> list[Figure]:
    payable = (1 + DAILY_ROUNDS) * DAILY_REQUESTS
    makeable = 2 * payable
    async with AsyncExitStack() as stack:
        services: Services = {}
        for number in NUMBERS:
            setup = await prepare_ledger(
                directory / str(number), connections=number, payable=payable, makeable=makeable
            )
            services[number] = await stack.enter_async_context(running(setup, number))
        for service in services.values():
            await _introduce(service)
        daily = [await _daily(load, floor, services) for load in DAILY]
        first = await _first_requests(floor, services)
        connect = await _connects(floor, services)
        resident, page_cache = await services[MANY].process.ask("memory")
    return [*daily, *first, *connect, *memory(f"memory with {MANY:,} connections", resident, page_cache, None)]


def _flat(name: str, costs: dict[int, Series], limit: float, detail: str = "") -> Figure:
    """The last number against the first, round by round, and what each number costs."""
    many, few = costs[MANY].us, costs[FEW].us
    ratio = statistics.median(more / less for more, less in zip(many, few, strict=True))
    each = ", ".join(f"{number:,}: {cost.median_us:.0f} µs ({cost.ratio:.2f}×)" for number, cost in costs.items())
    return Figure(f"{name}, {MANY:,} connections against {FEW}", ratio, limit, "lower", f"{each}{detail}")


# ------------------------------------------------------------ all days


async def _daily(load: Load | None, floor: Floor, services: Services) -> Figure:
    """Each connection of the many has spoken before, so that none of this is a first request."""
    costs = {number: Series(floor) for number in NUMBERS}
    for service in services.values():
        await _cost_us(service, load)
    for turn in range(DAILY_ROUNDS):
        for number in _in_turn(turn, NUMBERS):
            before_us = floor.sample()
            costs[number].add(await _cost_us(services[number], load), before_us)
    return _flat("pay_invoice inside" if load is None else load.name, costs, 1.2)


async def _cost_us(service: Running, load: Load | None) -> float:
    if load is None:
        return await service.cost_inside_us(DAILY_REQUESTS)
    return await service.cost_us(load, service.prepare(load, DAILY_REQUESTS))


async def _introduce(service: Running) -> None:
    """Let each connection speak once."""
    await service.cost_us(loads.GET_INFO, service.prepare(loads.GET_INFO, service.connections))


def _in_turn(turn: int, numbers: Sequence[int]) -> Sequence[int]:
    """So that none of them is always the first."""
    return numbers if turn % 2 else numbers[::-1]


# ------------------------------------------------------------ first requests


async def _first_requests(floor: Floor, services: Services) -> list[Figure]:
    costs = {number: Series(floor) for number in NUMBERS}
    for turn in range(FRESH_ROUNDS):
        fresh = range(FIRST_FRESH + turn * FRESH, FIRST_FRESH + (turn + 1) * FRESH)
        for number in _in_turn(turn, NUMBERS):
            before_us = floor.sample()
            costs[number].add(await _first(services[number], fresh), before_us)
    detail = f"{FRESH} at once, {FRESH_ROUNDS} rounds; each answered, raised to NIP-44 and announced, once"
    return [
        *(_milliseconds(f"first request, {number:,} connections", costs[number], 1.0, detail) for number in NUMBERS),
        _flat("first request", costs, 1.3),
    ]


def _milliseconds(name: str, costs: Series, limit: float, detail: str) -> Figure:
    spread = f"{min(costs.us) / 1000:.2f} to {max(costs.us) / 1000:.2f} ms of CPU, {costs.ratio:.1f}×"
    return Figure(name, costs.median_us / 1000, limit, "lower", f"{spread}; {detail}", "ms")


async def _first(service: Running, fresh: range) -> float:
    """CPU microseconds per connection of ``fresh``, from its first request until nothing that it caused is left."""
    clients = [world.client(number) for number in fresh]
    raised = service.count(_RAISED)
    await service.process.ask("connect", fresh.start, len(fresh))
    await service.relay.listened_for([client.service for client in clients])
    await service.announced(clients)
    sent = loads.prepare(loads.GET_INFO, fresh, world.client)
    frames, announced = service.frames(sent), service.relay.info_taken
    before = await service.process.cpu_ns()
    answers = await service.relay.round(frames, in_flight=len(frames))
    await service.relay.has_taken_info(announced + len(fresh))
    await service.idle()
    cost_us = (await service.process.cpu_ns() - before) / len(fresh) / 1000
    service.note(loads.GET_INFO, sent, answers)
    _check_raised(service, clients, announced, raised)
    return cost_us


def _check_raised(service: Running, clients: list[Client], announced: int, raised: int) -> None:
    """Each of them once: in the ledger, and in what the relay shows."""
    count = service.relay.info_taken - announced
    if count != len(clients):
        raise AssertionError(f"{len(clients)} first requests were announced {count} times")
    if service.count(_RAISED) - raised != len(clients):
        raise AssertionError(f"{service.count(_RAISED) - raised} of {len(clients)} connections were raised to NIP-44")
    for client in clients:
        info = decode_event(service.relay.info[client.service])
        if not verify_event(info) or first_tag(info, "encryption") != "nip44_v2":
            raise AssertionError(f"the info event does not say NIP-44 alone: {info}")


# ------------------------------------------------------------ connect


async def _connects(floor: Floor, services: Services) -> list[Figure]:
    costs = {number: Series(floor) for number in (FEW, MANY)}
    for turn in range(CONNECT_ROUNDS):
        for number in _in_turn(turn, tuple(costs)):
            before_us = floor.sample()
            costs[number].add(await _connect(services[number], turn), before_us)
    detail = f"by the owner's socket, one after the other, {CONNECTS} a round"
    return [
        _milliseconds(f"connect, {MANY:,} connections", costs[MANY], 10.0, detail),
        _flat("connect", costs, 1.2),
    ]


async def _connect(service: Running, turn: int) -> float:
    """CPU microseconds per `connect`. Each connection is then used once with what its owner was given."""
    control = ControlClient(DataDir(service.directory, load_config(service.directory, environment={}).runtime_dir))
    numbers = range(turn * CONNECTS, (turn + 1) * CONNECTS)
    grants = service.count(_GRANTS)
    before = await service.process.cpu_ns()
    made = [await asyncio.to_thread(control.call, "connect", {"name": f"app {n}"}, f"app-{n}") for n in numbers]
    await service.idle()
    cost_us = (await service.process.cpu_ns() - before) / len(numbers) / 1000
    if service.count(_GRANTS) - grants != len(numbers):
        raise AssertionError(f"{len(numbers)} connections were made, {service.count(_GRANTS) - grants} are stored")
    clients = [_client_of(result) for result in made]
    sent = loads.prepare(loads.GET_INFO, range(len(clients)), clients.__getitem__)
    service.note(loads.GET_INFO, sent, await service.relay.round(service.frames(sent), in_flight=1))
    await service.idle()
    return cost_us


def _client_of(result: dict[str, Any]) -> Client:
    uri = decode_nwc(result["nwc_uri"])
    if not result["created"] or uri.service_pubkey != result["service_pubkey"]:
        raise AssertionError(f"this is no new connection: {result}")
    return Client.of(SecretKey(uri.secret), uri.service_pubkey)
