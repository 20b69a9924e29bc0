"""A seeded world: a node, a network and a disk that misbehave, kills in between, and then fair weather.

In fair weather everything ends (I15), everybody has one answer, and the node's books and the ledger say the same.
"""

from __future__ import annotations

import asyncio
import json
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.app.service.notices import GrantNotice, give_notice
from kitestring.app.service.notifier import NOTIFIED, notification
from kitestring.base.budgets import Budget
from kitestring.base.commands import ListTransactions
from kitestring.base.errors import NotStoredError, Reason
from kitestring.base.money import Msat
from kitestring.base.store import Scope
from kitestring.base.transactions.payments import ClaimPayment
from kitestring.codec import bolt11
from kitestring.crypto.keys import SecretKey
from kitestring.engine.feed import Feed
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag
from kitestring.wire.envelope import decrypt, shared_secret
from tests.kit.app import hearing
from tests.kit.app.door import APP, Door
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life, Rig

#: The same ones always, and one that is new in each run; a failing one stands in the test's name.
SEEDS = [1, 2, 3, 4, random.SystemRandom().randrange(1_000_000)]
REQUESTS = 24
#: Virtual seconds of bad weather, and how often a client asks again while it has no answer.
STORM_S = 240
AGAIN_S = 25
AMOUNT = 10_000
FUNDED = 10_000_000
PRICE = 7_000
MAY = "pay_invoice make_invoice payment_sent payment_received"
TOLD = (GrantNotice(NOTIFIED, notification),)
OTHER = SecretKey(b"\x04" * 32)
CLIENTS = {"app": APP, "other": OTHER}


