"""A service in front of another one, by its CLINK codes alone: either is killed, and no msat is lost or doubled.

The relay between them keeps nothing that is fleeting: who was not listening has to ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.money import sat
from kitestring.codec import bolt11
from tests.kit.app.process import FORGETFUL, PATIENCE_S, relay
from tests.kit.interop.program import Kitestring
from tests.kit.waiting import until

#: Long enough for a kill and a start while the payment is under way.
DELAY_MS = 8_000
OPENING_SATS = 50_000
AMOUNT = sat(1_000)
CAP_MSAT = 10_000


@dataclass
class Pair:
    """``shop`` stands on the ``wallet``, whose money is in the ``world``."""

    wallet: Kitestring
    shop: Kitestring
    world: World

    async def state(self, payment_hash: str) -> str:
        """Of a payment of the shop."""
        rows = await asyncio.to_thread(
            self.shop.rows, "SELECT state FROM payments WHERE payment_hash = ?", payment_hash
        )
        return str(rows[0]["state"]) if rows else ""

    async def until_settled(self, payment_hash: str) -> None:
        async def is_settled() -> bool:
            return await self.state(payment_hash) == "settled"

        await until(is_settled, limit_s=PATIENCE_S, pause_s=0.1)

    async def balance(self) -> int:
        return int((await self.shop.ask_apart("balance"))["balance_msat"])

    def outgoing(self) -> list[tuple[str, int]]:
        """What the world was paid, by hash."""
        return [(one.payment_hash, one.amount_msat) for one in self.world.payments() if one.direction == "out"]

    async def audit(self) -> None:
        for service in (self.wallet, self.shop):
            assert (await service.ask_apart("audit"))["violations"] == []


@asynccontextmanager
async def pair(directory: Path, *policy: str) -> AsyncIterator[Pair]:
    async with relay(FORGETFUL) as hub:
        wallet = Kitestring(directory / "wallet", "--node", "sandbox://?latency_ms=5", "--relay", hub.url)
        await asyncio.to_thread(wallet.start)
        offer = await wallet.ask_apart("offer", "create", "for the shop")
        debit = await wallet.ask_apart("debit", "pointer", "create", "for the shop", *policy)
        codes = f"noffer={offer['noffer']}&ndebit={debit['ndebit']}"
        node = f"clink://?{codes}&balance_sat={OPENING_SATS}&service=kitestring"
        shop = Kitestring(directory / "shop", "--node", node, "--relay", hub.url)
        await asyncio.to_thread(shop.start)
        with World(wallet.home / "sandbox.db") as world:
            yield Pair(wallet, shop, world)
        for service in (shop, wallet):
            assert await asyncio.to_thread(service.stop) == 0


async def under_way(both: Pair) -> tuple[str, asyncio.Task[object]]:
    """A payment of the shop that the node of the wallet is at work on: its hash, and whoever waits for it."""
    text = both.world.invoice(AMOUNT, behaviour=Behaviour.LATE, delay_ms=DELAY_MS)
    paying: asyncio.Task[object] = asyncio.create_task(asyncio.to_thread(both.shop.run, "pay", "--yes", text))
    await until(both.world.payments, limit_s=PATIENCE_S, pause_s=0.02)
    return bolt11.decode(text).payment_hash, paying


async def test_a_payment_outlives_the_death_of_the_service_that_ordered_it(tmp_path: Path) -> None:
    async with pair(tmp_path, "--policy", "budget", "--budget", "1000000/day") as both:
        payment_hash, paying = await under_way(both)
        await asyncio.to_thread(both.shop.kill)
        await paying
        assert await both.state(payment_hash) == "dispatched"
        await asyncio.to_thread(both.shop.start)
        await both.until_settled(payment_hash)
        assert both.outgoing() == [(payment_hash, AMOUNT)]
        assert await both.balance() == sat(OPENING_SATS) - AMOUNT - CAP_MSAT
        await both.audit()


async def test_a_payment_outlives_the_death_of_the_wallet_that_makes_it(tmp_path: Path) -> None:
    async with pair(tmp_path, "--policy", "budget", "--budget", "1000000/day") as both:
        payment_hash, paying = await under_way(both)
        await asyncio.to_thread(both.wallet.kill)
        assert await both.state(payment_hash) == "dispatched"
        await asyncio.to_thread(both.wallet.start)
        await both.until_settled(payment_hash)
        await paying
        assert both.outgoing() == [(payment_hash, AMOUNT)]
        await both.audit()


async def test_what_came_in_while_the_service_was_dead_is_booked_once(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        bills = [(await both.shop.ask_apart("invoice", "700"))["bolt11"] for _ in range(3)]
        both.world.pay(bills[0])

        async def holds(amount_msat: int) -> bool:
            return await both.balance() == sat(OPENING_SATS) + amount_msat

        await until(lambda: holds(700_000), limit_s=PATIENCE_S, pause_s=0.1)
        await asyncio.to_thread(both.shop.kill)
        both.world.pay(bills[1])
        both.world.pay(bills[2])
        for _ in range(2):
            await asyncio.to_thread(both.shop.start)
            await until(lambda: holds(2_100_000), limit_s=PATIENCE_S, pause_s=0.1)
            rows = both.shop.rows("SELECT state, received_msat FROM invoices")
            assert [(row["state"], row["received_msat"]) for row in rows] == [("settled", 700_000)] * 3
            await asyncio.to_thread(both.shop.kill)
        await asyncio.to_thread(both.shop.start)
        await both.audit()


async def test_a_payment_waits_for_the_owner_of_the_wallet_and_is_made_once(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        text = both.world.invoice(AMOUNT)
        paying = asyncio.create_task(asyncio.to_thread(both.shop.run, "pay", "--yes", text))

        async def asked() -> list[dict[str, str]]:
            found: list[dict[str, str]] = (await both.wallet.ask_apart("approvals"))["approvals"]
            return found

        await until(asked, limit_s=PATIENCE_S, pause_s=0.1)
        ((question,), doctor) = await asked(), await asyncio.to_thread(both.shop.run, "doctor")
        assert question["caller"] in doctor.out
        await asyncio.to_thread(both.shop.kill)
        await paying
        assert not both.outgoing()
        await asyncio.to_thread(both.shop.start)
        await both.wallet.ask_apart("approve", question["id"])
        await both.until_settled(bolt11.decode(text).payment_hash)
        assert both.outgoing() == [(bolt11.decode(text).payment_hash, AMOUNT)]
        await both.audit()
