"""A seeded world: a node, a relay, clocks and a disk that misbehave, kills in between, and then fair weather.

Weather is what every service must bear at any time. Hazards are worse: records that are lost, a node that is another
one, a ledger from yesterday. Each world has the weather and a few hazards; in fair weather everything must have ended,
and whoever was told something was told the truth.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from kitestring.app.home.config import NwcSettings, RequestLimits
from kitestring.app.service.housekeeping import KEEP_S
from kitestring.base.approvals import Ruling
from kitestring.base.budgets import Budget
from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.codec import bolt11
from kitestring.engine.absence import YOUNG_S
from kitestring.engine.answers import part_id
from kitestring.engine.limits import Limits
from kitestring.engine.node import ANSWER_LIMIT_S
from kitestring.nostr.event import Event
from tests.kit.app import hearing
from tests.kit.app.client import App, Requestor
from tests.kit.app.house import Files, House, Service
from tests.kit.clock import STEPS_S
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.hostile import HostileNode
from tests.kit.engine.node import Script
from tests.kit.ledger.under_way import under_way
from tests.prove.known import KNOWN
from tests.prove.spender import Spender

FUNDED: Final = 50_000_000
AMOUNT: Final = 10_000
DAY_S: Final = 86_400
PAYMENTS: Final = 8
KEYSENDS: Final = 3
BUNDLES: Final = 3
PARTS: Final = 3
DEBITS: Final = 6
#: What owners say; most of them give little. And the words of sessions, of which each is good once.
RULINGS: Final = (Ruling.AS_ASKED, Ruling.AS_ASKED, Ruling.BUDGET, Ruling.DENY)
WORDS: Final = ("c4" * 32, "d5" * 32)
INVOICES: Final = 3
HOLDS: Final = 4
#: Invoices that the owner takes back, of which some are paid, inside or outside, at the same time.
TAKEN_BACK: Final = 4
#: Seconds between two blocks: what nobody decides about goes back before the end.
BLOCK_S: Final = 8
#: In every third world the service takes a fee of its own.
TAXED: Final = Limits(service_floor_msat=Msat(1_000), service_bps=50)
LIVES: Final = 4
LIFE_S: Final = 90.0
#: Virtual seconds of fair weather: beyond every time limit.
REST_S: Final = 1_500.0
#: And so many until every app has heard of what was paid last.
TOLD_S: Final = 60.0
#: Nobody pays later than so many seconds after it was asked, whatever has happened.
LATE_S: Final = 900.0
#: A request that is not older than this may have no answer yet; and so long two services may not know of each other.
OPEN_S: Final = 120.0
NOTICED_S: Final = 60.0
#: A clock is set by one of these: besides what is far off, what is a little beyond the window of a request.
SET_S: Final = (*STEPS_S, 90, 200, 500)
PERIODS: Final[tuple[dict[str, Any], ...]] = (
    {"period": "day"},
    {"period": "never"},
    {"period": "rolling", "length_s": 3_600},
    {"period": "rolling", "length_s": 60},
)
#: The owner moves between two lives.
ZONES: Final = ("UTC", "UTC", "Asia/Kathmandu", "America/New_York")
#: Payments that others have made with the node since its last backup; more than a world has payments of its own.
PAID_BY_OTHERS: Final = 50
#: Answers of a node that is not well.
ODD: Final = ("lost", "dropped", "lie", "inflight", "unreachable", "never")


@dataclass
class Asked:
    """One payment that an app wants, and when it asked (monotonic). ``part`` names it among several of one request."""

    peer: App | Requestor
    event: Event
    payment_hash: str
    at: float
    part: str = ""

    @property
    def code(self) -> str:
        """What the first answer says, "" while there is none."""
        if not self.part:
            return self.peer.code(self.event)
        replies = [reply for part, reply in self.peer.named_replies(self.event) if part == self.part]
        return str((replies[0].get("error") or {}).get("code", "ok")) if replies else ""


class World:
    """One seed's run. ``done`` names what has happened, in order: with the seed it is all that a failure needs."""

    def __init__(self, root: Path, seed: int, without: frozenset[str] = frozenset()) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        limits = TAXED if seed % 3 == 0 else Limits()
        throttling, nwc = RequestLimits(10_000, 10_000), NwcSettings(legacy_methods=True)
        self.house = House(root, request_limits=throttling, nwc=nwc, limits=limits)
        number = self.chance.choice((0, 1, 1, 2))
        drawn = self.chance.sample(sorted(HAZARDS), number)
        self.hazards = [name for name in drawn if name not in without]
        self.done: list[str] = [f"hazards: {', '.join(self.hazards) or 'none'}"]
        self.asked: list[Asked] = []
        self.sold: list[str] = []
        self.held: list[str] = []
        self.held_inside: dict[str, Event] = {}
        self.decided: list[tuple[str, str, Event]] = []
        self.luck = random.Random(f"holds {seed}")  # beside the other chances, which stay what they were
        self.to_take_back: list[str] = []
        self.sold_back: dict[str, Event] = {}
        self.taken_back: set[str] = set()
        self.fate = random.Random(f"taken back {seed}")  # as the luck of what is held
        self.deaths = 0
        #: How many deaths have cut through each kind of what may be under way.
        self.cut: Counter[str] = Counter()
        self.copies: list[Files] = []
        self.twins_at: list[float] = []
        self.last_night = self.house.node.state()
        self.has_lost = False
        self.house.node.earlier += PAID_BY_OTHERS
        self.house.node.block_s = BLOCK_S
        self.stormy = True
        self.app: App
        self.till: App
        self.known: Requestor
        self.guest: Requestor
        self.spender: Spender
        self.service: Service
        self.preimage_of: Callable[[str], bytes]

    def note(self, what: str) -> None:
        self.done.append(f"{self.house.clocks.service.monotonic():.0f} s: {what}")

    async def sleep(self, least: float, most: float) -> None:
        await self.house.clocks.service.sleep(self.chance.uniform(least, most))

    # ------------------------------------------------------------ who asks

    def script(self, chance: random.Random | None = None) -> Script:
        chance = chance or self.chance
        answers = [chance.choice(ODD) for _ in range(chance.choice((0, 0, 1, 2)))]
        fails = chance.choice(("", "", "", "no_route"))
        fee = chance.choice((-5, 0, 10**7)) if "odd amounts" in self.hazards else 1_000
        return Script(fails, chance.choice((0.0, 1.0, 30.0, 400.0)), fee, [*answers, "true"])

    async def pays(self) -> None:
        for _ in range(PAYMENTS):
            await self.sleep(1, LIVES * LIFE_S / PAYMENTS)
            text = self.house.node.outside_bolt11(AMOUNT, self.script(), expiry_s=2 * DAY_S)
            payment_hash = bolt11.decode(text, recover=False).payment_hash
            self.asks(self.app, self.app.pay(text), payment_hash)

    async def sends(self) -> None:
        """To keys without invoices. Their preimages follow from the seed of the service, whatever it has lost."""
        for _ in range(KEYSENDS):
            await self.sleep(1, LIVES * LIFE_S / KEYSENDS)
            key = self.house.node.outside_key(self.script())
            event = self.app.send("pay_keysend", {"pubkey": key, "amount": AMOUNT})
            self.asks(self.app, event, sha256(self.preimage_of(event.id)).hexdigest())

    async def bundles(self) -> None:
        """Several payments in one request: of invoices, or to keys."""
        node, chance = self.house.node, random.Random(f"bundles {self.seed}")
        for _ in range(BUNDLES):
            await self.house.clocks.service.sleep(chance.uniform(1, LIVES * LIFE_S / BUNDLES))
            scripts, names = [self.script(chance) for _ in range(PARTS)], [str(number) for number in range(PARTS)]
            if chance.random() < 0.5:
                texts = [node.outside_bolt11(AMOUNT, script, expiry_s=2 * DAY_S) for script in scripts]
                parts = [{"id": name, "invoice": text} for name, text in zip(names, texts, strict=True)]
                event = self.app.send("multi_pay_invoice", {"invoices": parts})
                hashes = [bolt11.decode(text, recover=False).payment_hash for text in texts]
            else:
                keys = [node.outside_key(script) for script in scripts]
                parts = [{"id": name, "pubkey": key, "amount": AMOUNT} for name, key in zip(names, keys, strict=True)]
                event = self.app.send("multi_pay_keysend", {"keysends": parts})
                drawn = [self.preimage_of(part_id(event.id, number)) for number in range(PARTS)]
                hashes = [sha256(preimage).hexdigest() for preimage in drawn]
            for name, payment_hash in zip(names, hashes, strict=True):
                self.asks(self.app, event, payment_hash, name)

    def asks(self, peer: App | Requestor, event: Event, payment_hash: str, part: str = "") -> None:
        self.asked.append(Asked(peer, event, payment_hash, self.house.clocks.app.monotonic(), part))
        self.note(f"asked to pay {payment_hash[:8]}")

    async def takes(self) -> None:
        """Debits: of one who has a budget, and of one whom nobody knows."""
        for _ in range(DEBITS):
            await self.sleep(1, LIVES * LIFE_S / DEBITS)
            text = self.house.node.outside_bolt11(AMOUNT, self.script(), expiry_s=2 * DAY_S)
            peer = self.chance.choice((self.known, self.guest))
            word = {"k1": self.chance.choice(WORDS)} if self.chance.random() < 0.3 else {}
            event = peer.publish(peer.request(text, **word))
            self.asks(peer, event, bolt11.decode(text, recover=False).payment_hash)

    async def decides(self) -> None:
        """The owner, who looks now and then, and sometimes says the same twice."""
        while True:
            await self.sleep(5, 60)
            ruling, number = self.chance.choice(RULINGS), self.chance.randrange(1_000_000)
            more = {"budget": Budget(Msat(3 * AMOUNT))} if ruling is Ruling.BUDGET else {}
            for _ in range(self.chance.choice((1, 1, 2))):
                with suppress(KitestringError):  # it is decided, is not to be done now, or is away
                    await self.service.decide(ruling, f"d{number}", **more)

    async def sells(self) -> None:
        for _ in range(INVOICES):
            await self.sleep(1, LIVES * LIFE_S / INVOICES)
            asked = self.till.send("make_invoice", {"amount": AMOUNT, "expiry": DAY_S})
            made = await self.till.first(asked, 200.0)
            if made is not None and made.get("error") is None:
                payment_hash = made["result"]["payment_hash"]
                if payment_hash in self.house.node._made:
                    self.is_paid(payment_hash)

    async def holds(self) -> None:
        """Hold invoices: paid from outside or by the app, then settled, cancelled, or left alone."""
        till, luck, clock = self.till, self.luck, self.house.clocks.service
        inside = random.Random(f"inside {self.seed}")
        for number in range(HOLDS):
            await clock.sleep(luck.uniform(1, LIVES * LIFE_S / HOLDS))
            preimage = sha256(f"hold {number}".encode()).hexdigest()
            payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
            asked = till.send("make_hold_invoice", {"payment_hash": payment_hash, "amount": AMOUNT, "expiry": DAY_S})
            made = await till.first(asked, 200.0)
            if made is None or made.get("error") or payment_hash not in self.house.node._made:
                continue
            if inside.random() < 0.5:
                self.held_inside[payment_hash] = self.app.pay(made["result"]["invoice"])
                self.note(f"{payment_hash[:8]} is to be paid inside")
            elif self.house.node.pay_in(payment_hash):
                self.held.append(payment_hash)
                self.note(f"{payment_hash[:8]} is held")
            await clock.sleep(luck.uniform(0, 60))
            decision = luck.choice(("settle", "settle", "cancel", "nothing"))
            if decision == "settle":
                event = till.send("settle_hold_invoice", {"preimage": preimage})
                self.decided.append((payment_hash, decision, event))
            if decision == "cancel":
                event = till.send("cancel_hold_invoice", {"payment_hash": payment_hash})
                self.decided.append((payment_hash, decision, event))
            self.note(f"{payment_hash[:8]}: {decision}")

    async def sells_and_repents(self) -> None:
        """Invoices that the owner is to take back, while the app or somebody outside may pay them."""
        till, fate, clock = self.till, self.fate, self.house.clocks.service
        for _ in range(TAKEN_BACK):
            await clock.sleep(fate.uniform(1, LIVES * LIFE_S / TAKEN_BACK))
            asked = till.send("make_invoice", {"amount": AMOUNT, "expiry": DAY_S})
            made = await till.first(asked, 200.0)
            if made is None or made.get("error") or made["result"]["payment_hash"] not in self.house.node._made:
                continue
            payment_hash = made["result"]["payment_hash"]
            for step in fate.sample(("take back", "pay inside", "pay outside"), 2):
                if step == "take back":
                    self.to_take_back.append(payment_hash)
                elif step == "pay inside":
                    self.sold_back[payment_hash] = self.app.pay(made["result"]["invoice"])
                elif self.house.node.pay_in(payment_hash):
                    self.sold.append(payment_hash)
                self.note(f"{payment_hash[:8]}: {step}")
                await clock.sleep(fate.choice((0, 0, 1, 30)))

    async def repents(self) -> None:
        """The owner takes back what is to be, and asks again where nobody has answered."""
        while True:
            await self.house.clocks.service.sleep(self.fate.uniform(0.1, 5))
            for number, payment_hash in enumerate(self.to_take_back):
                if payment_hash in self.taken_back:
                    continue
                with suppress(KitestringError):  # it was paid, is not carried out yet, or the service is away
                    await self.service.command("invoice_cancel", f"back {number}", invoice=payment_hash, wait_s=20)
                    self.taken_back.add(payment_hash)
                    self.note(f"{payment_hash[:8]} was taken back")

    def is_paid(self, payment_hash: str) -> None:
        if "odd amounts" in self.hazards and self.chance.random() < 0.5:
            if self.house.node.received_all(payment_hash, 0):
                self.note(f"{payment_hash[:8]} was paid in with nothing, as the node says")
        elif self.house.node.pay_in(payment_hash):
            self.sold.append(payment_hash)
            self.note(f"{payment_hash[:8]} was paid in")

    # ------------------------------------------------------------ weather

    async def storm(self) -> None:
        """Forever: the node goes and comes, its stream breaks, the disk is full for a moment, the relay repeats."""
        chance, node = self.chance, self.house.node
        while True:
            await self.sleep(1, 15)
            node.offline, node.deaf = chance.random() < 0.2, chance.random() < 0.3
            if chance.random() < 0.3:
                node.break_streams()
            if chance.random() < 0.3:
                self.house.relay.show_again()
            if chance.random() < 0.3:
                name = chance.choice(
                    ("ClaimPayment", "RecordPayment", "Credit", "RecordInvoice", "Answer", "AskOwner", "Decide")
                )
                full = KitestringError(Reason.INTERNAL, "the disk is full")
                self.service.store.broken.setdefault(name, []).append(full)

    def calm(self) -> None:
        self.stormy = False
        self.house.node.offline = self.house.node.deaf = False
        self.house.clocks.right()
        self.house.settings.pop("request_limits", None)

    def loses(self, how: Callable[[HostileNode], None]) -> None:
        """Lose records of the node, once: of what it makes afterwards no claim has counted enough."""
        if self.has_lost:
            return
        self.has_lost = True
        how(self.house.node)

    # ------------------------------------------------------------ lives

    async def live(self, seconds: float, crossings: Crossings) -> None:
        self.house.node.offline = False  # nothing starts without its node
        async with self.house.service(crossings) as self.service:
            storm = asyncio.create_task(self.storm())
            killed = asyncio.create_task(crossings.killed.wait())
            hazard = asyncio.create_task(self.trouble(True))
            owner, repents = asyncio.create_task(self.decides()), asyncio.create_task(self.repents())
            await asyncio.wait((killed,), timeout=seconds)
            self.note("killed" if crossings.killed.is_set() else "ended")
            self.copies.append(self.house.copy())
            await _end(storm, killed, hazard, owner, repents)
        self.deaths += 1
        self.cut += under_way(self.house.ledger)

    async def trouble(self, alive: bool) -> None:
        """The hazards of this world that come while a service is alive, or between two lives."""
        for name in self.hazards:
            hazard = HAZARDS[name]
            if hazard.while_alive == alive and self.chance.random() < 0.6:
                if alive:
                    await self.sleep(1, LIFE_S / 2)
                self.note(name)
                await hazard.strike(self)

    async def run(self) -> None:
        """Raises AssertionError with the seed and all that was done."""
        try:
            await self._run()
        except Exception as wrong:
            raise AssertionError(
                f"seed {self.seed}: {wrong or type(wrong).__name__}\n  " + "\n  ".join(self.done)
            ) from wrong

    async def _run(self) -> None:
        async with self.house.service() as service:
            await service.account("purse", FUNDED)
            await service.account("shop", 0)
            self.preimage_of = service.core.engine._context.preimage_of
            period = self.chance.choice(PERIODS)
            self.app = await service.connect("app", account="purse", budget_msat=FUNDED, **period)
            self.till = await service.connect("till", account="shop")
            self.spender = Spender(self, (await service.connect("spender", account="purse")).uri)
            await service.connect("book", account="purse", preset="read-only")
            await service.pointer("purse", sessions="any")
            self.known, self.guest = service.requestor(21), service.requestor(22)
            await service.allow(
                self.known, "purse", Budget.rolling(Msat(6 * AMOUNT), DAY_S), Budget(Msat(9 * AMOUNT), budget_id=1)
            )
        if "low rates" in self.hazards:
            self.house.settings["request_limits"] = RequestLimits(10_000, 1)
        works = (
            self.pays(),
            self.sells(),
            self.takes(),
            self.sends(),
            self.bundles(),
            self.holds(),
            self.spender.play(),
            self.sells_and_repents(),
        )
        clients = [asyncio.create_task(work) for work in works]
        try:
            for zone in random.Random(f"zones of {self.seed}").choices(ZONES, k=LIVES):
                self.house.settings["zone_name"] = zone
                await self.live(LIFE_S, Crossings(self.chance.randrange(5, 200)))
                await self.trouble(False)
            self.calm()
            await asyncio.gather(*clients)
            async with self.house.service() as self.service:
                found_at = self.house.clocks.service.now()
                await self.house.clocks.service.sleep(REST_S)
                await self.spender.ask_again()
                await self.house.clocks.service.sleep(TOLD_S)
                await self.check(found_at)
        finally:
            await _end(*clients)

    # ------------------------------------------------------------ afterwards

    async def check(self, found_at: int, /) -> None:
        """``found_at`` is when the last life began (Unix seconds)."""
        house, hazards = self.house, set(self.hazards)
        assert not house.violations(), house.violations()
        store = self.service.store
        stopped = await self.service.stopped()
        excused = bool(stopped) or bool(hazards & LOSING)
        payments = await store.open_payments()
        open_payments = {payment.payment_hash for payment in payments}
        young_at = found_at + ANSWER_LIMIT_S - YOUNG_S  # an older claim, or one that is dated ahead, is the operator's
        endless = {one.payment_hash for one in payments if young_at < one.created_at <= found_at + AHEAD_S}
        assert not endless or excused, f"open forever: {endless}"
        paid = house.node.times_paid()
        for asked in self.asked:
            self._told_the_truth(asked, paid, open_payments)
        self.spender.was_told_the_truth(paid, open_payments, house.booked(), excused=excused)
        for node in house.node.nodes:
            for payment_hash, _, at in node.ever:
                asked_at = [asked.at for asked in self.asked if asked.payment_hash == payment_hash]
                asked_at += self.spender.asked_at(payment_hash)
                waited = min(at - one for one in asked_at if one <= at)
                assert waited <= LATE_S, f"{payment_hash[:8]} was sent {waited:.0f} s after it was asked for"
                is_for_nobody = self.spender.has_given_up(payment_hash, at)
                assert not is_for_nobody, f"{payment_hash[:8]} was sent after its payer was told that it has failed"
        if not hazards & LOSING:
            differences = await house.differences()
            assert not differences, differences
        if not hazards & (LOSING - SPARING):
            taken = [payment_hash for payment_hash in self.held if payment_hash in house.node.received()]
            earned = await self.service.available("shop")
            inside = [*self.held_inside.items(), *self.sold_back.items()]
            taken += [payment_hash for payment_hash, event in inside if self.app.code(event) == "ok"]
            paid_back = self.taken_back & {*self.sold, *taken}
            assert not paid_back, f"cancelled, and paid: {paid_back}"
            assert earned == AMOUNT * (len(self.sold) + len(taken)), "what came in is not where it belongs"
            self._decided_as_told(taken)
        if not hazards & LOSING:
            await self._hears()

    async def _hears(self) -> None:
        """Each connection was told of each payment that it sees: stored once, and said once for each life at most."""
        store, apps = self.service.store, self.house.apps
        told, stored = await hearing.to_be_told(store), await hearing.stored(store)
        kept = await hearing.to_be_told(store, self.house.clocks.service.now() - KEEP_S)  # what was told before may go
        assert set(kept) <= set(stored) <= set(told), "a notification is missing"
        assert len(stored) == len(set(stored)), "a notification is there twice"
        names = {grant.grant_id: grant.name for grant in await store.grants()}
        heard = [(name, type_, one["payment_hash"]) for name in apps for type_, one in apps[name].notifications()]
        expected = {(names[who], words.split()[0], await hearing.hash_of(store, words)) for who, words in told}
        assert set(heard) == expected, "an app has heard of too little, or of too much"
        assert max((heard.count(one) for one in expected), default=0) <= 1 + LIVES, "an app has heard too often"

    def _decided_as_told(self, taken: list[str]) -> None:
        for payment_hash, decision, event in self.decided:
            if self.till.code(event) == "ok":
                assert (decision == "settle") == (payment_hash in taken), f"{payment_hash[:8]}: told what is not so"

    def is_of_two(self, asked_at: float) -> bool:
        """Whether two services that did not know of each other yet may have answered: one refuses, the other pays."""
        return any(began - OPEN_S <= asked_at <= began + NOTICED_S for began in self.twins_at)

    def _told_the_truth(self, asked: Asked, paid: list[str], open_payments: set[str]) -> None:
        code, name = asked.code, asked.payment_hash[:8]
        if code == "ok":
            assert asked.payment_hash in paid, f"{name}: called paid, and nobody has paid it"
        elif code:
            is_left = asked.payment_hash in paid and not self.is_of_two(asked.at)
            assert not is_left, f"{name}: called {code}, and it has left a node"
        else:
            known = asked.payment_hash in open_payments or bool(set(self.hazards) & LOSING)
            assert known or asked.payment_hash not in paid, f"{name}: paid, and nobody was told"


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