class World:
    """One seed's run."""

    def __init__(self, path: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.life = Life(path)
        self.door: Door | None = None
        self.stormy = True
        self.requests: dict[str, Event] = {}
        self.paying: dict[str, str] = {}  # request id → payment hash
        self.replies: dict[str, list[Any]] = {}
        self.claimed: set[str] = set()
        self.received: set[str] = set()  # invoices of ours that somebody has paid, by payment hash
        self.heard: list[tuple[str, Any]] = []  # notifications that a relay has taken, by whose they are
        self.noticing: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ weather

    def script(self) -> Script:
        chance = self.chance
        odd = ["lost", "dropped", "lie", "inflight", "unreachable", "never"]
        answers = [chance.choice(odd) for _ in range(chance.choice((0, 0, 1, 2)))]
        fails = chance.choice(("", "", "", "no_route"))
        return Script(fails, chance.choice((0.0, 1.0, 30.0, 400.0)), 1_000, [*answers, "true"])

    async def storm(self, rig: Rig) -> None:
        """Forever: the node goes and comes, its stream breaks, the disk is full for a moment, the clock is set."""
        node, chance = self.life.node, self.chance
        while True:
            await rig.clock.sleep(chance.uniform(1, 15))
            node.offline, node.deaf = chance.random() < 0.2, chance.random() < 0.3
            rig.clock.skew_s = chance.randrange(-20, 20)
            if chance.random() < 0.4:
                node.break_streams()
            if chance.random() < 0.5:
                self.pay_in()
            if chance.random() < 0.4:
                name = chance.choice(("ClaimPayment", "RecordPayment", "Credit", "RecordInvoice", "Answer", "Tell"))
                rig.store.broken.setdefault(name, []).append(NotStoredError(Reason.INTERNAL, "the disk is full"))

    def pay_in(self) -> None:
        """Somebody pays an invoice that an app has got."""
        results = [reply.get("result") or {} for found in self.replies.values() for reply in found]
        asked = sorted({made["payment_hash"] for made in results if made.get("type") == "incoming"} - self.received)
        if asked:
            payment_hash = self.chance.choice(asked)
            assert self.life.node.pay_in(payment_hash)
            self.received.add(payment_hash)

    def calm(self, rig: Rig) -> None:
        self.stormy = False
        self.life.node.offline = self.life.node.deaf = False
        self.life.clock.skew_s = 0
        rig.store.broken.clear()

    # ------------------------------------------------------------ the network

    async def deliver(self, event: Event) -> None:
        """None, one or several copies, each after a while of its own: so they overtake each other."""
        copies = self.chance.choice((0, 1, 1, 2, 3)) if self.stormy else 1
        for _ in range(copies):
            await self.life.clock.sleep(self.chance.uniform(0, 5 if self.stormy else 0.1))
            if self.door is not None:
                self.door.gateway.receive(event, "ws://127.0.0.1:1")

    def takes(self, event: Event) -> bool:
        """Whether a relay takes a reply; and whether the client hears it, which is another matter."""
        if self.stormy and self.chance.random() < 0.3:
            return False
        if event.kind == kinds.NWC_NOTIFY:
            assert self.door is not None
            self.heard.append(self._read(event))
        elif not self.stormy or self.chance.random() < 0.7:
            asked = first_tag(event, "e") or ""
            self.replies.setdefault(asked, []).append(self._read(event)[1])
        return True

    def _read(self, event: Event) -> tuple[str, Any]:
        """Who is meant, and what is said."""
        name, key = next(one for one in CLIENTS.items() if one[1].public_hex == first_tag(event, "p"))
        return name, json.loads(decrypt(event.content, "nip44", shared_secret(key, event.pubkey, "nip44")))

    async def client(self, number: int, invoices: list[str]) -> None:
        """Ask once, and again with the very same event for as long as there is no answer."""
        await self.life.clock.sleep(self.chance.uniform(0, STORM_S))
        while self.door is None:
            await self.life.clock.sleep(1)
        name = self.chance.choice(tuple(CLIENTS))
        if number % 4 == 3:
            event = self._event(name, "make_invoice", {"amount": PRICE})
        else:
            invoice = self.chance.choice(invoices)
            event = self._event(name, "pay_invoice", {"invoice": invoice, "max_fee": 1_000})
            self.paying[event.id] = bolt11.decode(invoice).payment_hash
        self.requests[event.id] = event
        while event.id not in self.replies:
            await self.deliver(event)
            await self.life.clock.sleep(AGAIN_S)

    def _event(self, name: str, method: str, params: Any) -> Event:
        assert self.door is not None
        to = self.door.keyring.connection_key(name).public_hex
        return self.door.request(method, params, key=CLIENTS[name], to=to)

    # ------------------------------------------------------------ one run

    async def prepare(self) -> list[str]:
        async with self.life.service(start=False) as rig:
            door = Door(rig, RequestLimits())
            await rig.account("purse", FUNDED)
            for name, key in CLIENTS.items():
                peer = door.keyring.connection_key(name).public_hex
                budget = Budget.total(Msat(FUNDED))
                more: dict[str, Any] = {"account": "purse", "budgets": (budget,), "methods": MAY, "nip44_seen": True}
                await rig.grant(name, caller=key.public_hex, service_pubkey=peer, **more)
            return [door.invoice(self.script(), expiry_s=86_400) for _ in range(REQUESTS // 2)]

    async def live(self, seconds: float, crossings: Crossings) -> None:
        """One life of the service, until its time is over or it is killed."""
        if self.life.node.offline:
            self.life.node.offline = False  # nothing starts without its node
        async with self.life.service(crossings, start=False) as rig:
            storm = asyncio.create_task(self.storm(rig)) if self.stormy else None
            await self._open(rig)
            killed = asyncio.create_task(crossings.killed.wait())
            await asyncio.wait((killed,), timeout=seconds)
            killed.cancel()
            if storm is not None:
                storm.cancel()
            await self._shut(rig)

    async def _open(self, rig: Rig) -> None:
        door = Door(rig, RequestLimits(requests_per_min=10_000, payments_per_min=10_000))
        door.pool.takes = self.takes
        await door.refresh()
        await rig.engine.start()
        self.noticing = asyncio.create_task(give_notice(Feed(rig.store, rig.clock), rig.store, rig.clock, TOLD))
        self.door = door

    async def _shut(self, rig: Rig) -> None:
        door, self.door = self.door, None
        self.claimed |= {tx.request.request_id for tx in rig.store.applied if isinstance(tx, ClaimPayment)}
        assert door is not None
        assert self.noticing is not None
        tasks = [*door.gateway._tasks, self.noticing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await door.notifier.stop()

    async def run(self) -> None:
        invoices = await self.prepare()
        clients = [asyncio.create_task(self.client(number, invoices)) for number in range(REQUESTS)]
        while self.life.clock.monotonic() < STORM_S:
            await self.live(STORM_S / 3, Crossings(self.chance.randrange(5, 120)))
        self.life.node.offline = False
        async with self.life.service(start=False) as rig:
            self.calm(rig)
            await self._open(rig)
            await asyncio.wait_for(asyncio.gather(*clients), 3_600)
            self.pay_in()
            await rig.clock.sleep(3_600)
            await self.check(rig)
            await self._shut(rig)

    # ------------------------------------------------------------ afterwards

    async def check(self, rig: Rig) -> None:
        node = self.life.node
        assert await rig.store.open_payments() == []
        assert await rig.store.running_requests() == []
        for request_id, found in self.replies.items():
            stored = await rig.store.messages(request_id)
            if stored:
                assert all(reply == json.loads(stored[0].plaintext) for reply in found), request_id
            paid = [
                reply["result"]["preimage"]
                for reply in found
                if reply.get("error") is None and request_id in self.paying
            ]
            for preimage in paid:
                assert sha256(bytes.fromhex(preimage)).hexdigest() == self.paying[request_id]
                assert self.paying[request_id] in node.paid_out()
        assert set(self.replies) >= set(self.requests)
        books = node.paid_out()
        rows = [await rig.store.payment_by_hash(rig.context.node.node_id, payment_hash) for payment_hash in books]
        assert [row.amount_msat + row.fee_msat for row in rows] == list(books.values())
        assert {row.state.value for row in rows} <= {"settled"}
        assert await rig.available("purse") == FUNDED - sum(books.values()) + PRICE * len(self.received)
        assert set(books) <= set(self.paying.values())
        await self._check_heard(rig)
        self.life.audit()

    async def _check_heard(self, rig: Rig) -> None:
        """Each app was told of each payment of its own: stored once, and taken by a relay in the end."""
        told = await hearing.to_be_told(rig.store)
        assert await hearing.stored(rig.store) == told
        assert len(told) == len(await rig.store.transactions(Scope(), ListTransactions(limit=1_000)))
        heard = {(who, one["notification_type"], one["notification"]["payment_hash"]) for who, one in self.heard}
        assert heard == {(who, words.split()[0], await hearing.hash_of(rig.store, words)) for who, words in told}


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed-{seed}")
def test_after_the_storm_everything_has_ended_and_every_book_says_the_same(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")

    @virtual
    async def story() -> None:
        await World(tmp_path / "ledger.db", seed).run()

    story()
