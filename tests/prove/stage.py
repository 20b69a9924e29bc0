"""One flow of money, played to its end through any number of kills."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from kitestring.app.home.config import NwcSettings
from kitestring.base.errors import KitestringError
from kitestring.codec import bolt11
from kitestring.engine.limits import Limits
from kitestring.nostr.event import Event
from kitestring.policy.enrolling import EnrollTerms
from tests.kit.app import hearing
from tests.kit.app.client import WORK_BITS, App, Manager, Peer, Requestor, debit_code
from tests.kit.app.house import MONEY, House, Service
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import Script
from tests.kit.ledger.under_way import under_way
from tests.kit.waiting import until

FUNDED = 1_000_000
AMOUNT = 10_000
FEE = 1_000
DAY_S = 86_400
#: Virtual seconds after everything is told until everything must have come to rest: beyond every time limit.
REST_S = 700.0
#: The second death comes within this many points after the restart.
EARLY = 11
#: Requestors of debits: one that has a grant, and one that nobody knows.
KNOWN, GUEST = 21, 22
#: Somebody who enrolls.
NEWCOMER = 23
#: Methods whose answers prove a payment.
PAYING = ("pay_invoice", "pay_keysend", "multi_pay_invoice", "multi_pay_keysend")
#: A wait in a flow is never longer, in virtual seconds.
PATIENCE_S = 7_200.0


class Stage:
    """What a flow needs. Everything it does is done once, however often it is played again after a kill."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.service: Service
        self.bills: dict[str, tuple[str, str]] = {}
        self.keys: dict[str, str] = {}
        self.parts: dict[str, int] = {}
        self.asked: dict[str, tuple[Peer, Event]] = {}
        self.made: dict[str, Any] = {}
        self.lives = 0
        #: How many deaths have cut through each kind of what may be under way.
        self.cut: Counter[str] = Counter()

    @property
    def node(self) -> Any:
        return self.house.node

    def app(self, name: str = "app") -> App:
        return self.house.apps[name]

    def bill(self, name: str, script: Script | None = None, amount: int | None = AMOUNT) -> str:
        """The invoice of somebody outside, made once; its text."""
        if name not in self.bills:
            text = self.node.outside_bolt11(amount, script, expiry_s=7 * DAY_S)
            self.bills[name] = (text, bolt11.decode(text, recover=False).payment_hash)
        return self.bills[name][0]

    def key(self, name: str, script: Script | None = None) -> str:
        """The key of a node outside, made once."""
        if name not in self.keys:
            self.keys[name] = self.node.outside_key(script)
        return self.keys[name]

    def sent_to(self, name: str) -> list[str]:
        """The hashes of what the node was ordered to send to this key, or the one of this bill."""
        if name in self.bills:
            return [self.bills[name][1]]
        return [one for one, sent in self.node.keysends.items() if sent.node_key == self.keys[name]]

    def ask(self, name: str, peer: Peer, signed: Callable[[], Event]) -> None:
        """Send a request, once. Afterwards the relay has it, and shows it to every service that starts."""
        if name not in self.asked:
            event = signed()
            self.asked[name] = (peer, event)
            peer.publish(event)

    def pay(self, name: str, text: str, app: str = "app", **params: Any) -> None:
        peer = self.app(app)
        self.ask(name, peer, lambda: peer.request("pay_invoice", {"invoice": text, **params}))

    def send(self, name: str, key: str, app: str = "app", **params: Any) -> None:
        peer = self.app(app)
        self.ask(name, peer, lambda: peer.request("pay_keysend", {"pubkey": key, "amount": AMOUNT, **params}))

    def debit(self, name: str, text: str = "", number: int = KNOWN, **members: Any) -> None:
        """Ask to be paid by a debit, as the requestor of this number."""
        peer = self.service.requestor(number)
        self.ask(name, peer, lambda: peer.request(text, **members))

    def manage(self, name: str, action: str, offer: Any = None, number: int = KNOWN) -> None:
        """Ask for something about offers, as the app of this number."""
        peer = self.service.manager(number)
        self.ask(name, peer, lambda: peer.request(action, offer))

    def ask_many(self, name: str, method: str, **elements: Any) -> None:
        """Ask for several payments in one request."""
        (members,) = elements.values()
        self.parts[name], peer = len(members), self.app()
        self.ask(name, peer, lambda: peer.request(method, elements))

    async def told(self, name: str, number: int = 1) -> Any:
        """The ``number``-th different answer to a request, waiting for it. Raises AssertionError after a long time."""
        await self.until(lambda: len(self.answers(name)) >= number, f"{name} was never answered")
        return self.answers(name)[number - 1]

    async def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait until ``holds()`` is true, or what it returns to be awaited. Raises AssertionError after a long time."""
        await until(holds, what, limit_s=PATIENCE_S, pause_s=0.5)

    def answers(self, name: str) -> list[Any]:
        """The different answers to a request, in their order."""
        peer, event = self.asked[name]
        found: list[Any] = []
        for reply in peer.replies(event):
            if reply not in found:
                found.append(reply)
        return found

    def named_codes(self, name: str) -> dict[str, str]:
        """By the name of each part of a request, the code of its answer, which never changes."""
        peer, event = self.asked[name]
        found: dict[str, str] = {}
        for part, reply in peer.named_replies(event):
            assert found.setdefault(part, _code(reply)) == _code(reply), (part, "was told two things")
        return found

    async def once(self, name: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What ``work`` gives, kept. It is done again only if the process died in it."""
        if name not in self.made:
            self.made[name] = await work()
        return self.made[name]

    def paid_in(self, name: str, text: str) -> None:
        """Somebody outside pays one of our invoices."""
        if name not in self.made:
            self.made[name] = self.node.pay_in(bolt11.decode(text, recover=False).payment_hash)
            assert self.made[name], f"{name}: the node does not take this payment"


