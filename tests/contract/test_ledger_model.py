"""Whatever happens in whatever order: the store answers and adds up like a model of seventy lines."""

import asyncio
from contextlib import ExitStack

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kitestring.base.money import Msat
from kitestring.base.payments import Failed, IllegalStepError, Settled, Unknown
from kitestring.base.shares import Share
from kitestring.base.transactions.answers import AlreadyCredited, Credited, Denied, Tx
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from kitestring.base.transactions.requests import Answer
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.ledger.model import BUDGET, OPEN, Model, Paid
from tests.kit.ledger.place import ledger_path
from tests.kit.ledger.values import (
    NOW,
    SERVICE,
    charge,
    claim,
    credit,
    execute,
    invoice,
    move,
    payment,
    preimage_of,
    record_invoice,
    refuse,
    reply,
    request,
    setting,
)

GRANTS = {"alice": "app", "bob": "bobs"}
NAMES = st.sampled_from(["one", "two", "three", "four"])
ACCOUNTS = st.sampled_from(["alice", "bob"])
AMOUNTS = st.integers(1, 9_000)
SHARES = st.sampled_from([Share(100), Share(4, 2), Share(3, 3), Share(2)])
OUTCOMES = st.sampled_from(["settled", "failed", "unknown", "resolved"])


def _word(answer: object) -> str:
    return answer.reason.value if isinstance(answer, Denied) else type(answer).__name__


class LedgerMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.room = ExitStack()
        self.path = self.room.enter_context(ledger_path())
        self.runner = asyncio.Runner()
        self.store = self.runner.run(SqliteStore.open(self.path, SERVICE))
        self.apply(setting(alice=0, bob=0))
        self.model, self.count = Model(), 0

    def apply(self, tx: Tx[object]) -> object:
        return self.runner.run(self.store.apply(tx))

    def number(self) -> int:
        self.count += 1
        return self.count

    @rule(account=ACCOUNTS, amount=st.integers(1, 30_000))
    def fund(self, account: str, amount: int) -> None:
        self.apply(execute(f"fund{self.number()}", move(f"t{self.count}", "owner", account, amount)))
        self.model.fund(account, amount)

    @rule(name=NAMES, account=ACCOUNTS, amount=AMOUNTS, cap=st.integers(0, 50), asked=st.integers(0, 30), share=SHARES)
    def pay(self, name: str, account: str, amount: int, cap: int, asked: int, share: Share) -> None:
        new = f"pay-{self.number()}"
        paid = payment(name, amount, cap, payment_id=new, account_id=account, grant_id=GRANTS[account])
        charged = charge(amount + cap, BUDGET, grant=GRANTS[account])
        tx = claim(name, paid, charged, asked=request(f"ask-{asked}", grant_id=GRANTS[account]))
        answer = self.apply(replace(tx, share=share))
        made = Paid(name, account, amount, cap, "dispatched")
        expected = self.model.claim(f"ask-{asked}", new, made, share.places, share.most)
        assert _word(answer) == expected

    @rule(asked=st.integers(0, 30), text=st.sampled_from([None, "no"]), max_bytes=st.sampled_from([0, 1_000]))
    def refuse(self, asked: int, text: str | None, max_bytes: int) -> None:
        answer = self.apply(refuse(f"ask-{asked}", text, max_bytes=max_bytes))
        assert _word(answer) == self.model.refuse(f"ask-{asked}", has_room=text is None or max_bytes > 0)

    @precondition(lambda self: self.model.payments)
    @rule(data=st.data(), state=OUTCOMES, fee=st.integers(0, 60))
    def end(self, data: st.DataObject, state: str, fee: int) -> None:
        payment_id = data.draw(st.sampled_from(sorted(self.model.payments)))
        name = self.model.payments[payment_id].hash_name
        outcomes: dict[str, Settled | Failed | Unknown] = {
            "settled": Settled(preimage_of(name), Msat(fee)),
            "failed": Failed("proof"),
            "unknown": Unknown("nobody knows"),
        }
        tx: Tx[object] = ResolvePayment(payment_id, "note", NOW)
        if state != "resolved":
            tx = RecordPayment(payment_id, outcomes[state], NOW)
        try:
            answer = _word(self.apply(tx))
        except IllegalStepError:
            answer = "illegal"
        assert answer == self.model.end(payment_id, state, fee)
        if answer == "Recorded" and state in ("settled", "failed"):
            self._answer_all(payment_id)

    def _answer_all(self, payment_id: str) -> None:
        for waiting in self.runner.run(self.store.waiting(payment_id)):
            self.apply(Answer(waiting, (reply(waiting.request_id),), NOW))
            self.model.answered[waiting.request_id] = True

    @rule(name=NAMES, account=ACCOUNTS)
    def invoice(self, name: str, account: str) -> None:
        if name in self.model.invoices or name in self.model.credited:
            return
        made = invoice(name, 500, account_id=account, grant_id=GRANTS[account])
        self.apply(record_invoice(name, made))
        self.model.invoices[name] = account

    @rule(name=NAMES, received=st.integers(500, 900))
    def receive(self, name: str, received: int) -> None:
        answer = self.apply(credit(name, received))
        assert isinstance(answer, AlreadyCredited if name in self.model.credited else Credited)
        if name not in self.model.credited and name in self.model.invoices:
            self.model.fund(self.model.invoices[name], received)
        self.model.credited.add(name)

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(SqliteStore.open(self.path, SERVICE))

    @invariant()
    def adds_up(self) -> None:
        if not hasattr(self, "model"):
            return
        for name, grant in GRANTS.items():
            account = self.runner.run(self.store.account(name))
            assert account is not None
            assert account.credits_msat - account.posted_msat == self.model.funds[name]
            assert account.pending_msat == self.model.held(name)
            assert account.overdrawn == (name in self.model.overdrawn)
            assert self.runner.run(self.store.budget_used(grant, 0)) == self.model.used(name)
        totals = self.runner.run(self.store.totals())
        assert totals.spent_msat == self.model.spent
        assert totals.sub_accounts_msat == sum(self.model.funds.values())
        found = {one.payment_id for one in self.runner.run(self.store.open_payments())}
        assert found == {name for name, paid in self.model.payments.items() if paid.state in OPEN}

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        self.runner.run(self.store.close())
        self.runner.close()
        assert audit(self.path, SERVICE) == []
        self.room.close()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
