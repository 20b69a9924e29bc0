"""A real service in virtual time: the real :class:`Core` on a real data directory, between a relay that keeps
everything, a node that can be exchanged, and three clocks.

Only three things are not its own: the relay pool, the backend, and the ledger's ``apply``, which can be the last thing
a process does. A consumer of the feed is there besides, that tells of everything that happens to money. Services can be
killed at any point, their directories copied and restored at any moment, and a copy can be started beside its original
(:meth:`House.twin`).
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.service import core as core_module
from kitestring.app.service.core import Core, Place
from kitestring.app.service.delivery import Route
from kitestring.app.service.notices import NOTICES, Notice, give_notice
from kitestring.app.service.receptions import OnReception, Reception
from kitestring.app.service.routes import routes
from kitestring.base.approvals import Approval, OwnersWord, Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import DEBITS_WIRE, MANAGE_WIRE, OWNER_GRANT
from kitestring.base.destinations import Keysend
from kitestring.base.errors import KitestringError
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Grant
from kitestring.base.node import PayOrder
from kitestring.base.records import Message, Payment
from kitestring.base.transactions.owner import SaveGrant, Write
from kitestring.crypto.keys import SecretKey
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.audit.node import books, compare
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.app.client import LINK, POINTER, STRANGER, App, Manager, Newcomer, Requestor, Stranger
from tests.kit.app.receiver import WebDouble
from tests.kit.app.relay import URL, KeepingRelay, RelayDouble
from tests.kit.app.terms import all_but
from tests.kit.changed import replace
from tests.kit.clock import Clocks
from tests.kit.engine.crossings import CrossedBackend, CrossedStore, Crossings
from tests.kit.engine.hostile import Address, HostileNode
from tests.kit.rates import SetRates

#: Which running service a task belongs to; tasks inherit it from whoever spawns them.
_LIFE: contextvars.ContextVar[list[asyncio.Task[Any]] | None] = contextvars.ContextVar("life", default=None)
#: Files of a data directory that are no part of a copy: SQLite makes them anew.
_OWN = ("-shm",)
#: The rows without which a crash could lose what a node is about to be told.
_CLAIMED = "SELECT 1 FROM payments WHERE payment_hash = ? AND state <> 'failed' AND keysend LIKE ?"
_DECIDED = "SELECT 1 FROM invoices WHERE payment_hash = ? AND decision = 'settle' AND preimage = ?"
#: A kind of message of the tests: what the consumer of the feed tells.
NOTE = "money"

Files = dict[str, bytes]
Spoil = Callable[[Any], Any]


def _note_of(event: FeedEvent) -> Iterator[Message]:
    yield Message("", NOTE, f"{event.number} {event.kind.value} {event.subject}".encode(), b"", event.at)


#: Whatever happens to money is told to somebody.
MONEY = Notice(frozenset({EventKind.SETTLED, EventKind.FAILED, EventKind.RECEIVED}), _note_of)


class House:
    """What outlives a service. ``noted`` is what was told of money by the feed's consumer.

    ``spoil_store``, ``spoil_backend`` and ``spoil_restore`` wrap what the next service is given, and what a restore
    leaves: by them faults are planted (:mod:`tests.kit.app.faults`).
    """

    def __init__(self, root: Path, **settings: Any) -> None:
        self.clocks = Clocks()
        self.node: Any = Address(HostileNode(self.clocks.node))
        self.relay = KeepingRelay()
        #: The servers that webhooks lead to.
        self.web = WebDouble(self.clocks.service)
        self.root, self.home = root, root / "home"
        self.settings = settings
        self.apps: dict[str, App] = {}
        self.rates = SetRates(EUR=100_000)
        self.noted: list[str] = []
        self.spoil_store: list[Spoil] = []
        self.spoil_backend: list[Spoil] = []
        self.spoil_restore: list[Callable[[House], None]] = []
        #: What a node was told before the ledger on the disk had it.
        self.early: list[str] = []
        self._numbers = itertools.count(1)

    def entropy(self, size: int) -> bytes:
        return sha256(b"house %d" % next(self._numbers)).digest()[:size]

    @property
    def ledger(self) -> Path:
        return DataDir(self.home, self.root).ledger

    # ------------------------------------------------------------ running

    @asynccontextmanager
    async def service(self, crossings: Crossings | None = None) -> AsyncIterator[Service]:
        """One life. However it ends, nothing of it goes on afterwards: leaving the context is a kill. Raises
        KitestringError where the service refuses to start."""
        service = Service(self, crossings or Crossings())
        try:
            await service.begin()
            yield service
        finally:
            await service.kill()

    # ------------------------------------------------------------ files

    def copy(self) -> Files:
        """Every file of the data directory as it is at this moment, write-ahead log and key included."""
        files = (path for path in sorted(self.home.rglob("*")) if path.is_file() and not path.name.endswith(_OWN))
        return {str(path.relative_to(self.home)): path.read_bytes() for path in files}

    def restore(self, files: Files) -> None:
        """Put these files in place of all that are there. No service may be running on them."""
        for path in sorted(self.home.rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
        self._write(self.home, files)
        for spoil in self.spoil_restore:
            spoil(self)

    def twin(self, files: Files) -> House:
        """Another machine with a copy of the directory: the same node, relay, clocks and apps."""
        other = House(self.root / f"twin{next(self._numbers)}", **self.settings)
        other.clocks, other.node, other.relay, other.apps = self.clocks, self.node, self.relay, self.apps
        other.web = self.web
        other._numbers = self._numbers
        self._write(other.home, files)
        return other

    @staticmethod
    def _write(home: Path, files: Files) -> None:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, data in files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(data)

    @property
    def service_id(self) -> str:
        return Keyring(DataDir(self.home, self.root).read_seed()).service_id

    def violations(self) -> list[str]:
        """What the audit finds in the ledger, what the nodes have really paid more than once, and what they were told
        too early."""
        found = [str(violation) for violation in audit(self.ledger, self.service_id)] + self.early
        return found + [f"paid twice: {payment_hash}" for payment_hash in sorted(self.node.paid_twice())]

    def booked(self) -> list[str]:
        """The hash of every payment that is booked as made."""
        with closing(sqlite3.connect(f"{self.ledger.as_uri()}?mode=ro", uri=True)) as connection:
            return [row[0] for row in connection.execute("SELECT payment_hash FROM payments WHERE state = 'settled'")]

    async def differences(self) -> list[str]:
        """What ``audit --node`` finds: the ledger against the lists of the present node."""
        node = self.node
        payments = [payment async for payment in node.list_payments()]
        invoices = [row async for row in node.list_invoices()]
        ours = books(self.ledger, self.service_id, node.node_id)
        return [str(violation) for violation in compare(ours, payments, invoices)]


class Service:
    """One running service and what its owner does with it."""

    def __init__(self, house: House, crossings: Crossings) -> None:
        self.house, self.crossings = house, crossings
        self.core: Any = None
        self.store: Any = None
        self.sqlite: SqliteStore | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        self._context = contextvars.copy_context()
        self._context.run(_LIFE.set, self.tasks)
        self._keys = itertools.count()

    # ------------------------------------------------------------ life

    async def begin(self) -> None:
        _count_tasks()
        await self.do(self._start())

    async def do(self, work: Any) -> Any:
        """Carry it out as the service's own work: it dies with the service."""
        return await asyncio.get_running_loop().create_task(work, context=self._context.copy())

    async def _start(self) -> None:
        house = self.house
        home = DataDir(house.home, house.root)
        home.create()
        keyring = Keyring(home.seed(house.entropy))
        home.check_owner(keyring.service_id)
        place = Place(home.ledger, home.path, (URL,))
        config = Config(house.home, runtime_dir=house.root, **house.settings)
        with self._wired():
            self.core = await Core.open(config, place, keyring, clock=house.clocks.service, entropy=house.entropy)
            await self.core.start()

    @contextmanager
    def _wired(self) -> Iterator[None]:
        """The three parts that are not the service's own."""
        house, crossings = self.house, self.crossings

        def backend(*_: Any, **__: Any) -> Any:
            made: Any = _Watched(CrossedBackend(house.node, crossings), house)
            for spoil in house.spoil_backend:
                made = spoil(made)
            return made

        def pool(*_: Any, **named: Any) -> RelayDouble:
            return RelayDouble(house.relay, named["clock"])

        with (
            patch.object(core_module, "node_of", backend),
            patch.object(core_module, "RelayPool", pool),
            patch.object(core_module, "SqliteStore", self),
            patch.object(core_module, "routes", self._routes),
            patch.object(core_module, "exchange_rates", lambda *_: self.house.rates),
            patch.object(core_module, "Fetcher", lambda *_: house.web),
            patch.object(core_module, "give_notice", partial(give_notice, notices=(*NOTICES, MONEY))),
        ):
            yield

    def _routes(self, seams: Any) -> dict[str, Route]:
        return {**routes(seams), NOTE: Route(self._note)}

    def _note(self, message: Message, done: OnReception) -> None:
        self.house.noted.append(message.plaintext.decode())
        done(Reception.TAKEN)

    async def open(self, *values: Any, **named: Any) -> Any:
        """In the place of ``SqliteStore.open``."""
        self.sqlite = await SqliteStore.open(*values, **named)
        self.store = _ListenedStore(self.sqlite, self.crossings)
        for spoil in self.house.spoil_store:
            self.store = spoil(self.store)
        return self.store

    async def kill(self) -> None:
        """End every task of it, wherever it is, as SIGKILL does; only the file is closed as is proper."""
        if self.core is not None:
            self.core.pool.end()
        while left := [task for task in self.tasks if not task.done()]:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await asyncio.gather(*self.tasks, return_exceptions=True)  # what they raised is known now
        if self.sqlite is not None:
            await self.sqlite.close()

    # ------------------------------------------------------------ the owner

    async def command(self, name: str, /, key: str = "", **params: Any) -> Any:
        """Carry an owner's command out, by a new idempotency key unless one is given. Raises KitestringError."""
        commands = OwnerCommands(self.core.desk, all_commands())
        caller = await commands.owner()
        return await self.do(commands.run(caller, name, params, key or f"k{next(self.house._numbers)}"))

    async def account(self, name: str, amount_msat: int) -> None:
        await self.command("account_create", name=name)
        if amount_msat:
            await self.command("account_fund", account=name, amount_msat=amount_msat)

    async def connect(self, name: str, **params: Any) -> App:
        """A connection, which may do everything that ``params`` do not take from it, and the app that holds it."""
        made = await self.command("connect", **all_but(name=name, **params))
        app = self.house.apps[name] = App(made["nwc_uri"], self.house.relay, self.house.clocks.app, self.house.entropy)
        return app

    def stranger(self, number: int = STRANGER) -> Stranger:
        """Somebody who has no connection; another one for another number below 256."""
        house = self.house
        return Stranger(
            SecretKey(bytes([number]) * 32), self.core.desk.service_id, house.relay, house.clocks.app, house.entropy
        )

    def newcomer(self, number: int) -> Newcomer:
        """Somebody who enrolls; another one for another number below 256."""
        house = self.house
        return Newcomer(
            SecretKey(bytes([number]) * 32), self.core.desk.service_id, house.relay, house.clocks.app, house.entropy
        )

    # ------------------------------------------------------------ debits

    def requestor(self, number: int) -> Requestor:
        """Somebody who takes money; another one for another number below 256."""
        house = self.house
        return Requestor(
            SecretKey(bytes([number]) * 32), self.core.desk.service_id, house.relay, house.clocks.app, house.entropy
        )

    async def pointer(self, account: str, **more: Any) -> None:
        """Make the one pointer of this house."""
        await self._grant(POINTER, account, **({"strangers": "ask"} | more))

    async def allow(self, caller: Requestor, account: str, *budgets: Budget) -> None:
        """Let somebody take there within these budgets."""
        key = caller.key.public_hex
        await self._grant(f"of {key[:8]}", account, caller=key, budgets=budgets)

    async def _grant(self, grant_id: str, account: str, **more: Any) -> None:
        grant = Grant(
            grant_id=grant_id, name=grant_id, wire=DEBITS_WIRE, account_id=account, pointer_id=POINTER,
            methods=frozenset({"pay_invoice"}), created_at=self.house.clocks.service.now() - 3_600, **more,
        )  # fmt: skip
        await self.write(SaveGrant(grant))

    # ------------------------------------------------------------ offers of apps

    def manager(self, number: int) -> Manager:
        """An app that manages offers; another one for another number below 256."""
        house = self.house
        return Manager(
            SecretKey(bytes([number]) * 32), self.core.desk.service_id, house.relay, house.clocks.app, house.entropy
        )

    async def link(self, account: str, *managers: Manager) -> None:
        """Make the one link of this house, and let these apps manage offers over it."""
        made = Grant(
            grant_id=LINK, name=LINK, wire=MANAGE_WIRE, account_id=account, pointer_id=LINK, strangers="ask",
            relays=(URL,), created_at=self.house.clocks.service.now() - 3_600,
        )  # fmt: skip
        keys = [manager.key.public_hex for manager in managers]
        grants = [replace(made, grant_id=f"app {key[:8]}", name=key[:8], caller=key, strangers="deny") for key in keys]
        await self.write(*(SaveGrant(one) for one in (made, *grants)))

    async def write(self, *writes: Write) -> None:
        """Change rows as a command of the owner does."""
        key = f"ctl:w{next(self.house._numbers)}"
        assert await self.do(self.core.desk.execute(key, OWNER_GRANT, writes, {})) is None

    async def decide(self, verdict: Ruling, key: str, **more: Any) -> Approval | None:
        """The owner's word about the oldest open question, if there is one. Raises KitestringError."""
        asked = await self.store.approvals(limit=1)
        if not asked:
            return None
        word = OwnersWord(
            approval_id=asked[0].approval_id, version=asked[0].version, verdict=verdict, by=OWNER_GRANT,
            key=f"ctl:{key}", **more,
        )  # fmt: skip
        decided: Approval = await self.do(self.core.engine.decide(word))
        return decided

    # ------------------------------------------------------------ looking

    async def payment(self, payment_hash: str) -> Payment | None:
        found: Payment | None = await self.store.payment_by_hash(self.core.engine._context.node.node_id, payment_hash)
        return found

    async def state(self, payment_hash: str) -> str:
        found = await self.payment(payment_hash)
        return "" if found is None else found.state.value

    async def available(self, account: str) -> int:
        found = await self.store.account(account)
        return int(found.available_msat)

    async def stopped(self) -> str:
        """Why spending is stopped, "" where it is not."""
        return str((await self.store.totals()).spending_stopped)


