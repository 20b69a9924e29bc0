"""Random transactions on the real store, in any order, against a model of dictionaries and sums.

After each step the books add up, and everything that a node may say about whatever is open could be recorded: it is
tried on the store's own connection and taken back.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from kitestring.base.grants import Offer, Webhook
from kitestring.base.invoices import KEEP_UNPAID_S
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.shares import Share
from kitestring.base.transactions.feed import NoteAttempt
from kitestring.base.transactions.invoices import Credit, ExpireInvoices
from kitestring.base.transactions.owner import SaveOffer, SendAgain
from kitestring.base.webhooks import DeliveryState, WebhookAnswer, after
from kitestring.ledger.audit.checks import audit
from tests.kit.clock import STEPS_S
from tests.kit.ledger.values import NODE, SERVICE, hash_of, preimage_of
from tests.prove.asking import ASKED, CAP, SHARES, TOLD
from tests.prove.deciding import Deciding
from tests.prove.editing import CAREFUL
from tests.prove.ground import ACCOUNT, ACCOUNTS, AMOUNT, HAZARDS, NAMES
from tests.prove.known import KNOWN
from tests.prove.rows import OPEN, Paid

FEES = st.sampled_from([0, 1, 20, 50, 5_000, 10**12])
ENDS = st.sampled_from(["settled", "settled", "failed", "unknown", "resolved"])


class LedgerMachine(Deciding):
    """All of it: payments, what comes in, and what is compared after each step."""

    # ------------------------------------------------------------ payments

    @rule(name=NAMES, account=ACCOUNT, amount=AMOUNT, cap=CAP, asked=ASKED, ours=st.booleans(), share=SHARES)
    def pay(self, name: str, account: str, amount: int, cap: int, asked: int, ours: bool, share: Share) -> None:
        request = self.asks(f"ask-{asked}", grant_id=f"of-{account}")
        self.play(self.claims(request, name, amount, cap, internal=ours, share=share))

    @precondition(lambda self: self.plays("time goes back"))
    @rule(name=NAMES, account=ACCOUNT, amount=AMOUNT, cap=CAP, asked=ASKED, skew_s=st.sampled_from(STEPS_S))
    def pay_by_another_clock(self, name: str, account: str, amount: int, cap: int, asked: int, skew_s: int) -> None:
        """A worker whose clock is ahead, or this one for a moment."""
        self.now += skew_s
        request = self.asks(f"ask-{asked}", grant_id=f"of-{account}")
        self.play(self.claims(request, name, amount, cap, internal=False))
        self.now -= skew_s

    @precondition(lambda self: self.model.payments)
    @rule(data=st.data(), state=ENDS, fee=FEES, told=TOLD)
    def end(self, data: st.DataObject, state: str, fee: int, told: str) -> None:
        """Of any payment, mostly of one that is open."""
        still = sorted(name for name, one in self.model.payments.items() if one.state in (*OPEN, "resolved"))
        careful: bool = data.draw(CAREFUL)
        payment_id = data.draw(st.sampled_from(still if still and careful else sorted(self.model.payments)))
        paid = self.model.payments[payment_id]
        if self.plays("fee below zero") and fee == 1:
            fee = -5
        state, fee = self.truths.get(payment_id, (state, 0 if paid.internal else fee))
        said = self._replies(payment_id) if state in ("settled", "failed") else ()
        self.record(payment_id, state, fee, {"all": said, "some": said[:1], "none": ()}[told])

    # ------------------------------------------------------------ what comes in

    @rule(
        name=NAMES, account=ACCOUNT, amount=st.none() | AMOUNT, of_offer=st.booleans(), life_s=st.integers(60, 90_000),
        is_hold=st.booleans(),
    )  # fmt: skip
    def invoice(self, name: str, account: str, amount: int | None, of_offer: bool, life_s: int, is_hold: bool) -> None:
        if name not in self.model.invoices and all(of != name for _, of, _ in self.model.credits):
            self.make(name, account, amount, life_s, of_offer=of_offer, is_hold=is_hold and not of_offer)

    @rule(name=NAMES, received=st.sampled_from([1, 500, 9_000, 10**12]))
    def receive(self, name: str, received: int) -> None:
        self.credit(self.there, name, received)

    @rule(
        grace_s=st.sampled_from([0, 60]), keep_s=st.sampled_from([3_600, 86_400]), most=st.sampled_from([1, 3, 5_000])
    )
    def expire(self, grace_s: int, keep_s: int, most: int) -> None:
        ended = tuple(
            hash_of(name)
            for name, made in self.model.invoices.items()
            if (made.node, made.state) == (self.there, "open") and made.expires_at < self.now - grace_s
        )
        dropped = self.now - keep_s, self.now - KEEP_UNPAID_S
        self.apply(ExpireInvoices(ended, dropped[0], self.there, self.now, dropped[1], most))
        self.model.expire(self.there, self.now - grace_s, *dropped, most)

    # ------------------------------------------------------------ webhooks

    @rule(account=ACCOUNT, is_on=st.booleans())
    def sell_and_tell(self, account: str, is_on: bool) -> None:
        """Something is sold after the owner has given the offer a webhook, or has taken it away: the audit compares."""
        hook = Webhook("https://shop.example/paid") if is_on else None
        self.command(SaveOffer(Offer(offer_id="coffee", label="coffee", account_id=ACCOUNTS[0], webhook=hook)))
        name = self.fresh("sold")
        if self.make(name, account, 500, 3_600, of_offer=True, is_hold=False) is not None:
            self.credit(self.there, name, 500)

    @rule(state=st.sampled_from(list(DeliveryState)), again=st.booleans())
    def tell_webhook(self, state: DeliveryState, again: bool) -> None:
        """Somebody is told of the newest sale, or is not; or the owner sends it again."""
        for delivery in self.runner.run(self.store.deliveries(limit=1)):
            if again:
                self.command(SendAgain((delivery.invoice_id,)))
            elif delivery.state is DeliveryState.WAITING:
                tried = after(delivery, WebhookAnswer(state, "so"), self.now)
                self.apply(NoteAttempt(tried, self.now, "not told"))

    # ------------------------------------------------------------ after each step

    @invariant()
    def what_is_new_is_counted(self) -> None:
        if hasattr(self, "model"):
            self.see()

    @invariant()
    def everybody_owns_what_is_theirs(self) -> None:
        if hasattr(self, "model"):
            self.runner.run(self._compare())

    async def _compare(self) -> None:
        model, store = self.model, self.store
        for name in model.funds:
            account = await store.account(name)
            assert account is not None
            assert account.credits_msat - account.posted_msat == model.funds[name], name
            assert account.pending_msat == model.held(name), name
            assert account.overdrawn == (name in model.overdrawn), name
        for (grant_id, number), window in model.windows.items():
            if window.oldest is not None:
                used = await store.budget_used(grant_id, window.oldest, number)
                assert used == model.used((grant_id, number)), f"budget {number} of {grant_id}"
        owner = await store.account("owner")
        assert owner is not None
        assert owner.credits_msat - owner.posted_msat == model.owner
        totals = await store.totals()
        assert totals.spent_msat == model.spent
        assert totals.sub_accounts_msat == sum(model.funds.values())
        assert totals.service_fees_msat == model.taxed
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
