"""Claims as the engine makes them: decided on a grant as it was read, and given to a ledger where it may be another by
then."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from kitestring.base.approvals import Token
from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Keysend
from kitestring.base.grants import Grant
from kitestring.base.money import ZERO, Msat
from kitestring.base.records import Charge
from kitestring.base.transactions.payments import ClaimPayment
from kitestring.policy.fees import ServiceFee, default_fee_cap
from kitestring.policy.rules import Allow, decide
from tests.kit.changed import replace
from tests.prove.asking import ASKED
from tests.prove.ground import ACCOUNT, POINTER
from tests.prove.refusing import Refusing

NETWORK: Final = "regtest"
#: A word that nobody has minted.
UNKNOWN: Final = Token(POINTER, "c9" * 32, minted=True)


class Deciding(Refusing):
    """What lies between a grant that was read and the claim that follows from it."""

    # ------------------------------------------------------------ as the engine does it

    @rule(data=st.data(), account=ACCOUNT, asked=ASKED, by_key=st.booleans(), is_edited=st.booleans())
    def pay_as_the_engine_does(
        self, data: st.DataObject, account: str, asked: int, by_key: bool, is_edited: bool
    ) -> None:
        """The grant is read, the owner may change it, and the ledger gets the claim; what is Stale is decided anew."""
        wanted = self._wanted(data, account, by_key=by_key)
        wanted = replace(wanted, network=NETWORK, expires_at=self.now + 3_600)
        seen = self.model.grants[f"of-{account}"]
        tx = self._decided(wanted, seen, asked)
        if is_edited:
            self._edit(data, seen)
        (said,) = self.play(tx)
        seen_now = self.model.grants[seen.grant_id]
        if said == "Stale" and seen_now.version != seen.version:
            self.reach("claim decided anew")
            seen, tx = seen_now, self._decided(wanted, seen_now, asked)
            (said,) = self.play(tx)
        if seen.paused_at is not None and seen is seen_now:
            assert said != "Claimed", "a connection that is paused has begun a payment"
            self.reach(f"asked while paused: {said}")
        self.reach(f"claim as the engine decides it: {said}")

    def _decided(self, wanted: PayInvoice, grant: Grant, asked: int) -> ClaimPayment:
        """The claim of it. Where it is refused it may still find a payment that is known: its charge fits no budget."""
        inside, request = self._is_inside(wanted), self.asks(f"ask-{asked}", grant_id=grant.grant_id)
        ours = self.next_tax(grant, inside)
        verdict = decide(
            wanted, grant, now=self.now, network=NETWORK, zone=self.zone, keysend=True, internal=inside,
            service_fee=ServiceFee(ours),
        )  # fmt: skip
        self._is_just(verdict, wanted, grant, inside)
        cap = int(verdict.fee_cap_msat) if isinstance(verdict, Allow) else 0
        name, amount = self.model.names[wanted.payment_hash], int(wanted.amount_msat)
        tx = self.claims(request, name, amount, cap, internal=inside, destination=wanted.destination)
        tx = replace(tx, grant_version=grant.version)
        if isinstance(verdict, Allow):
            return replace(tx, charges=verdict.charges)
        return replace(tx, charges=(Charge(grant.grant_id, Msat(1), ZERO, 0, 0),))

    def _is_just(self, verdict: object, wanted: PayInvoice, grant: Grant, inside: bool) -> None:
        """Whether it is allowed says the grant alone: a pause, its methods, its limits."""
        method = "pay_keysend" if isinstance(wanted.destination, Keysend) else "pay_invoice"
        least = int(wanted.amount_msat) + int(self.next_tax(grant, inside))
        usual = default_fee_cap(wanted.amount_msat) if grant.fee_cap_msat is None else grant.fee_cap_msat
        most = least + (0 if inside else int(usual))
        limit = grant.per_payment_msat
        may = grant.paused_at is None and method in grant.methods and (limit is None or most <= limit)
        may = may and all(least <= budget.limit_msat for budget in grant.budgets)
        assert isinstance(verdict, Allow) == may, (verdict, grant)
        if isinstance(verdict, Allow):
            total = least + int(verdict.fee_cap_msat)
            assert total <= most
            assert [int(one.amount_msat) for one in verdict.charges] == [total] * len(grant.budgets)
            assert all(total <= int(one.limit_msat) for one in verdict.charges)