Play = Callable[[Stage], Coroutine[Any, Any, None]]


async def _nothing(_: Stage) -> None:
    pass


@dataclass(frozen=True)
class Flow:
    """One row of the table. ``play`` is begun again after each kill and ends when everything is told. ``moved`` is
    what the accounts have gained, ``told`` the code of each request's answer ("ok" where there is no error), ``paid``
    and ``left`` the bills and keys that the node has paid for good, each once, and those that it must not. ``earned``
    is what the service has taken in fees of its own, which are set in ``limits``."""

    name: str
    play: Play
    moved: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    paid: tuple[str, ...] = ()
    prepare: Play = _nothing
    check: Play = _nothing
    open_payments: int = 0
    limits: Limits = field(default_factory=Limits)
    earned: int = 0


@dataclass(frozen=True)
class Died:
    """What a flow went through: the labels of the points up to the first death, and what all deaths cut through."""

    labels: list[str]
    cut: Counter[str]


async def run(
    flow: Flow, root: Path, fatal: int, again: int = 0, plant: Callable[[House], None] | None = None
) -> Died | None:
    """Die at the ``fatal``-th point, once more at the ``again``-th of the recovery, then finish and look at
    everything. None when the flow was over before. A fault may be planted in the house.

    Raises AssertionError, with the flow and the points in it, where anything is not as the row says.
    """
    stage = Stage(_house(root, flow.limits))
    if plant is not None:
        plant(stage.house)
    labels: list[str] = []
    try:
        async with stage.house.service() as stage.service:
            await _prepare(stage)
            await flow.prepare(stage)
        for deadly in (fatal, again or fatal % EARLY + 1):
            crossings = Crossings(deadly)
            died = await _life(stage, flow, crossings)
            labels = labels or crossings.labels
            if not died and deadly == fatal:
                return None
        async with stage.house.service() as stage.service:
            await flow.play(stage)
            await stage.house.clocks.service.sleep(REST_S)
            await _check(stage, flow)
            await flow.check(stage)
    except AssertionError as wrong:
        where = f"{flow.name}: killed at point {fatal} ({labels[-1] if labels else '-'}), then {again or 'early'}"
        raise AssertionError(f"{where}: {'; '.join([*stage.house.early, str(wrong)])}") from wrong
    return Died(labels, stage.cut)


async def points(flow: Flow, root: Path) -> list[str]:
    """The labels of all points that the flow crosses when nobody kills it."""
    stage = Stage(_house(root, flow.limits))
    async with stage.house.service() as stage.service:
        await _prepare(stage)
        await flow.prepare(stage)
    crossings = Crossings()
    assert not await _life(stage, flow, crossings)
    return crossings.labels


def _house(root: Path, limits: Limits) -> House:
    """Everything that is off by itself is on."""
    terms = EnrollTerms("open", WORK_BITS)
    return House(root, nwc=NwcSettings(legacy_methods=True), connection_requests=True, enroll=terms, limits=limits)


