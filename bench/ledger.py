"""Group commit: reserve + settle cycles that share their fsyncs, against cycles that each wait for their own."""

from __future__ import annotations

import asyncio
import statistics
import time
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

from bench import world
from bench.figures import Figure
from bench.service import fdatasync_us
from kitestring.app.home.config import Config
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.payments import Settled, State
from kitestring.base.records import Message, Node, NodeView, Payment, Request
from kitestring.base.transactions import Claimed, ClaimPayment, Execute, Recorded, RecordPayment, SaveGrant, SaveNode
from kitestring.ledger.sqlite.store import SqliteStore

ROUNDS: Final = 5
GROUPED: Final = 1_500
SINGLE: Final = 150
#: Cycles under way at once in the grouped rounds.
AT_ONCE: Final = 256
_NODE: Final = "02" + "cd" * 32
_VIEW: Final = NodeView(sat(1_000_000_000), ZERO)


Cycle = tuple[ClaimPayment, RecordPayment]


class Cycles:
    """Payments from claim to reply, as the engine writes them; the values are made before the clock runs."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._numbers = count()

    def _next(self) -> Cycle:
        now, number = int(time.time()), next(self._numbers)
        preimage = world.preimage(number)
        grant_id = f"bench{number % world.CLIENTS:02}"
        payment_id, request_id = sha256(preimage).hexdigest()[:32], sha256(b"request" + preimage).hexdigest()
        payment = Payment(
            payment_id=payment_id, node_id=_NODE, epoch=1, account_id="owner", grant_id=grant_id,
            payment_hash=sha256(preimage).hexdigest(), bolt11="lnbcrt" + 300 * "q", amount_msat=sat(1_000),
            fee_cap_msat=sat(10), created_at=now, state=State.DISPATCHED,
        )  # fmt: skip
        request = Request(request_id, "nwc", grant_id, bytes(400), bytes(250), now, now, payment_id)
        reply = Message(request_id, "reply", bytes(130), bytes(900), now, bytes(250))
        settled = RecordPayment(payment_id, Settled(preimage.hex(), Msat(1_000)), now, (reply,))
        return ClaimPayment(request, 1, payment, (), _VIEW), settled

    async def _write(self, cycles: list[Cycle]) -> None:
        for claim, settled in cycles:
            claimed, recorded = await self._store.apply(claim), await self._store.apply(settled)
            assert isinstance(claimed, Claimed), claimed
            assert isinstance(recorded, Recorded), recorded

    async def per_second(self, amount: int, at_once: int) -> float:
        shares = [[self._next() for _ in range(-(-amount // at_once))] for _ in range(at_once)]
        began = time.perf_counter()
        await asyncio.gather(*map(self._write, shares))
        return sum(map(len, shares)) / (time.perf_counter() - began)


async def measure(directory: Path) -> list[Figure]:
    cache_kib = Config(directory).ledger_cache_mib * 1_024
    store = await SqliteStore.open(directory / "group.db", world.keyring().service_id, cache_kib=cache_kib)
    try:
        await store.apply(SaveNode(Node(_NODE, 1, "bench", world.NETWORK)))
        for grant in world.grants():
            request = Request(f"grant {grant.grant_id}", "control", "owner", b"", b"", 0, 0)
            message = Message(request.request_id, "reply", b"{}", b"", 0)
            await store.apply(Execute(request, (SaveGrant(grant),), message))
        cycles, grouped, single = Cycles(store), [], []
        await cycles.per_second(AT_ONCE, AT_ONCE)
        for _ in range(ROUNDS):
            single.append(await cycles.per_second(SINGLE, 1))
            grouped.append(await cycles.per_second(GROUPED, AT_ONCE))
    finally:
        await store.close()
    ratio = statistics.median(group / alone for group, alone in zip(grouped, single, strict=True))
    detail = (
        f"{statistics.median(grouped):.0f} against {statistics.median(single):.0f} reserve + settle cycles/s,"
        f" fdatasync {fdatasync_us(directory):.0f} µs"
    )
    return [Figure("group commit against single commits", ratio, 6.0, "higher", detail)]
