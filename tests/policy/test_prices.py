"""What an offer costs: the rule alone, whoever asks."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.commands import AskOffer, MakeInvoice
from kitestring.base.errors import Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Refused
from kitestring.base.zaps import ZapRequest
from kitestring.policy.prices import Sale, price

RECEIVABLE = sat(1_000_000)
TIPS = Offer(offer_id="tips", label="Tip jar")
MUG = Offer(offer_id="mug", label="Mug", price_msat=sat(1500))


def ask(amount_sats: int | None = None, **members: Any) -> AskOffer:
    return AskOffer(offer_id="x", amount_msat=None if amount_sats is None else sat(amount_sats), **members)


def refused(offer: Offer | None, asked: AskOffer, receivable: Msat = RECEIVABLE, **options: bool) -> Refused:
    outcome = price(offer, asked, receivable, **options)
    assert isinstance(outcome, Refused)
    return outcome


def priced(offer: Offer, asked: AskOffer, receivable: Msat = RECEIVABLE, **options: bool) -> MakeInvoice:
    outcome = price(offer, asked, receivable, **options)
    assert isinstance(outcome, Sale)
    return outcome.command


def test_a_fixed_offer_costs_its_price_whether_or_not_the_payer_names_it() -> None:
    expected = MakeInvoice(amount_msat=sat(1500), description="Mug", offer_id="mug")
    assert priced(MUG, ask()) == priced(MUG, ask(1500)) == expected
    for amount in (ask(1499), AskOffer(offer_id="mug", amount_msat=Msat(1_500_001))):
        wrong = refused(MUG, amount)
        assert (wrong.reason, wrong.details) == (Reason.AMOUNT_OUT_OF_RANGE, {"range": {"min": 1500, "max": 1500}})
    assert refused(MUG, ask(), sat(1499)).reason is Reason.UNAVAILABLE


def test_the_invoice_fills_the_account_of_the_offer() -> None:
    sale = price(Offer(offer_id="mug", label="Mug", account_id="shop", price_msat=sat(1)), ask(), RECEIVABLE)
    assert isinstance(sale, Sale)
    assert sale.account_id == "shop"


def test_a_price_in_parts_of_a_sat_is_rounded_up() -> None:
    offer = Offer(offer_id="x", label="", price_msat=Msat(1_000_001))
    assert priced(offer, ask(1001)).amount_msat == sat(1001)


def test_a_spontaneous_offer_takes_what_lies_inside_its_limits_and_can_be_received() -> None:
    offer = Offer(offer_id="tips", label="Tips", min_msat=Msat(1001), max_msat=sat(500))
    asked = ask(2, description="coffee", expiry_s=600)
    assert priced(offer, asked) == MakeInvoice(amount_msat=sat(2), description="coffee", expiry_s=600, offer_id="tips")
    for amount in (None, 1, 501):
        assert refused(offer, ask(amount)).details == {"range": {"min": 2, "max": 500}}
    assert refused(offer, ask(100), Msat(99_999)).details == {"range": {"min": 2, "max": 99}}
    assert refused(offer, ask(2), Msat(1999)).reason is Reason.UNAVAILABLE
    assert refused(TIPS, ask()).details == {"range": {"min": 1, "max": 1_000_000}}


def test_who_takes_an_invoice_without_an_amount_gets_one_where_the_backend_can() -> None:
    asked = ask(amountless=True)
    assert priced(TIPS, asked, amountless=True).amount_msat is None
    assert refused(TIPS, asked, amountless=False).reason is Reason.UNSUPPORTED
    assert refused(TIPS, ask(), amountless=True).reason is Reason.AMOUNT_OUT_OF_RANGE


def test_declared_payer_data_is_demanded_and_the_rest_dropped() -> None:
    offer = Offer(offer_id="tips", label="", payer_data=("email",))
    missing = refused(offer, ask(1, payer_data={"name": "Bob"}))
    assert (missing.reason, missing.details) == (Reason.UNKNOWN_TARGET, {"payer_data": ["email"]})
    given_both = priced(offer, ask(1, payer_data={"email": "b@x", "name": "Bob"}))
    assert given_both.payer_data == {"email": "b@x"}
    assert priced(TIPS, ask(1, payer_data={"name": "Bob"})).payer_data == {}
    assert priced(TIPS, ask(1, payer_data={"note": "from Bob"})).payer_data == {"note": "from Bob"}


def test_offers_that_are_not_open_say_so() -> None:
    moved = Offer(offer_id="tips", label="", state=OfferState.MOVED, latest="noffer1new")
    assert refused(moved, ask(1)) == Refused(
        Reason.MOVED_OR_EXPIRED_OFFER, "this offer has moved", {"latest": "noffer1new"}
    )
    ended = refused(Offer(offer_id="tips", label="", state=OfferState.MOVED), ask(1))
    assert (ended.reason, ended.details) == (Reason.MOVED_OR_EXPIRED_OFFER, {})
    assert refused(None, ask(1)) == refused(Offer(offer_id="tips", label="", state=OfferState.DELETED), ask(1))
    assert refused(None, ask(1)).reason is Reason.UNKNOWN_TARGET


def a_zap(recipient: str = "aa" * 32, amount_sats: int | None = None) -> ZapRequest:
    return ZapRequest("{…}", recipient, None if amount_sats is None else sat(amount_sats))


ZAPS = Offer(offer_id="zap-tips", label="Tips", zap_pubkey="aa" * 32)


def test_zaps_are_refused_after_the_amount() -> None:
    assert refused(TIPS, ask(1, zap=a_zap())).reason is Reason.UNSUPPORTED
    assert refused(TIPS, ask(zap=a_zap())).reason is Reason.AMOUNT_OUT_OF_RANGE
    assert refused(ZAPS, ask(zap=a_zap())).reason is Reason.AMOUNT_OUT_OF_RANGE


def test_an_invoice_for_a_zap_commits_to_the_text_of_its_request() -> None:
    command = priced(ZAPS, ask(21, zap=a_zap(amount_sats=21)))
    assert command.description_hash == sha256("{…}".encode()).hexdigest()
    assert (command.zap, command.amount_msat, command.description) == ("{…}", sat(21), "Tips")
    assert priced(ZAPS, ask(21, zap=a_zap())).zap == "{…}"
    assert priced(ZAPS, ask(21)) == MakeInvoice(amount_msat=sat(21), description="Tips", offer_id="zap-tips")


def test_a_zap_of_somebody_else_or_of_another_amount_is_refused() -> None:
    assert refused(ZAPS, ask(21, zap=a_zap("bb" * 32))).reason is Reason.MALFORMED
    other = refused(ZAPS, ask(21, zap=a_zap(amount_sats=22)))
    assert (other.reason, other.details) == (Reason.AMOUNT_OUT_OF_RANGE, {"range": {"min": 21, "max": 21}})
    amountless = refused(ZAPS, ask(zap=a_zap(amount_sats=21), amountless=True), amountless=True)
    assert amountless.reason is Reason.AMOUNT_OUT_OF_RANGE


def test_an_invoice_commits_to_the_hash_that_a_payer_names() -> None:
    assert priced(TIPS, ask(21, description_hash="cd" * 32)).description_hash == "cd" * 32


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1, 10**12))
def test_no_invoice_is_made_outside_the_limits(amount: int, low: int, high: int, receivable: int) -> None:
    offer = Offer(offer_id="x", label="", min_msat=Msat(low), max_msat=Msat(high))
    outcome = price(offer, ask(amount), Msat(receivable))
    if isinstance(outcome, Sale):
        assert outcome.command.amount_msat == sat(amount)
        assert low <= sat(amount) <= min(high, receivable)
    else:
        assert not low <= sat(amount) <= min(high, receivable)
