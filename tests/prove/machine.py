"""Random transactions on the real store, in any order, against a model of dictionaries and sums.

After each step the books add up, and everything that a node may say about whatever is open could be recorded: it is
tried on the store's own connection and taken back.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.payments import Failed, Settled, Unknown
from kitestring.base.records import Message
from kitestring.base.shares import ANY, Share
from kitestring.base.transactions import Credit, ExpireInvoices, Recorded, RecordPayment, ResolvePayment, Tx
from kitestring.ledger.audit.checks import audit
from kitestring.policy.budget import charges
from tests.kit.changed import replace
from tests.kit.clock import STEPS_S
from tests.kit.ledger.values import (
    NODE,
    SERVICE,
    claim,
    credit,
    hash_of,
    invoice,
    payment,
    preimage_of,
    record_invoice,
    reply,
)
from tests.prove.asking import ASKED, CAP, SHARES, TOLD
from tests.prove.ground import ACCOUNT, ACCOUNTS, AMOUNT, HAZARDS, NAMES, word
from tests.prove.holding import Holding
from tests.prove.known import KNOWN
from tests.prove.rows import OPEN, Made, Paid

FEES = st.sampled_from([0, 1, 20, 50, 5_000, 10**12])
ENDS = st.sampled_from(["settled", "settled", "failed", "unknown", "resolved"])


class LedgerMachine(Holding):
    """All of it: payments, what comes in, and what is compared after each step."""

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
        new, grant = f"pay-{self.number()}", self.model.grants[f"of-{account}"]
        cap = 0 if ours else cap
        made = payment(
            name, amount, cap, payment_id=new, account_id=account, grant_id=grant.grant_id, created_at=self.now,
            internal=ours,
        )  # fmt: skip
        charged = charges(grant, Msat(amount + cap), self.now, self.zone)
        tx = claim(name, made, *charged, asked=self.asks(f"ask-{asked}", grant_id=grant.grant_id))
        self.play(replace(tx, grant_version=grant.version, share=share))

    @precondition(lambda self: self.model.payments)
    @rule(data=st.data(), state=ENDS, fee=FEES, told=TOLD)
    def end(self, data: st.DataObject, state: str, fee: int, told: str) -> None:
        payment_id = data.draw(st.sampled_from(sorted(self.model.payments)))
        paid = self.model.payments[payment_id]
        if self.plays("fee below zero") and fee == 1:
            fee = -5
        fee = 0 if paid.internal else fee
        said = self._replies(payment_id) if state in ("settled", "failed") else ()
        said = {"all": said, "some": said[:1], "none": ()}[told]
        answer = self.apply(self.outcome(payment_id, paid, state, fee, said))
        assert word(answer) == self.model.end(payment_id, state, fee, said)
        if isinstance(answer, Recorded):
            assert {one.request_id for one in answer.unanswered} == self.model.waiting(payment_id)

    def outcome(
        self, payment_id: str, paid: Paid, state: str, fee: int, messages: tuple[Message, ...] = ()
    ) -> Tx[object]:
        if state == "resolved":
            return ResolvePayment(payment_id, "a note", self.now)
        said: dict[str, Settled | Failed | Unknown] = {
            "settled": Settled(preimage_of(paid.name), Msat(fee)),
            "failed": Failed("proof"),
            "unknown": Unknown("nobody knows"),
        }
        return RecordPayment(payment_id, said[state], self.now, messages)

    # ------------------------------------------------------------ what comes in

    @rule(
        name=NAMES, account=ACCOUNT, amount=st.none() | AMOUNT, of_offer=st.booleans(), life_s=st.integers(60, 90_000),
        is_hold=st.booleans(),
    )  # fmt: skip
    def invoice(self, name: str, account: str, amount: int | None, of_offer: bool, life_s: int, is_hold: bool) -> None:
        is_hold = is_hold and not of_offer
        if name in self.model.invoices or any(of == name for of, _ in self.model.credits):
            return
        grant, number = self.model.grants[f"of-{account}"], self.number()
        whose = {"offer_id": "coffee", "grant_id": ""} if of_offer else {"grant_id": grant.grant_id}
        ids = {"invoice_id": f"inv-{number}", "request_id": f"want-{name}-{number}"}
        how = {"hold_blocks": 144, "preimage": ""} if is_hold else {}
        made = invoice(name, amount, account_id=account, expires_at=self.now + life_s, **whose, **ids, **how)
        asked = self.asks(made.request_id, grant_id=made.grant_id)
        tx = replace(
            record_invoice(name, made), request=asked, grant_version=grant.version, messages=(reply(made.request_id),)
        )
        is_late = self.model.is_too_old(self.now)
        assert word(self.apply(tx)) == ("stale_request" if is_late else "Claimed")
        if not is_late:
            self.model.invoices[name] = Made(
                account, amount, made.expires_at, of_offer, made.request_id, id=made.invoice_id, is_hold=is_hold
            )
            self.model.times[made.request_id] = self.now

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
        for (grant_id, number), window in model.windows.items():
            if window.oldest is not None:
                used = await store.budget_used(grant_id, window.oldest, number)
                assert used == model.used((grant_id, number)), f"budget {number} of {grant_id}"
        totals = await store.totals()
        assert totals.spent_msat == model.spent
        assert totals.sub_accounts_msat == sum(model.funds.values())
        assert totals.pending_msat == sum(map(model.held, ACCOUNTS))
        found = {one.payment_id for one in await store.open_payments()}
        assert found == {name for name, paid in model.payments.items() if paid.state in OPEN}

    @invariant()
    def the_audit_is_clean(self) -> None:
        if hasattr(self, "model"):
            found = audit(self.store._writer.connection, SERVICE)  # type: ignore[union-attr]  # it writes
            assert [one for one in found if one.invariant != "I6"] == []
            assert len(found) == len(self.model.left()), found  # those that nobody has answered yet

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
