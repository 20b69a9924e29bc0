"""Hold invoices in the random transactions: held, decided, ended, by the node and inside the service."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from kitestring.base.invoices import Decision
from kitestring.base.money import Msat
from kitestring.base.transactions import AlarmHold, DecideHold, EndHold, HoldPayment, WarnHold
from tests.kit.ledger.values import NODE, hash_of, preimage_of, reply
from tests.prove.asking import ASKED, CAREFUL, TOLD, Asking
from tests.prove.ground import word


class Holding(Asking):
    """Whatever becomes of hold invoices, in whatever order."""

    def _one(self, data: st.DataObject) -> str:
        """The name of an invoice; mostly of a hold invoice that waits, where there is one."""
        waiting = sorted(name for name, made in self.model.invoices.items() if made.is_hold and made.waits)
        careful: bool = data.draw(CAREFUL)
        return data.draw(st.sampled_from(waiting if waiting and careful else sorted(self.model.invoices)))

    @precondition(lambda self: self.model.invoices)
    @rule(data=st.data(), inside=st.booleans())
    def hold(self, data: st.DataObject, inside: bool) -> None:
        """A payment of it is held; inside the service only one that is claimed, and no more than the node says."""
        name = self._one(data)
        made = self.model.invoices[name]
        paying = [
            payment_id for payment_id, paid in self.model.payments.items()
            if (paid.name, paid.internal, paid.state) == (name, True, "reserved")
        ]  # fmt: skip
        if inside and not paying:
            return
        payment_id = paying[0] if inside else ""
        amount = 500 if made.amount is None else made.amount
        tx = HoldPayment(NODE, hash_of(name), Msat(amount), 1_144, self.now, payment_id)
        assert word(self.apply(tx)) == self.model.hold(name, payment_id)

    @precondition(lambda self: self.model.invoices)
    @rule(
        data=st.data(), decision=st.sampled_from([Decision.SETTLE, Decision.SETTLE, Decision.CANCEL]), asked=ASKED,
        by_itself=st.booleans(), careful=CAREFUL,
    )  # fmt: skip
    def decide_hold(self, data: st.DataObject, decision: Decision, asked: int, by_itself: bool, careful: bool) -> None:
        name = self._one(data)
        made = self.model.invoices[name]
        grant = self.model.grants[f"of-{made.account}"]
        wanted = None if by_itself else self.asks(f"ask-{asked}", grant_id=grant.grant_id)
        version = grant.version if careful else grant.version + 1
        preimage = preimage_of(name) if decision is Decision.SETTLE else ""
        tx = DecideHold(made.id, decision, self.now, wanted, version, preimage, "in time" if by_itself else "")
        assert word(self.apply(tx)) == self.model.decide_hold(name, tx)

    @precondition(lambda self: self.model.invoices)
    @rule(data=st.data(), told=TOLD)
    def end_hold(self, data: st.DataObject, told: str) -> None:
        """The node has ended it; or the owner is warned, which changes nothing."""
        name = self._one(data)
        made = self.model.invoices[name]
        if not made.is_hold:
            return
        if told == "none" and made.waits:
            assert word(self.apply(WarnHold(made.id, "near", self.now))) == "Done"
            assert word(self.apply(AlarmHold(made.id, "by hand", self.now, 60))) == "Done"
        waiting = tuple(reply(one, signed_at=self.now) for one in sorted(self.model.waiting(made.id)))
        said = {"all": waiting, "some": waiting[:1], "none": ()}[told]
        assert word(self.apply(EndHold(made.id, self.now, said))) == self.model.end_hold(name, said)