# ------------------------------------------------------------ hazards


@dataclass(frozen=True)
class Hazard:
    strike: Callable[[World], Coroutine[Any, Any, None]]
    while_alive: bool = True


async def _nothing(_: World) -> None:
    """It is in the settings or in the scripts."""


async def _steps(world: World) -> None:
    clocks, chance = world.house.clocks, world.chance
    side, seconds = chance.choice(("app", "node", "service")), chance.choice(SET_S) * chance.choice((1, -1))
    world.note(f"the clock of the {side} is set by {seconds} s")
    clocks.step(side, seconds)
    try:
        await world.sleep(5, 130)
    finally:
        clocks.step(side, -seconds)


async def _forgets(world: World) -> None:
    world.loses(HostileNode.forget)


async def _node_restored(world: World) -> None:
    """Its records are those of last night: others had paid since, so every claim has counted more. A copy of right
    before an order is not played: see "What no count tells" in docs/explanation/money-safety.md."""
    world.loses(lambda node: node.restore(world.last_night))


async def _exchanged(world: World) -> None:
    first = world.house.node.node
    world.house.node.exchange()
    try:
        await world.sleep(1, 400)
    finally:
        world.house.node.back_to(first)


async def _restored(world: World) -> None:
    await world.sleep(1, 30)  # nobody puts a machine back within the second in which it has answered
    world.house.restore(world.chance.choice(world.copies))


