"""What an offer costs: the rule alone, whoever asks."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.commands import AskOffer, MakeInvoice
from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Refused
from kitestring.base.zaps import ZapRequest
from kitestring.policy.prices import MAX_RATE_AGE_S, Market, Sale, price

RECEIVABLE = sat(1_000_000)
NOW = 1_800_000_000
TIPS = Offer(offer_id="tips", label="Tip jar")
MUG = Offer(offer_id="mug", label="Mug", price_msat=sat(1500))


def ask(amount_sats: int | None = None, **members: Any) -> AskOffer:
    return AskOffer(offer_id="x", amount_msat=None if amount_sats is None else sat(amount_sats), **members)


def refused(offer: Offer | None, asked: AskOffer, receivable: Msat = RECEIVABLE, **options: Any) -> Refused:
    outcome = price(offer, asked, Market(receivable, NOW, **options))
    assert isinstance(outcome, Refused)
    return outcome


def priced(offer: Offer, asked: AskOffer, receivable: Msat = RECEIVABLE, **options: Any) -> MakeInvoice:
    outcome = price(offer, asked, Market(receivable, NOW, **options))
    assert isinstance(outcome, Sale)
    return outcome.command


def test_a_fixed_offer_costs_its_price_whether_or_not_the_payer_names_it() -> None:
    expected = MakeInvoice(amount_msat=sat(1500), description="Mug", offer_id="mug")
    assert priced(MUG, ask()) == priced(MUG, ask(1500)) == expected
    for amount in (ask(1499), AskOffer(offer_id="mug", amount_msat=Msat(1_500_001))):
        wrong = refused(MUG, amount)
        assert (wrong.reason, wrong.details) == (Reason.AMOUNT_OUT_OF_RANGE, {"range": {"min": 1500, "max": 1500}})
        assert wrong.message == "it is 1,500 sat"
    assert refused(MUG, ask(), sat(1499)).reason is Reason.UNAVAILABLE


def test_the_invoice_fills_the_account_of_the_offer() -> None:
    sale = price(
        Offer(offer_id="mug", label="Mug", account_id="shop", price_msat=sat(1)), ask(), Market(RECEIVABLE, NOW)
    )
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
    assert refused(TIPS, ask()).message == "from 1 to 1,000,000 sat"
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


def test_what_a_payer_may_tell_is_kept_when_it_is_told_and_never_demanded() -> None:
    offer = Offer(offer_id="tips", label="", payer_data=("email", "name?"))
    assert refused(offer, ask(1)).details == {"payer_data": ["email"]}
    assert priced(offer, ask(1, payer_data={"email": "b@x"})).payer_data == {"email": "b@x"}
    both = {"email": "b@x", "name": "Bob"}
    assert priced(offer, ask(1, payer_data={**both, "name?": "x"})).payer_data == both


# ------------------------------------------------------------ variable prices

CAKE = Offer(offer_id="cake", label="Cake", currency="EUR", price_minor=350)


def rate(euros: str, age_s: int = 0, currency: str = "EUR") -> ExchangeRate:
    return ExchangeRate.of_price(currency, Fraction(Decimal(euros)), NOW - age_s, ("kraken",))


def test_a_price_in_a_currency_is_that_of_now_rounded_up_to_a_whole_sat_and_keeps_its_rate() -> None:
    now = rate("97012.34")
    # 3.50 EUR are 3607.788… sat
    assert priced(CAKE, ask(), rates=(now,)) == priced(CAKE, ask(3608), rates=(now,))
    made = priced(CAKE, ask(), rates=(now,))
    assert (made.amount_msat, made.rate, made.offer_id, made.description) == (sat(3608), now, "cake", "Cake")
    for amount in (3607, 3609, 1):
        assert refused(CAKE, ask(amount), rates=(now,)).details == {"range": {"min": 3608, "max": 3608}}
    assert refused(CAKE, ask(), sat(3607), rates=(now,)).reason is Reason.UNAVAILABLE


def test_a_price_that_was_told_a_moment_ago_is_still_sold_and_who_names_none_gets_that_of_now() -> None:
    now, before = rate("100000"), rate("99000", 400)
    assert priced(CAKE, ask(), rates=(now, before)).amount_msat == sat(3500)
    told = priced(CAKE, ask(3536), rates=(now, before))
    assert (told.amount_msat, told.rate) == (sat(3536), before)
    assert refused(CAKE, ask(3510), rates=(now, before)).details == {"range": {"min": 3500, "max": 3500}}


def test_nothing_is_sold_without_a_rate_of_the_last_minutes() -> None:
    assert priced(CAKE, ask(), rates=(rate("100000", MAX_RATE_AGE_S),)).amount_msat == sat(3500)
    for rates in ((), (rate("100000", MAX_RATE_AGE_S + 1),), (rate("100000", -1),)):
        for asked in (ask(), ask(3500)):
            wrong = refused(CAKE, asked, rates=rates)
            assert (wrong.reason, wrong.details) == (Reason.UNAVAILABLE, {})


def test_a_price_beyond_all_bitcoin_is_not_sold() -> None:
    palace = Offer(offer_id="palace", label="", currency="EUR", price_minor=2**53 - 1)
    assert refused(palace, ask(1), rates=(rate("100"),)).reason is Reason.UNAVAILABLE


def test_a_price_on_request_costs_what_a_fixed_one_costs() -> None:
    bread = Offer(offer_id="bread", label="Bread", price_msat=sat(900), price_on_request=True)
    assert priced(bread, ask()).amount_msat == priced(bread, ask(900)).amount_msat == sat(900)
    assert refused(bread, ask(899)).details == {"range": {"min": 900, "max": 900}}


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10**9), st.decimals(100, 10**7, places=2))
def test_no_price_in_a_currency_is_below_its_worth_or_a_sat_above_it(minor: int, euros: Decimal) -> None:
    offer = Offer(offer_id="x", label="", currency="EUR", price_minor=minor)
    outcome = price(offer, ask(), Market(sat(10**15), NOW, (rate(str(euros)),)))
    exact = Fraction(minor, 100) / Fraction(euros) * 10**8
    if isinstance(outcome, Sale):
        assert outcome.command.amount_msat is not None
        assert exact <= outcome.command.amount_msat.sats_down() < exact + 1
    else:
        assert exact > 21 * 10**14


def test_from_its_end_on_an_offer_has_ended_and_leads_nowhere() -> None:
    for offer in (TIPS, CAKE):
        last = Offer(offer_id="x", label="", currency=offer.currency, price_minor=offer.price_minor, expires_at=NOW + 1)
        assert priced(last, ask(3500), rates=(rate("100000"),)).amount_msat == sat(3500)
        over = refused(Offer(offer_id="x", label="", expires_at=NOW), ask(1))
        assert (over.reason, over.details) == (Reason.MOVED_OR_EXPIRED_OFFER, {})


def test_an_offer_that_is_switched_off_is_refused_whatever_is_asked() -> None:
    off = Offer(offer_id="tips", label="", state=OfferState.OFF, payer_data=("email",), expires_at=NOW)
    assert refused(off, ask()).reason is Reason.NOT_PERMITTED


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


def test_an_offer_that_takes_zaps_is_a_spontaneous_one_to_who_sends_no_zap_request() -> None:
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
    outcome = price(offer, ask(amount), Market(Msat(receivable), NOW))
    if isinstance(outcome, Sale):
        assert outcome.command.amount_msat == sat(amount)
        assert low <= sat(amount) <= min(high, receivable)
    else:
        assert not low <= sat(amount) <= min(high, receivable)
