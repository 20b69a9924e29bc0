"""Random transactions on the real store, in any order, against a model of dictionaries and sums.

After each step the books add up, and everything that a node may say about whatever is open could be recorded: it is
tried on the store's own connection and taken back.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kitestring.base.budgets import Budget
from kitestring.base.grants import Account, Grant
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.payments import Failed, IllegalStepError, Settled, Unknown
from kitestring.base.records import NodeView
from kitestring.base.shares import ANY, Share
from kitestring.base.transactions import (
    Answer,
    Credit,
    Denied,
    ExpireInvoices,
    RecordPayment,
    ResolvePayment,
    SaveAccount,
    SaveGrant,
    SetSpending,
    Tx,
)
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.memory import Memory
from kitestring.ledger.apply.table import APPLY
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.policy.budget import charges
from tests.kit.changed import replace
from tests.kit.clock import STEPS_S
from tests.kit.ledger.place import ledger_path
from tests.kit.ledger.values import (
    NODE,
    NOW,
    SERVICE,
    claim,
    credit,
    execute,
    hash_of,
    invoice,
    move,
    payment,
    preimage_of,
    record_invoice,
    reply,
    request,
)
from tests.prove.known import KNOWN
from tests.prove.model import OPEN, Made, Model, Paid

#: A node that can always pay what is asked for.
RICH = NodeView(Msat(10**18), Msat(0))
ACCOUNTS = ("alice", "bob")
#: Everything that may be odd about the world.
HAZARDS = frozenset({"time goes back", "budget edited", "fee below zero", "nothing received"})
NAMES = st.sampled_from(["one", "two", "three", "four", "five"])
ACCOUNT = st.sampled_from(ACCOUNTS)
AMOUNT = st.integers(1, 9_000)
CAP = st.integers(0, 50)
ASKED = st.integers(0, 40)
BUDGETS = st.sampled_from(
    [
        Budget.rolling(Msat(20_000), 3_600),
        Budget.rolling(Msat(40_000), 60),
        Budget.daily(Msat(20_000)),
        Budget.monthly(Msat(30_000)),
        Budget.total(Msat(50_000)),
    ]
)
#: All may use all of it, small shares of little, and the owner's.
SHARES = st.sampled_from([ANY, ANY, Share(5, 2), Share(4, 4), Share(3)])
FEES = st.sampled_from([0, 1, 20, 50, 5_000, 10**12])
ENDS = st.sampled_from(["settled", "settled", "failed", "unknown", "resolved"])


def word(answer: object) -> str:
    return answer.reason.value if isinstance(answer, Denied) else type(answer).__name__


class LedgerMachine(RuleBasedStateMachine):
    """``hazards`` are those that are played; ``done`` counts the transactions of this process."""

    hazards: ClassVar[frozenset[str]] = HAZARDS
    done: ClassVar[int] = 0

    @initialize(budgets=st.lists(BUDGETS, min_size=2, max_size=2))
    def begin(self, budgets: list[Budget]) -> None:
        self.room = ExitStack()
        self.path = self.room.enter_context(ledger_path())
        self.runner = asyncio.Runner()
        self.model, self.count, self.now = Model(ACCOUNTS), 0, NOW
        self._open()
        self.grants = {
            account: Grant(grant_id=f"of-{account}", name=account, wire="nwc", account_id=account, budgets=(budget,))
            for account, budget in zip(ACCOUNTS, budgets, strict=True)
        }
        accounts = [SaveAccount(Account(account_id=name, name=name, created_at=NOW)) for name in ACCOUNTS]
        self.apply(execute("begin", *accounts, *map(SaveGrant, self.grants.values())))
        for account in ACCOUNTS:
            self.fund(account, 60_000)

    def _open(self) -> None:
        self.store = self.runner.run(SqliteStore.open(self.path, SERVICE))

    def apply(self, tx: Tx[object]) -> object:
        LedgerMachine.done += 1
        return self.runner.run(self.store.apply(tx))

    def number(self) -> int:
        self.count += 1
        return self.count

    def plays(self, hazard: str) -> bool:
        return hazard in self.hazards

    # ------------------------------------------------------------ the owner and the clock

    @rule(seconds=st.sampled_from(STEPS_S))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.plays("time goes back"))
    @rule(seconds=st.sampled_from(STEPS_S))
    def time_goes_back(self, seconds: int) -> None:
        self.now -= seconds

    @precondition(lambda self: self.plays("budget edited"))
    @rule(account=ACCOUNT, budget=BUDGETS)
    def edit(self, account: str, budget: Budget) -> None:
        grant = self.grants[account]
        self.grants[account] = replace(grant, budgets=(budget,), version=grant.version + 1)
        self.apply(execute(f"edit{self.number()}", SaveGrant(self.grants[account])))

    @rule(account=ACCOUNT, amount=st.integers(1, 60_000))
    def fund(self, account: str, amount: int) -> None:
        answer = self.apply(
            execute(f"fund{self.number()}", replace(move(f"t{self.count}", "owner", account, amount), view=RICH))
        )
        assert word(answer) == ("spending_stopped" if self.model.stopped else "Claimed")
        if not self.model.stopped:
            self.model.gain(account, amount)

    @rule(source=ACCOUNT, amount=AMOUNT)
    def transfer(self, source: str, amount: int) -> None:
        target = "bob" if source == "alice" else "alice"
        answer = self.apply(execute(f"move{self.number()}", move(f"t{self.count}", source, target, amount)))
        assert word(answer) == self.model.transfer(source, target, amount)

    @rule(stopped=st.booleans())
    def stop(self, stopped: bool) -> None:
        self.apply(SetSpending(stopped, "a drill", self.now))
        self.model.stopped = stopped

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self._open()

    # ------------------------------------------------------------ payments

    @rule(name=NAMES, account=ACCOUNT, amount=AMOUNT, cap=CAP, asked=ASKED, ours=st.booleans(), share=SHARES)
    def pay(self, name: str, account: str, amount: int, cap: int, asked: int, ours: bool, share: Share) -> None:
        self._pay(name, account, amount, cap, asked, ours, share)

    @precondition(lambda self: self.plays("time goes back"))
    @rule(name=NAMES, account=ACCOUNT, amount=AMOUNT, cap=CAP, asked=ASKED, skew_s=st.sampled_from(STEPS_S))
    def pay_by_another_clock(self, name: str, account: str, amount: int, cap: int, asked: int, skew_s: int) -> None:
        """A worker whose clock is ahead, or this one for a moment."""
        self.now += skew_s
        self._pay(name, account, amount, cap, asked, ours=False)
        self.now -= skew_s

    def _pay(self, name: str, account: str, amount: int, cap: int, asked: int, ours: bool, share: Share = ANY) -> None:
        new, grant = f"pay-{self.number()}", self.grants[account]
        cap = 0 if ours else cap
        made = payment(
            name, amount, cap, payment_id=new, account_id=account, grant_id=grant.grant_id, created_at=self.now,
            internal=ours,
        )  # fmt: skip
        (charged,) = charges(grant, Msat(amount + cap), self.now)
        tx = claim(name, made, charged, asked=request(f"ask-{asked}", grant_id=grant.grant_id))
        answer = self.apply(replace(tx, grant_version=grant.version, share=share))
        paid = Paid(name, account, amount, cap, "reserved" if ours else "dispatched", None, ours)
        assert word(answer) == self.model.claim(f"ask-{asked}", new, paid, charged, share)

    @precondition(lambda self: self.model.payments)
    @rule(data=st.data(), state=ENDS, fee=FEES)
    def end(self, data: st.DataObject, state: str, fee: int) -> None:
        payment_id = data.draw(st.sampled_from(sorted(self.model.payments)))
        paid = self.model.payments[payment_id]
        if self.plays("fee below zero") and fee == 1:
            fee = -5
        try:
            answer = word(self.apply(self.outcome(payment_id, paid, state, 0 if paid.internal else fee)))
        except IllegalStepError:
            answer = "illegal"
        assert answer == self.model.end(payment_id, state, 0 if paid.internal else fee)
        if answer == "Recorded" and state in ("settled", "failed"):
            for waiting in self.runner.run(self.store.waiting(payment_id)):
                self.apply(Answer(waiting, (reply(waiting.request_id),), self.now))
                self.model.answered[waiting.request_id] = True

    def outcome(self, payment_id: str, paid: Paid, state: str, fee: int) -> Tx[object]:
        if state == "resolved":
            return ResolvePayment(payment_id, "a note", self.now)
        said: dict[str, Settled | Failed | Unknown] = {
            "settled": Settled(preimage_of(paid.name), Msat(fee)),
            "failed": Failed("proof"),
            "unknown": Unknown("nobody knows"),
        }
        return RecordPayment(payment_id, said[state], self.now)

    # ------------------------------------------------------------ what comes in

    @rule(
        name=NAMES, account=ACCOUNT, amount=st.none() | AMOUNT, of_offer=st.booleans(), life_s=st.integers(60, 90_000)
    )
    def invoice(self, name: str, account: str, amount: int | None, of_offer: bool, life_s: int) -> None:
        if name in self.model.invoices or any(of == name for of, _ in self.model.credits):
            return
        grant, number = self.grants[account], self.number()
        whose = {"offer_id": "coffee", "grant_id": ""} if of_offer else {"grant_id": grant.grant_id}
        ids = {"invoice_id": f"inv-{number}", "request_id": f"want-{name}-{number}"}
        made = invoice(name, amount, account_id=account, expires_at=self.now + life_s, **whose, **ids)
        asked = request(made.request_id, grant_id=made.grant_id)
        tx = replace(
            record_invoice(name, made), request=asked, grant_version=grant.version, messages=(reply(made.request_id),)
        )
        assert word(self.apply(tx)) == "Claimed"
        self.model.invoices[name] = Made(account, amount, made.expires_at, of_offer)

    @rule(name=NAMES, received=st.sampled_from([1, 500, 9_000, 10**12]))
    def receive(self, name: str, received: int) -> None:
        assert word(self.apply(credit(name, received))) == self.model.credit(name, received)

    @rule(grace_s=st.sampled_from([0, 60]), keep_s=st.sampled_from([3_600, 86_400]))
    def expire(self, grace_s: int, keep_s: int) -> None:
        ended = tuple(
            hash_of(name)
            for name, made in self.model.invoices.items()
            if made.state == "open" and made.expires_at < self.now - grace_s
        )
        self.apply(ExpireInvoices(ended, self.now - keep_s, NODE, self.now))
        self.model.expire(self.now - grace_s, self.now - keep_s)

    # ------------------------------------------------------------ after each step

    @invariant()
    def everybody_owns_what_is_theirs(self) -> None:
        if hasattr(self, "model"):
            self.runner.run(self._compare())

    async def _compare(self) -> None:
        model, store = self.model, self.store
        for name in ACCOUNTS:
            account = await store.account(name)
            assert account is not None
            assert account.credits_msat - account.posted_msat == model.funds[name], name
            assert account.pending_msat == model.held(name), name
            assert account.overdrawn == (name in model.overdrawn), name
            oldest = model.windows[name].oldest
            if oldest is not None:
                used = await store.budget_used(self.grants[name].grant_id, oldest)
                assert used == model.used(name), f"the budget of {name}"
        totals = await store.totals()
        assert totals.spent_msat == model.spent
        assert totals.sub_accounts_msat == sum(model.funds.values())
        assert totals.pending_msat == sum(map(model.held, ACCOUNTS))
        found = {one.payment_id for one in await store.open_payments()}
        assert found == {name for name, paid in model.payments.items() if paid.state in OPEN}

    @invariant()
    def the_audit_is_clean(self) -> None:
        if hasattr(self, "model"):
            assert audit(self.store._writer.connection, SERVICE) == []  # type: ignore[union-attr]  # it writes

    @invariant()
    def every_outcome_can_be_recorded(self) -> None:
        if not hasattr(self, "model"):
            return
        fees = [0, 50, MAX_MSAT] + [-5] * self.plays("fee below zero")
        for payment_id, paid in self.model.payments.items():
            if paid.state in OPEN or paid.state == "resolved":
                self._recordable(payment_id, paid, fees)
        amounts = [1, MAX_MSAT] + [0] * self.plays("nothing received")
        for name in ("one", "two", "never heard of"):
            for amount in amounts:
                self.try_out(Credit(NODE, hash_of(name), Msat(amount), self.now, preimage_of(name)))

    def _recordable(self, payment_id: str, paid: Paid, fees: list[int]) -> None:
        for fee in (0,) if paid.internal else fees:
            self.try_out(self.outcome(payment_id, paid, "settled", fee))
        if paid.state != "resolved":
            self.try_out(self.outcome(payment_id, paid, "failed", 0))
        if paid.state == "dispatched":
            self.try_out(self.outcome(payment_id, paid, "unknown", 0))
        if paid.state == "unknown":
            self.try_out(self.outcome(payment_id, paid, "resolved", 0))

    def try_out(self, tx: Tx[object]) -> object:
        """Apply it on the store's own connection, and take it back. Raises whatever refuses it."""
        writer: Any = self.store._writer
        connection = writer.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            memory = Memory()
            memory.begin(connection)
            batch = Batch(connection, writer._service, memory)
            answer = APPLY[type(tx)](batch, tx)
            batch.flush()
            return answer
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.runner.run(self.store.close())
            self.runner.close()
            self.room.close()


def run_machine(number: int, examples: int, steps: int, *, without: frozenset[str] = frozenset()) -> None:
    """Play ``examples`` × ``steps`` random steps, the same ones for the same ``number``.

    ``without`` are hazards that are left out. Raises what went wrong, with the steps in its notes.
    """

    class Machine(LedgerMachine):
        hazards = HAZARDS - without

    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck), print_blob=False, verbosity=Verbosity.normal,
        report_multiple_bugs=False,
    )  # fmt: skip
    run_state_machine_as_test(seed(number)(Machine), settings=chosen)


#: What the short lane leaves out.
NOT_MENDED = HAZARDS & KNOWN.keys()