class _Watched:
    """A backend that looks into the ledger on the disk before money moves at the node: what no crash may lose has to be
    there by then."""

    def __init__(self, inner: CrossedBackend, house: House) -> None:
        self._inner, self._house = inner, house

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def pay(self, order: PayOrder) -> Any:
        to = order.destination
        kept = f"%{to.preimage}%" if isinstance(to, Keysend) else "%"
        self._look("an order was sent", order.payment_hash, _CLAIMED, order.payment_hash, kept)
        return await self._inner.pay(order)

    async def settle_invoice(self, preimage: str) -> Any:
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        self._look("a hold invoice was settled", payment_hash, _DECIDED, payment_hash, preimage)
        return await self._inner.settle_invoice(preimage)

    def _look(self, what: str, payment_hash: str, rows: str, *values: str) -> None:
        with closing(sqlite3.connect(f"{self._house.ledger.as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute(rows, values).fetchone() is None:
                self._house.early.append(f"{what} before the ledger had it: {payment_hash}")


class _ListenedStore(CrossedStore):
    """Who listens to it does so as part of the service it was opened in."""

    def subscribe(self, listener: Callable[[Any], None]) -> None:
        context = contextvars.copy_context()
        self._store.subscribe(lambda news: context.copy().run(listener, news))


def _count_tasks() -> None:
    """From now on every task is entered with the service it belongs to."""
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is _made:
        return
    loop.set_task_factory(_made)


def _made(
    loop: asyncio.AbstractEventLoop, work: Any, context: contextvars.Context | None = None, **more: Any
) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context, **more)
    life = context.get(_LIFE) if context is not None else _LIFE.get()
    if life is not None:
        life.append(task)
    return task


async def refused_to_start(house: House) -> KitestringError | None:
    """The sentence with which the service does not start, None when it does."""
    try:
        async with house.service():
            return None
    except KitestringError as refused:
        return refused