async def _hours(world: World) -> None:
    await world.sleep(3_600, DAY_S)


async def _twin(world: World) -> None:
    twin = world.house.twin(world.house.copy())
    world.twins_at.append(world.house.clocks.app.monotonic())
    world.house.node.offline = False
    with suppress(KitestringError):  # it may refuse to start
        async with twin.service():
            await world.sleep(10, 120)


async def _indexes(world: World) -> None:
    world.house.node.new_invoice_database()
    world.house.node.break_streams()


HAZARDS: Final = {
    "low rates": Hazard(_nothing),
    "odd amounts": Hazard(_nothing),
    "clock steps": Hazard(_steps),
    "node forgets": Hazard(_forgets),
    "node restored": Hazard(_node_restored),
    "node exchanged": Hazard(_exchanged),
    "ledger restored": Hazard(_restored, while_alive=False),
    "hours pass": Hazard(_hours, while_alive=False),
    "two alive": Hazard(_twin),
    "settle index": Hazard(_indexes),
}
#: After these the books of one side are not complete: what is open may stay so, for the operator to decide.
LOSING: Final = frozenset(
    {"node forgets", "node restored", "node exchanged", "ledger restored", "two alive", "settle index"}
)
#: Of these, those after which all that came in is where it belongs nevertheless. With a database of invoices goes what
#: had settled in it while the stream was broken: nobody can know of it.
SPARING: Final = frozenset({"node forgets"})
#: What the short lane leaves out.
NOT_MENDED: Final = frozenset(HAZARDS) & KNOWN.keys()
