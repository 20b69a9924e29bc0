"""The real store that random transactions are played on, beside its model: made, opened anew, and looked at."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from typing import Any, ClassVar

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kitestring.base.budgets import Budget
from kitestring.base.grants import Account, Grant
from kitestring.base.money import Msat
from kitestring.base.payments import IllegalStepError
from kitestring.base.records import NodeView, Request
from kitestring.base.transactions.answers import Denied, Tx
from kitestring.base.transactions.owner import Execute, SaveAccount, SaveGrant, Write
from kitestring.base.transactions.requests import Prune
from kitestring.base.transactions.service import SetSpending
from kitestring.base.zones import UTC, Zone
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.memory import Memory
from kitestring.ledger.apply.table import APPLY
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.clock import STEPS_S
from tests.kit.ledger.place import ledger_path
from tests.kit.ledger.values import NODE, NOW, SERVICE, execute, hash_of, move, request
from tests.prove.model import Model
from tests.prove.reached import states

#: Fees of the service, one after the other.
TAXES = (0, 7, 300)
#: A node that can always pay what is asked for.
RICH = NodeView(Msat(10**18), Msat(0))
ACCOUNTS = ("alice", "bob")
PAYING = frozenset({"pay_invoice", "pay_keysend"})
#: Everything that may be odd about the world.
HAZARDS = frozenset({"time goes back", "budget edited", "zone edited", "fee below zero", "nothing received"})
HASHES = ("one", "two", "three", "four", "five")
#: What only those ask for who ask the owner: a hash that is held is seldom free again.
MORE_HASHES = tuple(f"bill {number}" for number in range(12))
NAMES = st.sampled_from(HASHES)
ACCOUNT = st.sampled_from(ACCOUNTS)
AMOUNT = st.integers(1, 9_000)
#: One is east by a day and more of another; in two it is about midnight when all begins.
ZONES = st.sampled_from(
    [UTC, *(Zone(f"{offset_s}", (), (offset_s,)) for offset_s in (-32_400, -32_100, -31_900, 54_400, 54_300))]
)
#: The pointer that strangers speak to; what is taken by it comes from alice.
POINTER = "till"
BUDGETS = st.sampled_from(
    [
        Budget.rolling(Msat(20_000), 3_600),
        Budget.rolling(Msat(40_000), 60),
        Budget.daily(Msat(20_000)),
        Budget.monthly(Msat(30_000)),
        Budget.total(Msat(50_000)),
        Budget.total(Msat(9_000)),
        Budget.daily(Msat(4_000)),
    ]
)
#: The budgets of a grant. An edit keeps their numbers, changes them about, or begins new ones.
NUMBERED = st.builds(
    lambda budgets, numbers: tuple(
        replace(one, budget_id=number) for one, number in zip(budgets, numbers, strict=False)
    ),
    st.lists(BUDGETS, min_size=1, max_size=2),
    st.sampled_from([(0, 1), (0, 1), (1, 0), (2, 1), (3, 4)]),
)


def word(answer: object) -> str:
    if isinstance(answer, IllegalStepError):
        return "illegal"
    if isinstance(answer, BaseException):
        raise answer
    return answer.reason.value if isinstance(answer, Denied) else type(answer).__name__


def agree(said: str, expected: str, about: object) -> None:
    """Raise AssertionError with both words, where the ledger does not say what the model does."""
    assert said == expected, f"the ledger says {said}, the model {expected}: {about}"


class Ground(RuleBasedStateMachine):
    """``hazards`` are those that are played; ``done`` counts the transactions of this process, ``reached`` how often
    they led to each state of interest. ``there`` is the node that the service stands on."""

    hazards: ClassVar[frozenset[str]] = HAZARDS
    done: ClassVar[int] = 0
    reached: ClassVar[Counter[str]] = Counter()
    model: Model

    @initialize(budgets=st.lists(NUMBERED, min_size=2, max_size=2))
    def begin(self, budgets: list[tuple[Budget, ...]]) -> None:
        self.room = ExitStack()
        self.path = self.room.enter_context(ledger_path())
        self.runner = asyncio.Runner()
        self.model = Model(ACCOUNTS, {hash_of(name): name for name in HASHES + MORE_HASHES})
        self.count, self.now, self.zone, self.there = 0, NOW, UTC, NODE
        self.states: dict[str, str] = {}
        #: What the nodes have said for good of payments: no restored ledger hears anything else.
        self.truths: dict[str, tuple[str, int]] = {}
        self._open()
        grants = [
            Grant(grant_id=f"of-{account}", name=account, wire="nwc", account_id=account, methods=PAYING, budgets=mine)
            for account, mine in zip(ACCOUNTS, budgets, strict=True)
        ]
        till = {"account_id": "alice", "pointer_id": POINTER}
        grants.append(Grant(grant_id=POINTER, name=POINTER, wire="debits", strangers="ask", **till))  # type: ignore[arg-type]  # texts
        for account in ACCOUNTS:
            self.apply(execute(account, SaveAccount(Account(account_id=account, name=account, created_at=NOW))))
        for grant in grants:
            assert self.command(SaveGrant(grant)) == "Claimed"
        for account in ACCOUNTS:
            self.fund(account, 60_000)

    def _open(self) -> None:
        self.store = self.runner.run(SqliteStore.open(self.path, SERVICE))

    def apply(self, tx: Tx[object]) -> object:
        (answer,) = self.apply_at_once(tx)
        return answer

    def apply_at_once(self, *transactions: Tx[object]) -> list[object]:
        """All in one commit, if none raises."""
        Ground.done += len(transactions)
        for tx in transactions:
            for one in (tx, *getattr(tx, "writes", ())):
                Ground.reached[f"played {type(one).__name__}"] += 1

        async def together() -> list[object]:
            applied = (self.store.apply(tx) for tx in transactions)
            return list(await asyncio.gather(*applied, return_exceptions=True))

        return self.runner.run(together())

    def asks(self, name: str, **of: Any) -> Request:
        """A request that is sent and received now."""
        return request(name, sent_at=self.now, received_at=self.now, **of)

    def owners(self, *writes: Write) -> Execute:
        """A new command of the owner."""
        tx = execute(f"command{self.number()}", *writes)
        return replace(tx, request=replace(tx.request, sent_at=self.now, received_at=self.now))

    def execute(self, *writes: Write) -> str:
        """What the ledger says to a new command of the owner."""
        return word(self.apply(self.owners(*writes)))

    def command(self, *writes: Write) -> str:
        """The same, and the model says so too."""
        said = self.execute(*writes)
        agree(said, self.model.command(f"command{self.count}", self.now, writes), writes)
        return said

    def number(self) -> int:
        self.count += 1
        return self.count

    def tax(self, grant: Grant, internal: bool) -> Msat:
        """What the service takes for a payment, by a setting that changes all the time; nothing from bob."""
        return Msat(0 if internal or grant.account_id == "bob" else TAXES[self.count % len(TAXES)])

    def next_tax(self, grant: Grant, internal: bool) -> Msat:
        """What it will take for the next payment."""
        self.count += 1
        try:
            return self.tax(grant, internal)
        finally:
            self.count -= 1

    def fresh(self, kind: str) -> str:
        """The name of a hash that nobody knows yet."""
        name = f"{kind} {self.number()}"
        self.model.names[hash_of(name)] = name
        return name

    def reach(self, what: str) -> None:
        Ground.reached[what] += 1
        event(what)

    def see(self) -> None:
        """Count the states that are new."""
        before, self.states = self.states, states(self.model)
        for name, state in self.states.items():
            if before.get(name) != state:
                self.reach(state)

    def plays(self, hazard: str) -> bool:
        return hazard in self.hazards

    # ------------------------------------------------------------ the owner and the clock

    @rule(seconds=st.sampled_from((1, 60, 300, *STEPS_S)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.plays("time goes back"))
    @rule(seconds=st.sampled_from(STEPS_S))
    def time_goes_back(self, seconds: int) -> None:
        self.now -= seconds

    @precondition(lambda self: self.plays("zone edited"))
    @rule(zone=ZONES)
    def move(self, zone: Zone) -> None:
        self.zone = zone

    @rule(account=ACCOUNT, amount=st.integers(1, 60_000))
    def fund(self, account: str, amount: int) -> None:
        self._move("owner", account, amount)

    @rule(source=ACCOUNT, amount=AMOUNT)
    def transfer(self, source: str, amount: int) -> None:
        self._move(source, "bob" if source == "alice" else "alice", amount)

    @rule(source=ACCOUNT, amount=AMOUNT)
    def withdraw(self, source: str, amount: int) -> None:
        self._move(source, "owner", amount)

    def _move(self, source: str, target: str, amount: int) -> None:
        said = self.execute(replace(move(f"t{self.number()}", source, target, amount), view=RICH))
        assert said == self.model.transfer(f"command{self.count}", self.now, source, target, amount)

    @rule(stopped=st.sampled_from([False, False, False, True]))
    def stop(self, stopped: bool) -> None:
        self.apply(SetSpending(stopped, "a drill", self.now))
        (self.model.stops.add if stopped else self.model.stops.discard)("drift")

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self._open()

    @rule(keep_s=st.sampled_from([3_600, 86_400, 500 * 86_400]))
    def prune(self, keep_s: int) -> None:
        tx = Prune(self.now, keep_s)
        assert word(self.apply(tx)) == "Done"
        self.model.prune(tx)

    # ------------------------------------------------------------ looking

    def try_out(self, *transactions: Tx[object]) -> object:
        """Apply them on the store's own connection, and take them back; the answer to the last one. Raises whatever
        refuses one."""
        writer: Any = self.store._writer
        connection = writer.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            memory = Memory()
            memory.begin(connection)
            batch = Batch(connection, writer._service, memory)
            answers = [APPLY[type(tx)](batch, tx) for tx in transactions]
            batch.flush()
            return answers[-1]
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.runner.run(self.store.close())
            self.runner.close()
            self.room.close()
