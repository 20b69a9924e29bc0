"""What an app makes, changes and deletes in the random transactions, while the owner edits the same and ends it all."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from kitestring.base.commands import MANAGE_WIRE
from kitestring.base.grants import Grant, Offer, OfferState
from kitestring.base.money import Msat
from kitestring.base.transactions.owner import EndOffers, SaveGrant, SaveOffer
from tests.kit.changed import replace
from tests.kit.ledger.managing import APP, GRANT, LINK, manages
from tests.kit.ledger.managing import offer as offer_of
from tests.prove.editing import CAREFUL
from tests.prove.ground import word
from tests.prove.selling import STATES, Selling

#: Few, so that the same request comes again, and each offer is met by all that is done to it.
ASKED: Final = st.integers(0, 29)
IDS: Final = st.sampled_from([f"mug {number}" for number in range(8)])
#: The number of the request, the offer, its price in sats, whether it ends, and what is known of offer and grant.
DEEDS: Final = st.tuples(ASKED, IDS, st.integers(1, 3), st.booleans(), CAREFUL, CAREFUL)
#: As many as it may have, and may have deleted.
MOST: Final = 3
MOST_DELETED: Final = 2


class Managing(Selling):
    """Whatever one app does with its offers, and the owner with them and with it."""

    def _grant(self) -> Grant | None:
        """What the app has; the owner lets it go on after each time that he has ended that."""
        mine = [one for one in self.model.grants.values() if one.caller == APP]
        living = [one for one in mine if one.revoked_at is None]
        if not living:
            anew = SaveGrant(replace(GRANT, grant_id=f"shop-app-{self.number()}"))
            self.command(anew) if mine else self.command(SaveGrant(LINK), anew)
            living = [one for one in self.model.grants.values() if one.caller == APP and one.revoked_at is None]
        return next(iter(living), None)  # none where the clock stands before what is remembered

    @rule(deeds=st.lists(DEEDS, min_size=1, max_size=4))
    def manage(self, deeds: list[tuple[int, str, int, bool, bool, bool]]) -> None:
        """One request after the other."""
        for deed in deeds:
            grant = self._grant()
            if grant is not None:
                self._manage(grant, *deed)
                self.every_offer_is_as_the_last_word_about_it_said()

    def _manage(self, grant: Grant, asked: int, offer_id: str, price: int, ends: bool, sees: bool, knows: bool) -> None:
        """``sees`` the offer as it is, ``knows`` the grant as it is."""
        known = self.model.offers.get(offer_id)
        after = replace(known or offer_of(offer_id), price_msat=Msat(1_000 * price), price_on_request=True)
        after = replace(after, state=OfferState.DELETED) if ends and known is not None else after
        before = known if sees else offer_of(offer_id, price_msat=Msat(7_000))
        name = f"manage-{asked}"
        tx = manages(
            name, after, before, most=MOST, most_deleted=MOST_DELETED, grant_id=grant.grant_id,
            grant_version=grant.version - (not knows),
        )  # fmt: skip
        tx = replace(tx, request=self.asks(name, wire=MANAGE_WIRE, grant_id=grant.grant_id))
        expected, said = self.model.manage(tx), word(self.apply(tx))
        assert said == expected, (tx, said, expected)
        self.reach(f"managed {said}")

    @rule(offer_id=IDS, state=STATES)
    def edit_what_the_app_has_made(self, offer_id: str, state: OfferState) -> None:
        known = self.model.offers.get(offer_id)
        if known is not None:
            self.command(SaveOffer(replace(known, state=state, label=f"{offer_id}, {state.value}")))

    @rule(is_all=st.booleans(), chance=st.integers(0, 5))
    def end_what_the_app_has_made(self, is_all: bool, chance: int) -> None:
        if not chance:
            self.command(EndOffers(LINK.grant_id, "" if is_all else APP))

    @invariant()
    def every_offer_is_as_the_last_word_about_it_said(self) -> None:
        if hasattr(self, "model"):
            found: list[Offer] = self.runner.run(self.store.offers())
            assert {one.offer_id: one for one in found} == self.model.offers
            mine = [one for one in found if one.creator == APP]
            assert sum(one.state is not OfferState.DELETED for one in mine) <= MOST
