"""One service without wires: the real engine on the real ledger, a faulty node and a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from kitestring.app.service.delivery import Delivery, Route
from kitestring.app.service.receptions import OnReception, Reception
from kitestring.base.approvals import Approval, OwnersWord, Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import (
    DEBITS_WIRE,
    MANAGE_WIRE,
    OWNER_ACCOUNT,
    OWNER_GRANT,
    AskOffer,
    Debit,
    Deed,
    Enroll,
    MakeInvoice,
    ManageOffer,
    PayInvoice,
)
from kitestring.base.destinations import Bolt11
from kitestring.base.grants import Account, Grant, Offer, Strangers
from kitestring.base.money import Msat
from kitestring.base.outcomes import Invoiced, Outcome, Paid, Received
from kitestring.base.ports import CurrencyRates, Encoded
from kitestring.base.records import RECEIPT, REPLY, Message, Node, NodeView, Request
from kitestring.base.transactions.answers import Claimed
from kitestring.base.transactions.owner import Execute, SaveAccount, SaveGrant, SaveOffer, Transfer, Write
from kitestring.base.transactions.service import SaveNode
from kitestring.base.zones import UTC, Zone
from kitestring.engine.context import Context, EnrollingHere, Incoming, NoRates
from kitestring.engine.engine import Engine
from kitestring.engine.limits import Limits
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.policy.enrolling import EnrollTerms
from tests.kit.changed import replace
from tests.kit.clock import VirtualClock
from tests.kit.engine.crossings import CrossedBackend, CrossedStore, Crossings
from tests.kit.engine.node import FaultyBackend
from tests.kit.waiting import until

SERVICE = "ab" * 32
#: No wait in a test is longer than this many virtual seconds.
PATIENCE_S = 3_600
PAYER_OF_OFFERS = b"offers"
NWC = b"nwc"
DEBITS = b"debits"
MANAGE = b"manage"
#: A kind of message of the tests: what a consumer of the feed tells.
NOTE = "notice"
AMOUNT = 50_000
#: As that of a seed, the same in every life.
KEYSEND_SECRET = b"k" * 32
#: Strangers may enroll in tests, for little work.
ENROLLING = EnrollingHere(EnrollTerms("open", 8), SERVICE, b"e" * 32, lambda: ("wss://relay.example",))
#: A service that sends an order again for a day: for tests of what a node may do meanwhile.
PATIENT = Limits(send_within_s=86_400)


def encode(reply_to: bytes, part: str, outcome: Outcome, now: int) -> Encoded | None:
    """As the wires do it: who made an invoice over NWC gets no receipt, the payer of an offer does."""
    if part == "receipt" and reply_to == NWC:
        return None
    plaintext = pickle.dumps(outcome)
    return Encoded(plaintext, b"event " + plaintext[:8], now)


def is_paid(outcome: object, payment_hash: str) -> bool:
    return isinstance(outcome, Paid) and sha256(bytes.fromhex(outcome.preimage)).hexdigest() == payment_hash


def outcome_of(message: Message) -> Any:
    return pickle.loads(message.plaintext)


@dataclass
class Life:
    """What lasts over restarts: the file, the node, the clock, the entropy and what was ever delivered."""

    path: Path
    clock: Any = field(default_factory=VirtualClock)
    delivered: list[Message] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    numbers: Any = field(default_factory=itertools.count)
    is_witnessed: bool = True
    zone: Zone = UTC
    enrolling: EnrollingHere = ENROLLING
    rates: CurrencyRates = field(default_factory=NoRates)

    def __post_init__(self) -> None:
        self.node = FaultyBackend(self.clock)

    def entropy(self, length: int) -> bytes:
        return sha256(b"entropy %d" % next(self.numbers)).digest()[:length]

    def audit(self) -> None:
        assert audit(self.path, SERVICE) == []

    @asynccontextmanager
    async def service(self, crossings: Crossings | None = None, *, start: bool = True) -> AsyncIterator[Rig]:
        """One run of the service. However it ends, nothing of it goes on afterwards."""
        rig = await Rig.open(self, crossings or Crossings())
        try:
            if start:
                await rig.engine.start()
            yield rig
        finally:
            await rig.end()


class Rig:
    """One running service and what tests do with it."""

    def __init__(self, life: Life, store: SqliteStore, node: Node, crossings: Crossings) -> None:
        self.life, self.node, self.clock = life, life.node, life.clock
        self._sqlite = store
        self.store: Any = CrossedStore(store, crossings)
        self.backend: Any = CrossedBackend(life.node, crossings)
        self._heard = asyncio.Event()
        self._keys = itertools.count()
        self.context = Context(
            self.store, self.backend, node, life.clock, life.entropy, encode, self._deliver, life.limits, life.zone,
            lambda: life.is_witnessed, KEYSEND_SECRET, rates=life.rates, enrolling=life.enrolling,
        )  # fmt: skip
        self.engine = Engine(self.context)
        route = Route(self._carry)
        self.delivery = Delivery(self.store, life.clock, {REPLY: route, RECEIPT: route, NOTE: route})
        store.subscribe(self.delivery.hear)

    @classmethod
    async def open(cls, life: Life, crossings: Crossings) -> Rig:
        store = await SqliteStore.open(life.path, SERVICE)
        info = await life.node.info() if not life.node.offline else None
        node = Node(info.node_id if info else "02" + "ab" * 32, 1, "faulty", "regtest")
        await CrossedStore(store).apply(SaveNode(node))
        rig = cls(life, store, node, crossings)
        await rig.delivery.start()
        return rig

    async def end(self) -> None:
        tasks = [*self.context.tasks, *self.engine._loops, *self.delivery._background._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sqlite.close()

    def _carry(self, message: Message, done: OnReception) -> None:
        if not message.request_id.startswith("ctl:"):  # what the test itself has written
            self._deliver((message,))
        done(Reception.TAKEN)

    def _deliver(self, messages: tuple[Message, ...]) -> None:
        self.life.delivered.extend(messages)
        self._heard.set()
        self._heard = asyncio.Event()

    # ------------------------------------------------------------ owner's doings

    async def write(self, *writes: Write) -> None:
        key = f"ctl:{next(self._keys)}:{self.life.entropy(8).hex()}"
        now = self.clock.now()
        message = Message(key, "reply", b"{}", b"", now)
        request = Request(key, "control", OWNER_GRANT, b"", b"", now, now)
        answer = await CrossedStore(self._sqlite).apply(Execute(request, writes, message))
        assert isinstance(answer, Claimed), answer

    async def grant(
        self,
        name: str,
        *,
        account: str = OWNER_ACCOUNT,
        budgets: tuple[Budget, ...] = (),
        methods: str = "",
        **more: Any,
    ) -> str:
        named = frozenset((methods or "pay_invoice pay_keysend make_invoice lookup_invoice get_balance").split())
        more |= {"account_id": account, "budgets": budgets, "methods": named}
        await self.write(SaveGrant(Grant(grant_id=name, name=name, wire="nwc", **more)))
        return name

    async def change(self, name: str, **changes: Any) -> None:
        """Change a stored grant behind the engine's back."""
        grant = await self.store.grant(name)
        await self.write(SaveGrant(replace(grant, version=grant.version + 1, **changes)))

    async def account(self, name: str, amount: int) -> str:
        await self.write(SaveAccount(Account(account_id=name, name=name)))
        balance = await self.node.balance()
        spent = (await self.store.totals()).spent_msat
        view = NodeView(balance.spendable_msat, spent)
        if amount:
            await self.write(Transfer(f"fund {name}", OWNER_ACCOUNT, name, Msat(amount), "", self.clock.now(), view))
        return name

    async def offer(self, name: str, account: str = OWNER_ACCOUNT, **terms: Any) -> str:
        """Write an offer, new or with other terms."""
        await self.write(SaveOffer(Offer(**{"offer_id": name, "label": name, "account_id": account, **terms})))
        return name

    async def pointer(self, name: str = "till", *, strangers: Strangers = "ask", **more: Any) -> str:
        more.setdefault("methods", frozenset({"pay_invoice"}))
        grant = Grant(grant_id=name, name=name, wire=DEBITS_WIRE, pointer_id=name, strangers=strangers, **more)
        await self.write(SaveGrant(grant))
        return name

    async def allow(self, pointer: str, caller: str, *budgets: Budget, **more: Any) -> str:
        """Give a key a grant at a pointer, as the owner does."""
        more.setdefault("methods", frozenset({"pay_invoice"}))
        grant = Grant(
            grant_id=f"{pointer}-{caller[:4]}", name=caller[:4], wire=DEBITS_WIRE, caller=caller, pointer_id=pointer,
            budgets=budgets, **more,
        )  # fmt: skip
        await self.write(SaveGrant(grant))
        return grant.grant_id

    async def link(self, name: str = "shop", *, strangers: Strangers = "ask", **more: Any) -> str:
        """Make a link over which apps manage offers."""
        more.setdefault("relays", ("wss://relay.example",))
        grant = Grant(grant_id=name, name=name, wire=MANAGE_WIRE, pointer_id=name, strangers=strangers, **more)
        await self.write(SaveGrant(grant))
        return name

    async def let_manage(self, link: str, caller: str, **more: Any) -> str:
        """Give an app a grant at a link, as the owner does."""
        values: dict[str, Any] = {"grant_id": f"{link}-{caller[:4]}", "name": caller[:4]} | more
        await self.write(SaveGrant(Grant(wire=MANAGE_WIRE, caller=caller, pointer_id=link, **values)))
        return str(values["grant_id"])

    async def manage(self, request_id: str, caller: str, deed: Deed, *, link: str = "shop", age_s: int = 0) -> None:
        """Ask for something about offers."""
        now = self.clock.now()
        known = next((grant.grant_id for grant in await self.store.grants_of(MANAGE_WIRE, caller)), "")
        command = ManageOffer(deed=deed, pointer_id=link)
        asked = Incoming(request_id, MANAGE_WIRE, "", command, MANAGE, now - age_s, None, now + 3_600, caller, known)
        refused = await self.engine.handle(asked)
        if refused is not None:
            self._deliver((Message(request_id, REPLY, pickle.dumps(refused), b"", now, MANAGE),))

    async def available(self, account: str) -> int:
        found = await self.store.account(account)
        return int(found.available_msat)

    # ------------------------------------------------------------ requests

    def paying(self, invoice: tuple[str, str], amount: int, **more: Any) -> PayInvoice:
        text, payment_hash = invoice
        more.setdefault("expires_at", self.clock.now() + 3_600)
        more.setdefault("destination", Bolt11(text))
        return PayInvoice(payment_hash=payment_hash, amount_msat=Msat(amount), network="regtest", **more)

    async def handle(self, request_id: str, grant: str, command: Any, reply_to: bytes = NWC, *, app: str = "") -> None:
        wire = "offers" if reply_to == PAYER_OF_OFFERS else "nwc"
        asked = Incoming(request_id, wire, grant, command, reply_to, self.clock.now(), app=app)
        refused = await self.engine.handle(asked)
        if refused is not None:  # whoever asks tells it
            now = self.clock.now()
            self._deliver((Message(request_id, REPLY, pickle.dumps(refused), b"", now, reply_to),))

    async def debit(
        self, request_id: str, caller: str, invoice: tuple[str, str] | None = None, amount: int = AMOUNT, *,
        pointer: str = "till", budget: Budget | None = None, k1: str = "", age_s: int = 0, **more: Any,
    ) -> None:  # fmt: skip
        """Ask to be paid, or (without an invoice) to be allowed to take."""
        payment = None if invoice is None else self.paying(invoice, amount, **more)
        command = Debit(pointer_id=pointer, payment=payment, budget=budget, k1=k1)
        now = self.clock.now()
        until = now + 3_600
        known = next((grant.grant_id for grant in await self.store.grants_of(DEBITS_WIRE, caller)), "")
        asked = Incoming(request_id, DEBITS_WIRE, "", command, DEBITS, now - age_s, None, until, caller, known)
        refused = await self.engine.handle(asked)
        if refused is not None:
            self._deliver((Message(request_id, REPLY, pickle.dumps(refused), b"", now, DEBITS),))

    async def enroll(self, request_id: str, key: str, work_bits: int = 8) -> None:
        """Ask for an account, as the gateway does for a stranger."""
        now, command = self.clock.now(), Enroll(work_bits=work_bits)
        asked = Incoming(request_id, "enroll", "", command, DEBITS, now, None, now + 3_600, key)
        refused = await self.engine.handle(asked)
        if refused is not None:
            self._deliver((Message(request_id, REPLY, pickle.dumps(refused), b"", now, DEBITS),))

    async def decide(self, verdict: Ruling, approval_id: str = "", **more: Any) -> Approval:
        """The owner's word about the oldest question that is open."""
        if not approval_id:
            approval_id = (await self.store.approvals(limit=1))[0].approval_id
        values: dict[str, Any] = {"version": 1, "by": OWNER_GRANT, "key": f"ctl:{next(self._keys)}"} | more
        return await self.engine.decide(OwnersWord(approval_id=approval_id, verdict=verdict, **values))

    async def pay(self, request_id: str, grant: str, invoice: tuple[str, str], amount: int, **more: Any) -> None:
        await self.handle(request_id, grant, self.paying(invoice, amount, **more))

    async def invoice(self, request_id: str, grant: str, amount: int | None, **more: Any) -> tuple[str, str]:
        """Make an invoice and wait for it: (bolt11, payment_hash). Without a grant it is asked of an offer."""
        value = None if amount is None else Msat(amount)
        asked = MakeInvoice(amount_msat=value, **more) if grant else AskOffer(amount_msat=value, **more)
        await self.handle(request_id, grant, asked, NWC if grant else PAYER_OF_OFFERS)
        made = await self.answer(request_id)
        assert isinstance(made, Invoiced), made
        return made.transaction.bolt11, made.transaction.payment_hash

    # ------------------------------------------------------------ what came of it

    def told(self, request_id: str, part: str = "reply") -> list[Any]:
        found = [m for m in self.life.delivered if m.request_id == request_id and m.kind == part]
        return [outcome_of(message) for message in found]

    async def answer(self, request_id: str, part: str = "reply") -> Any:
        """The delivered answer; waits for it."""

        async def heard() -> Any:
            while not (found := self.told(request_id, part)):
                await self._heard.wait()
            return found[0]

        return await asyncio.wait_for(heard(), PATIENCE_S)

    async def receipt(self, request_id: str) -> Received:
        received = await self.answer(request_id, "receipt")
        assert isinstance(received, Received)
        return received

    async def until(self, holds: Any) -> None:
        """Wait until ``await holds()`` is true, looking once a virtual second."""
        await until(holds, limit_s=PATIENCE_S, pause_s=1)

    async def state(self, payment_hash: str) -> str:
        payment = await self.store.payment_by_hash(self.context.node.node_id, payment_hash)
        return "" if payment is None else str(payment.state.value)
