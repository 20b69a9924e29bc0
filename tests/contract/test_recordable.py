"""Whatever has become of a payment, and whatever came in: it can be recorded in every state that can be reached.

Claims may be refused, for nothing has happened yet. Outcomes, credits and the operator's word may not, whatever the
node says and wherever the clocks and the owner's edits have led the budgets.
"""

import asyncio
from contextlib import ExitStack

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kitestring.base.approvals import ApprovalState, PromptGate, Token
from kitestring.base.budgets import Budget
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.payments import OPEN, Failed, Settled, State, Unknown
from kitestring.base.transactions.answers import AlreadyCredited, Claimed, Credited, DecisionStored, NotCredited, Tx
from kitestring.base.transactions.approvals import AskOwner
from kitestring.base.transactions.invoices import Credit
from kitestring.base.transactions.owner import SaveGrant
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from kitestring.base.zones import UTC
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.policy import budget as budgets
from tests.kit.changed import replace
from tests.kit.ledger.place import ledger_path
from tests.kit.ledger.questions import CHARGER, POINTER, approve, asked, debit, deny
from tests.kit.ledger.values import (
    NODE,
    NOW,
    SERVICE,
    claim,
    credit,
    execute,
    hash_of,
    invoice,
    payment,
    preimage_of,
    record_invoice,
    request,
    setting,
)

HOUR, DAY = 3_600, 86_400
#: Where a clock may stand at a request: it runs, it is set and set back, it is another worker's.
TIMES = st.sampled_from([NOW, NOW, NOW, NOW + HOUR, NOW + 26 * HOUR, NOW + 400 * DAY, NOW - HOUR, NOW - 400 * DAY])
BUDGETS = st.builds(
    lambda window: Budget(Msat(10**9), *window),
    st.sampled_from([("rolling", HOUR), ("rolling", 64 * DAY), ("day", 0), ("month", 0), ("never", 0)]),
)
#: Fees and amounts as a node might say them.
SAID = st.sampled_from([0, 1, -1, -5, 50, 51, 10_000, MAX_MSAT, MAX_MSAT + 1, 2**63, -(2**63) - 1, 10**30, -(10**30)])
WORDS = st.sampled_from(["", " ", "no route", "\ud800 half a letter", "nul \x00 inside", "x" * 100_000])
NAMES = st.integers(0, 40).map(str)


class RecordableMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.room = ExitStack()
        self.path = self.room.enter_context(ledger_path())
        self.runner = asyncio.Runner()
        self.store = self.runner.run(SqliteStore.open(self.path, SERVICE))
        self.apply(setting(alice=10**8, bob=10**8))
        self.apply(execute("pointer", SaveGrant(CHARGER)))
        self.now, self.count = NOW, 0
        self.grant = Grant(grant_id="app", name="app", wire="nwc", budgets=(Budget(Msat(10**9), "rolling", HOUR),))
        self.open: dict[str, str] = {}
        self.resolved: dict[str, str] = {}
        self.internal: set[str] = set()

    def apply(self, tx: Tx[object]) -> object:
        return self.runner.run(self.store.apply(tx))

    @rule(budget=BUDGETS)
    def edit(self, budget: Budget) -> None:
        self.grant = Grant(grant_id="app", name="app", wire="nwc", budgets=(budget,))

    @rule(now=TIMES, amount=st.sampled_from([1, 5_000]), cap=st.sampled_from([0, 50]))
    def pay(self, now: int, amount: int, cap: int) -> None:
        self.now = now
        self.count += 1
        name = f"out-{self.count}"
        (charge,) = budgets.charges(self.grant, Msat(amount + cap), self.now, UTC)
        asked = request(f"ask-{name}", sent_at=self.now, received_at=self.now)
        if self.apply(claim(name, payment(name, amount, cap, created_at=self.now), charge, asked=asked)) == Claimed():
            self.open[f"pay-{name}"] = name

    @rule(now=TIMES, asked_at=TIMES, answer=st.sampled_from(["yes", "yes", "no", "late"]), word=st.integers(0, 3))
    def ask_the_owner(self, now: int, asked_at: int, answer: str, word: int) -> None:
        """A yes makes a payment that holds its word; any other end is never refused, whatever the clocks say."""
        self.count += 1
        name = f"asked-{self.count}"
        token = Token(POINTER, f"{word:064x}")
        gate = PromptGate(asked_at, 10**6, 10**6)
        question = asked(name, asked_at=asked_at, expires_at=now + 600)
        request_of = replace(debit(name), sent_at=asked_at, received_at=asked_at)
        if self.apply(AskOwner(request_of, question, gate, token=token)) != Claimed():
            return
        yes = approve(name)
        assert yes.claim is not None
        yes = replace(yes, now=now, claim=replace(yes.claim, consume=(token,)))
        if answer == "yes" and self.apply(yes) == DecisionStored():
            self.open[f"pay-{name}"] = name
            return
        state = ApprovalState.DENIED if answer == "no" else ApprovalState.EXPIRED
        ended = replace(deny(name, state=state), now=now)
        assert isinstance(self.apply(ended), DecisionStored)

    @rule(name=NAMES)
    def pay_ourselves(self, name: str) -> None:
        inside = payment(name, 500, 0, internal=True, account_id="bob", grant_id="bobs", payment_id=f"in-{name}")
        self.count += 1
        if self.apply(claim(name, inside, asked=request(f"ask-{self.count}", grant_id="bobs"))) == Claimed():
            self.open[inside.payment_id] = name

    @rule(name=NAMES)
    def make_invoice(self, name: str) -> None:
        self.apply(record_invoice(name, invoice(name, 500)))

    @precondition(lambda self: self.open or self.resolved)
    @rule(data=st.data(), said=SAID)
    def settle(self, data: st.DataObject, said: int) -> None:
        payment_id = data.draw(st.sampled_from(sorted({**self.open, **self.resolved})))
        name = self.open.get(payment_id) or self.resolved[payment_id]
        fee = 0 if payment_id.startswith("in-") else said  # nobody but ourselves says what an internal one costs
        self.end(payment_id, Settled(preimage_of(name), Msat(fee)))
        self.resolved.pop(payment_id, None)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), said=WORDS)
    def fail(self, data: st.DataObject, said: str) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.open))), Failed(said))

    def end(self, payment_id: str, outcome: Settled | Failed) -> None:
        answer = self.apply(RecordPayment(payment_id, outcome, self.now))
        if type(answer).__name__ == "InvoiceNotOpen":
            self.apply(RecordPayment(payment_id, Failed("taken"), self.now))
        self.open.pop(payment_id, None)

    @precondition(lambda self: any(name.startswith("pay-") for name in self.open))
    @rule(data=st.data(), why=WORDS, note=WORDS)
    def lose_and_resolve(self, data: st.DataObject, why: str, note: str) -> None:
        payment_id = data.draw(st.sampled_from(sorted(name for name in self.open if name.startswith("pay-"))))
        self.apply(RecordPayment(payment_id, Unknown(why), self.now))
        self.apply(ResolvePayment(payment_id, note, self.now))
        self.resolved[payment_id] = self.open.pop(payment_id)

    @rule(name=NAMES, said=SAID, at=SAID, preimage=st.sampled_from(["true", "", "ff" * 32, "\ud800"]))
    def receive(self, name: str, said: int, at: int, preimage: str) -> None:
        told = preimage_of(name) if preimage == "true" else preimage
        answer = self.apply(Credit(NODE, hash_of(name), Msat(said), at, told, b"cursor"))
        assert isinstance(answer, Credited | AlreadyCredited | NotCredited)

    @rule(name=NAMES)
    def receive_what_was_asked(self, name: str) -> None:
        assert isinstance(self.apply(credit(name)), Credited | AlreadyCredited | NotCredited)

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(SqliteStore.open(self.path, SERVICE))

    def teardown(self) -> None:
        if not hasattr(self, "room"):
            return
        for payment_id in sorted(self.open):
            self.end(payment_id, Failed("proof"))
        left = [
            p for p in self.runner.run(self.store.open_payments()) if p.state in OPEN and p.state is not State.FAILED
        ]
        self.runner.run(self.store.close())
        self.runner.close()
        found = audit(self.path, SERVICE)
        self.room.close()
        assert (left, [one for one in found if one.invariant not in ("I6", "I12")]) == ([], [])


TestRecordable = RecordableMachine.TestCase
TestRecordable.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
