"""Invoices in the random transactions, and what becomes of those that hold, at the node and inside the service, and of
those that the owner takes back."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from kitestring.base.destinations import Destination
from kitestring.base.invoices import Decision
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, Settled, Unknown
from kitestring.base.records import Message, Request
from kitestring.base.shares import ANY, Share
from kitestring.base.transactions.answers import Recorded, Tx
from kitestring.base.transactions.invoices import AlarmHold, Credit, DecideHold, EndHold, HoldPayment, WarnHold
from kitestring.base.transactions.payments import ClaimPayment, RecordPayment, ResolvePayment
from kitestring.policy.budget import charges
from tests.kit.changed import replace
from tests.kit.ledger.values import claim, hash_of, invoice, payment, preimage_of, record_invoice, reply
from tests.prove.asking import ASKED, TOLD, Asking
from tests.prove.editing import CAREFUL
from tests.prove.ground import ACCOUNT, ACCOUNTS, AMOUNT, agree, word
from tests.prove.rows import Made, Paid

DECISIONS = st.sampled_from([Decision.SETTLE, Decision.SETTLE, Decision.CANCEL])
#: How far a new hold invoice comes at once.
FAR = st.sampled_from(["made", "cancelled", "paid", "overtaken", "held", "held", "decided", "ended", "ended"])

#: What becomes of an invoice that is taken back.
TAKEN_BACK = st.sampled_from(["open", "ended", "ended", "refused", "paid outside", "raced", "raced, too late"])


class Holding(Asking):
    """Whatever becomes of these, in whatever order; and what a connection claims and makes."""

    # ------------------------------------------------------------ what a connection asks for

    def claims(
        self, asked: Request, name: str, amount: int, cap: int, *, internal: bool, share: Share = ANY,
        destination: Destination | None = None,
    ) -> ClaimPayment:  # fmt: skip
        """The claim of a request of a connection, within its budgets."""
        new, grant = f"pay-{self.number()}", self.model.grants[asked.grant_id]
        cap = 0 if internal else cap
        made = payment(
            name, amount, cap, payment_id=new, account_id=grant.account_id, grant_id=grant.grant_id,
            created_at=self.now, internal=internal, node_id=self.there, service_fee_msat=self.tax(grant, internal),
        )  # fmt: skip
        made = made if destination is None else replace(made, destination=destination)
        charged = charges(grant, made.reserved_msat, self.now, self.zone)
        return replace(claim(name, made, *charged, asked=asked), grant_version=grant.version, share=share)

    def make(
        self, name: str, account: str, amount: int | None, life_s: int, *, of_offer: bool, is_hold: bool
    ) -> Made | None:
        """Store an invoice of the present node; None where its request is too old."""
        grant, number = self.model.grants[f"of-{account}"], self.number()
        whose = {"offer_id": "coffee", "grant_id": ""} if of_offer else {"grant_id": grant.grant_id}
        ids = {"invoice_id": f"inv-{number}", "request_id": f"want-{name}-{number}", "node_id": self.there}
        how = {"hold_blocks": 144, "preimage": ""} if is_hold else {}
        made = invoice(name, amount, account_id=account, expires_at=self.now + life_s, **whose, **ids, **how)
        asked = self.asks(made.request_id, grant_id=made.grant_id)
        tx = replace(
            record_invoice(name, made), request=asked, grant_version=grant.version, messages=(reply(made.request_id),)
        )
        is_late = self.model.is_too_old(self.now)
        assert word(self.apply(tx)) == ("stale_request" if is_late else "Claimed")
        if is_late:
            return None
        kept = self.model.invoices[name] = Made(
            account, amount, made.expires_at, of_offer, made.request_id, id=made.invoice_id, is_hold=is_hold,
            node=self.there,
        )  # fmt: skip
        self.model.hear(made.request_id, self.now, self.now)
        return kept

    # ------------------------------------------------------------ what becomes of a payment

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

    def record(self, payment_id: str, state: str, fee: int, said: tuple[Message, ...]) -> None:
        """End a payment so, or go on to it."""
        paid = self.model.payments[payment_id]
        answer = self.apply(self.outcome(payment_id, paid, state, fee, said))
        assert word(answer) == self.model.end(payment_id, state, fee, said)
        if paid.state in ("settled", "failed") and not paid.internal:
            self.truths.setdefault(payment_id, (paid.state, fee))
        if isinstance(answer, Recorded):
            assert {one.request_id for one in answer.unanswered} == self.model.waiting(payment_id)

    # ------------------------------------------------------------ hold invoices, a step at a time

    def _held(self) -> list[str]:
        """The names of hold invoices that wait."""
        return sorted(name for name, made in self.model.invoices.items() if made.is_hold and made.waits)

    def _one(self, data: st.DataObject) -> str:
        """The name of an invoice; mostly of a hold invoice that waits, where there is one."""
        waiting, careful = self._held(), data.draw(CAREFUL)
        return data.draw(st.sampled_from(waiting if waiting and careful else sorted(self.model.invoices)))

    def _paying(self, name: str) -> list[str]:
        """The payment of ours that may be held for this invoice: one that is claimed."""
        wanted = name, self.model.invoices[name].node, True, "", "reserved"
        return [
            payment_id for payment_id, paid in self.model.payments.items()
            if (paid.name, paid.node, paid.internal, paid.key, paid.state) == wanted
        ]  # fmt: skip

    def _hold(self, name: str, payment_id: str) -> str:
        made = self.model.invoices[name]
        amount = 500 if made.amount is None else made.amount
        tx = HoldPayment(made.node, hash_of(name), Msat(amount), 1_144, self.now, payment_id)
        said = self.model.hold(made.node, name, payment_id)
        agree(word(self.apply(tx)), said, tx)
        return said

    def _decide(self, name: str, decision: Decision, asked: int | None, *, careful: bool = True) -> str:
        """``asked`` None is the service itself. No connection decides about what a stranger has asked for."""
        made = self.model.invoices[name]
        asked = None if made.of_offer else asked
        grant = self.model.grants[f"of-{made.account}"]
        wanted = None if asked is None else self.asks(f"ask-{asked}", grant_id=grant.grant_id)
        version = grant.version if careful else grant.version + 1
        preimage = preimage_of(name) if decision is Decision.SETTLE else ""
        tx = DecideHold(made.id, decision, self.now, wanted, version, preimage, "in time" if asked is None else "")
        said = self.model.decide_hold(name, tx)
        agree(word(self.apply(tx)), said, tx)
        return said

    def _end(self, name: str, said: tuple[Message, ...], why: str = "") -> None:
        made = self.model.invoices[name]
        assert word(self.apply(EndHold(made.id, self.now, said, why))) == self.model.end_hold(name, said)

    def _told_of(self, name: str, told: str) -> tuple[Message, ...]:
        """Replies to all, some or none of those who wait for the end of an invoice, and of the payment held for it."""
        made = self.model.invoices[name]
        whom = [made.id, made.held_by] if made.held_by else [made.id]
        said = tuple(reply(one, signed_at=self.now) for who in whom for one in sorted(self.model.waiting(who)))
        return {"all": said, "some": said[:1], "none": ()}[told]

    @precondition(lambda self: self.model.invoices)
    @rule(data=st.data(), inside=st.booleans())
    def hold(self, data: st.DataObject, inside: bool) -> None:
        """A payment of it is held; inside the service only one that is claimed, and no more than the node says."""
        name = self._one(data)
        paying = self._paying(name)
        if not inside or paying:
            self._hold(name, paying[0] if inside else "")

    @precondition(lambda self: self.model.invoices)
    @rule(data=st.data(), decision=DECISIONS, asked=ASKED, by_itself=st.booleans(), careful=CAREFUL)
    def decide_hold(self, data: st.DataObject, decision: Decision, asked: int, by_itself: bool, careful: bool) -> None:
        self._decide(self._one(data), decision, None if by_itself else asked, careful=careful)

    @precondition(lambda self: self.model.invoices)
    @rule(data=st.data(), told=TOLD)
    def end_hold(self, data: st.DataObject, told: str) -> None:
        """The node has ended it; or the owner is warned, which changes nothing."""
        name = self._one(data)
        made = self.model.invoices[name]
        if told == "none" and made.is_hold and made.waits:
            assert word(self.apply(WarnHold(made.id, "near", self.now))) == "Done"
            assert word(self.apply(AlarmHold(made.id, "by hand", self.now, 60))) == "Done"
        self._end(name, self._told_of(name, told))

    # ------------------------------------------------------------ invoices that are taken back

    @rule(
        account=ACCOUNT, amount=AMOUNT, of_offer=st.booleans(), life_s=st.sampled_from([60, 86_400]), end=TAKEN_BACK,
        asked=ASKED, deciding=ASKED, told=TOLD,
    )  # fmt: skip
    def take_back(
        self, account: str, amount: int, of_offer: bool, life_s: int, end: str, asked: int, deciding: int, told: str
    ) -> None:
        """The owner cancels a new invoice: while somebody inside pays it, and while somebody outside may."""
        name = self.fresh("back")
        made = self.make(name, account, amount, life_s, of_offer=of_offer, is_hold=False)
        if made is None:
            return
        payer = next(one for one in ACCOUNTS if one != account)
        if end.startswith("raced"):
            self.play(self.claims(self.asks(f"ask-{asked}", grant_id=f"of-{payer}"), name, amount, 0, internal=True))
        paying = self._paying(name)
        if end == "raced, too late" and paying:
            self.record(paying[0], "settled", 0, ())
        if self._decide(name, Decision.CANCEL, deciding) != "Claimed":
            return
        if end.startswith("raced") and paying:
            self.record(paying[0], "settled", 0, ())  # it is not, and stays reserved until it has failed
            self.record(paying[0], "failed", 0, ())
        if end == "refused":
            wanted = self.asks(f"ask-{asked}", grant_id=f"of-{payer}")
            self.play(self.claims(wanted, name, amount, 0, internal=False))
        if end == "paid outside":
            self.credit(made.node, name, amount, self._told_of(name, told))
        elif end != "open":
            self._end(name, self._told_of(name, told))

    # ------------------------------------------------------------ hold invoices, as they go mostly

    @rule(
        account=ACCOUNT, amount=AMOUNT, life_s=st.sampled_from([60, 86_400]), inside=st.booleans(), far=FAR,
        decision=DECISIONS, asked=ASKED, deciding=ASKED, told=TOLD,
    )  # fmt: skip
    def make_to_hold(
        self, account: str, amount: int, life_s: int, inside: bool, far: str, decision: Decision, asked: int,
        deciding: int, told: str,
    ) -> None:  # fmt: skip
        """A new hold invoice comes as far as that: the other account pays it, or somebody outside."""
        name = self.fresh("held")
        if self.make(name, account, amount, life_s, of_offer=False, is_hold=True) is None or far == "made":
            return
        if far == "cancelled":  # before anybody has paid it
            self._decide(name, Decision.CANCEL, deciding)
            return
        payment_id = ""
        if inside:
            payer = next(one for one in ACCOUNTS if one != account)
            self.play(self.claims(self.asks(f"ask-{asked}", grant_id=f"of-{payer}"), name, amount, 0, internal=True))
            payment_id = next(iter(self._paying(name)), "")
        if far == "overtaken":  # it is cancelled while the payment is on its way
            self._decide(name, Decision.CANCEL, deciding)
        if far == "paid" or (inside and not payment_id) or self._hold(name, payment_id) != "Done" or far == "held":
            return
        if self._decide(name, decision, deciding) == "Claimed" and far == "ended":
            self._carry_out(name, told, early=told == "none")

    @precondition(lambda self: any(self.model.invoices[name].decision for name in self._held()))
    @rule(data=st.data(), told=TOLD, early=st.sampled_from([False, False, True]))
    def carry_out(self, data: st.DataObject, told: str, early: bool) -> None:
        """What was decided is done; ``early``: the node has given it back before."""
        name = data.draw(st.sampled_from([one for one in self._held() if self.model.invoices[one].decision]))
        self._carry_out(name, told, early=early)

    def _carry_out(self, name: str, told: str, *, early: bool) -> None:
        self.see()
        made, said = self.model.invoices[name], self._told_of(name, told)
        if made.held_by and early:  # the node never held anything: that ends nothing here
            self._end(name, said)
        elif made.held_by:
            self.record(made.held_by, "settled" if made.decision == "settle" else "failed", 0, said)
        elif made.decision == "settle" and not early:
            self.credit(made.node, name, made.amount or 500, said)
        else:
            self._end(name, said, "given back too early" if made.decision == "settle" else "")

    @precondition(lambda self: any(self._is_undecided(name) for name in self._held()))
    @rule(data=st.data(), told=TOLD)
    def deadline(self, data: st.DataObject, told: str) -> None:
        """Nobody has decided: the service gives it back in time."""
        name = data.draw(st.sampled_from([one for one in self._held() if self._is_undecided(one)]))
        assert self._decide(name, Decision.CANCEL, None) == "Claimed"
        self.reach("hold cancelled in time")
        if told == "none":
            return  # it dies here, and does the rest in its next life
        made, said = self.model.invoices[name], self._told_of(name, told)
        if made.held_by:
            self.record(made.held_by, "failed", 0, said)
        else:
            self._end(name, said)

    def _is_undecided(self, name: str) -> bool:
        made = self.model.invoices[name]
        return made.state == "accepted" and not made.decision

    def credit(self, node: str, name: str, received: int, said: tuple[Message, ...] = ()) -> str:
        """The node has settled this hash."""
        answer = word(self.apply(Credit(node, hash_of(name), Msat(received), self.now, preimage_of(name), b"", said)))
        assert answer == self.model.credit(node, name, received, said)
        return answer