async def _prepare(stage: Stage) -> None:
    service = stage.service
    await service.account("purse", FUNDED)
    await service.account("shop", 0)
    await service.connect("app", account="purse", budget_msat=FUNDED // 2)
    await service.connect("till", account="shop")
    await service.connect("book", account="purse", preset="read-only")  # hears of what the app, and others, did there
    stage.made["offer"] = (await service.command("offer_create", label="coffee", account="shop"))["offer_id"]


async def _life(stage: Stage, flow: Flow, crossings: Crossings) -> bool:
    """One life of the service while the flow is played; whether it was killed."""

    async def live() -> None:
        async with stage.house.service(crossings) as stage.service:
            await flow.play(stage)

    stage.lives += 1
    living = asyncio.create_task(live())
    dying = asyncio.create_task(crossings.killed.wait())
    await asyncio.wait((living, dying), return_when=asyncio.FIRST_COMPLETED)
    for task in (living, dying):
        task.cancel()
    ended = await asyncio.gather(living, dying, return_exceptions=True)
    if crossings.killed.is_set():
        stage.cut += under_way(stage.house.ledger)
    if not crossings.killed.is_set() and isinstance(ended[0], Exception):
        raise ended[0]
    return crossings.killed.is_set()


async def _check(stage: Stage, flow: Flow) -> None:
    house, store = stage.house, stage.service.store
    out = sorted(house.node.paid_out())
    due = [payment_hash for name in flow.paid for payment_hash in stage.sent_to(name)]
    assert len(due) == len(flow.paid), "a key was paid more than once, or never"
    assert out == sorted(due), "the node has paid what it should not, or has not"
    violations, differences = house.violations(), await house.differences()
    assert not violations, violations
    assert not differences, differences
    for name, code in flow.told.items():
        first = stage.answers(name)[0]
        assert code == _code(first), (name, first)
    await _preimages(stage)
    for account in ("purse", "shop"):
        expected = {"purse": FUNDED, "shop": 0}[account] + flow.moved.get(account, 0)
        assert await stage.service.available(account) == expected, (account, expected)
    assert (await store.totals()).service_fees_msat == flow.earned
    assert len(await store.open_payments()) == flow.open_payments
    assert await store.running_requests() == []
    _notes(stage, await store.events(0, 1_000))
    await _hears(stage)


async def _preimages(stage: Stage) -> None:
    """Who was told of a payment holds its proof; nobody was told two things. Of a stranger nothing is kept: it may hear
    no once more, and in other words."""
    for name in stage.asked:
        answers = stage.answers(name)
        is_requestor = isinstance(stage.asked[name][0], Requestor | Manager)
        replies = [answer for answer in answers if is_requestor or "result_type" in answer]
        is_no = is_requestor and all(reply["res"] == "GFY" for reply in replies)
        assert is_no or len(replies) <= stage.parts.get(name, 1), (name, "was told too many things", replies)
        for reply in replies:
            if preimage := _proof(reply):
                payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
                known = {one for _, one in stage.bills.values()} | set(stage.node.received()) | _internal(stage)
                known |= {*stage.node.keysends, *await _inside(stage)}
                assert payment_hash in known, (name, "holds a proof of nothing")


def _code(answer: Any) -> str:
    if "res" in answer:
        return debit_code(answer)
    return str((answer.get("error") or {}).get("code", "ok"))


def _proof(reply: Any) -> str:
    """The preimage of a payment that this reply tells, "" for none."""
    if "res" in reply:
        return str(reply.get("preimage", ""))
    return str((reply["result"] or {}).get("preimage", "")) if reply["result_type"] in PAYING else ""


def _internal(stage: Stage) -> set[str]:
    return {name for name, made in stage.node._made.items() if made.state == "canceled"}


async def _inside(stage: Stage) -> set[str]:
    """Keysends to the service's own node, by the ledger: the node never hears of them."""
    ids = {name: event.id for name, (_, event) in stage.asked.items()}
    names = [*ids.values(), *(f"{ids[name]}/{part}" for name, number in stage.parts.items() for part in range(number))]
    requests = [await stage.service.store.request(name) for name in names]
    payments = [await stage.service.store.payment(one.payment_id) for one in requests if one and one.payment_id]
    return {one.payment_hash for one in payments if one and one.internal}


def _notes(stage: Stage, rows: list[Any]) -> None:
    """Told of everything that happened to money: once, and for each death at most once more."""
    happened = {f"{row.number} {row.kind.value} {row.subject}" for row in rows if row.kind in MONEY.kinds}
    noted = stage.house.noted
    assert set(noted) == happened
    assert max((noted.count(note) for note in happened), default=0) <= 1 + stage.lives


async def _hears(stage: Stage) -> None:
    """Each connection was told of each payment that it sees: stored once, and said once for each life at most."""
    store, apps = stage.service.store, stage.house.apps
    told = await hearing.to_be_told(store)
    assert await hearing.stored(store) == told, "a notification is missing, or there twice"
    names = {grant.grant_id: grant.name for grant in await store.grants()}
    heard = [(name, type_, one["payment_hash"]) for name in apps for type_, one in apps[name].notifications()]
    expected = {(names[who], words.split()[0], await hearing.hash_of(store, words)) for who, words in told}
    assert set(heard) == expected
    assert max((heard.count(one) for one in expected), default=0) <= 1 + stage.lives


async def command(stage: Stage, name: str, key: str, /, **params: Any) -> Any:
    """An owner's command by a fixed key, as whoever is not answered repeats it; a refusal is an answer too."""
    try:
        return await stage.service.command(name, key, **params)
    except KitestringError as refused:
        return refused
