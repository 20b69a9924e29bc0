"""Offers in the random transactions: edited, switched off, moved, while their invoices are made, priced and paid."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import rule

from kitestring.base.currency import ExchangeRate
from kitestring.base.grants import Offer, OfferState
from kitestring.base.transactions.owner import SaveOffer
from tests.kit.changed import replace
from tests.kit.ledger.values import invoice, record_invoice, reply
from tests.prove.editing import CAREFUL
from tests.prove.ground import ACCOUNTS, NAMES, word
from tests.prove.holding import Holding
from tests.prove.rows import Made

#: In whatever state: those that sell are drawn more often.
STATES = st.sampled_from([*OfferState, OfferState.OPEN, OfferState.OPEN, OfferState.OFF])
IDS = st.sampled_from(["cake", "pie"])
#: What a bitcoin costs: a cent is worth ten sats, or a third of one.
PRICES = st.sampled_from([100_000, 97_012, 3_000_000])


class Selling(Holding):
    """Whatever becomes of offers that are priced in a currency."""

    @rule(offer_id=IDS, minor=st.integers(1, 900), state=STATES, careful=CAREFUL)
    def edit_offer(self, offer_id: str, minor: int, state: OfferState, careful: bool) -> None:
        known = self.model.offers.get(offer_id)
        if careful and known is not None and state in {OfferState.MOVED, OfferState.DELETED}:
            state = known.state
        offer = Offer(
            offer_id=offer_id, label=offer_id, currency="EUR", price_minor=minor, state=state,
            latest="noffer1new" if state is OfferState.MOVED else "",
        )  # fmt: skip
        self.reach(f"offer {self.command(SaveOffer(offer))}")

    @rule(
        name=NAMES, offer_id=IDS, price=PRICES, life_s=st.integers(60, 90_000),
        meanwhile=st.none() | st.integers(1, 900), is_paid=st.booleans(),
    )  # fmt: skip
    def sell(self, name: str, offer_id: str, price: int, life_s: int, meanwhile: int | None, is_paid: bool) -> None:
        """``meanwhile`` the price becomes this one, after the node was asked."""
        if offer_id not in self.model.offers:
            self.command(SaveOffer(Offer(offer_id=offer_id, label=offer_id, currency="EUR", price_minor=350)))
        seen = self.model.offers.get(offer_id)
        if seen is None:  # the clock stands before what is remembered
            return
        if name in self.model.invoices or any(of == name for _, of, _ in self.model.credits):
            name = self.fresh("sale")
        rate = ExchangeRate.of_price("EUR", Fraction(price), self.now, ("one",))
        amount, number = rate.to_pay(seen.price_minor or 0), self.number()
        if meanwhile is not None:
            self.command(SaveOffer(replace(seen, price_minor=meanwhile)))
        made = invoice(
            name, int(amount), account_id=ACCOUNTS[0], expires_at=self.now + life_s, grant_id="", offer_id=offer_id,
            invoice_id=f"inv-{number}", request_id=f"want-{name}-{number}", node_id=self.there, rate=rate,
        )  # fmt: skip
        tx = replace(
            record_invoice(name, made), request=self.asks(made.request_id, grant_id=""), offer=seen,
            messages=(reply(made.request_id),),
        )  # fmt: skip
        said = word(self.apply(tx))
        late = self.model.is_too_old(self.now)
        assert said == ("stale_request" if late else "Claimed" if self.model.offers[offer_id] == seen else "Stale")
        self.reach(f"sale {said}")
        if said == "Claimed":
            self.model.invoices[name] = Made(
                ACCOUNTS[0], int(amount), made.expires_at, True, made.request_id, id=made.invoice_id, node=self.there
            )
            self.model.hear(made.request_id, self.now, self.now)
            if is_paid:
                self.credit(self.there, name, int(amount))
