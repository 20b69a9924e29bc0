"""What a request costs, and how often one is told that there were too many."""

from __future__ import annotations

import pytest

from kitestring.app.home.config import RequestRates
from kitestring.app.service import rates as module
from kitestring.app.service.rates import Rates
from kitestring.base.commands import AskOffer, GetBalance, PayInvoice
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.policy.rates import Rate
from kitestring.wire.grammar import Asked
from tests.kit.clock import NOW, ManualClock
from tests.kit.wire.samples import reply_to

READ = Asked(GetBalance(), reply_to("nwc"))
PAYMENT = Asked(PayInvoice(bolt11="x", payment_hash="ab" * 32, amount_msat=Msat(1)), reply_to("nwc"))


def offer(name: str) -> Asked:
    return Asked(AskOffer(offer_id=name), reply_to("offers"), name)


def test_every_request_of_a_connection_costs_and_a_payment_costs_more() -> None:
    rates = Rates(RequestRates(requests_per_min=3, payments_per_min=1), ManualClock()).connections
    assert [rates.admit("a") is None for _ in range(4)] == [True, True, True, False]
    assert rates.admit("b") is None
    assert [rates.charge("a", READ) for _ in range(9)] == [None] * 9
    assert [rates.charge("a", PAYMENT) is None for _ in range(2)] == [True, False]


def test_a_limit_says_when_to_come_again() -> None:
    rates = Rates(RequestRates(requests_per_min=1), ManualClock()).connections
    rates.admit("a")
    limited = rates.admit("a")
    assert limited is not None
    assert (limited.reason, limited.message) == (Reason.RATE_LIMITED, "too many requests: try again in 60 s")
    assert limited.details == {"retry_after": NOW + 60}


def test_what_was_used_up_comes_back_with_time() -> None:
    clock = ManualClock()
    rates = Rates(RequestRates(requests_per_min=3), clock).connections
    assert [rates.admit("a") is None for _ in range(4)] == [True, True, True, False]
    clock.advance(20)
    assert [rates.admit("a") is None for _ in range(2)] == [True, False]


def test_zero_is_no_limit() -> None:
    rates = Rates(RequestRates(0, 0, 0, 0), ManualClock())
    assert all(rates.connections.admit("a") is None for _ in range(1_000))
    assert all(rates.connections.charge("a", PAYMENT) is None for _ in range(1_000))
    assert all(rates.strangers.charge(str(number), offer("tea")) is None for number in range(1_000))


def test_a_connection_is_told_what_was_read_and_only_now_and_then_what_was_not() -> None:
    rates = Rates(RequestRates(), ManualClock()).connections
    assert all(rates.may_tell("a", Reason.MALFORMED, read=True) for _ in range(200))
    assert [rates.may_tell("a", Reason.MALFORMED, read=False) for _ in range(2)] == [True, False]
    assert [rates.may_tell("a", Reason.RATE_LIMITED, read=True) for _ in range(2)] == [True, False]
    assert sum(rates.may_tell("a", Reason.STALE_REQUEST, read=True) for _ in range(99)) == 60


def test_strangers_pay_per_author_per_target_and_all_together() -> None:
    per_offer = Rates(RequestRates(offer_requests_per_min=2, all_offers_requests_per_min=3), ManualClock()).strangers
    assert per_offer.admit("a") is None
    assert [per_offer.charge(name, offer("tea")) is None for name in "abc"] == [True, True, False]
    assert [per_offer.charge(name, offer("cake")) is None for name in "ab"] == [True, False]
    per_author = Rates(RequestRates(), ManualClock()).strangers
    assert sum(per_author.charge("a", offer(str(number))) is None for number in range(40)) == 30


def test_refusals_of_strangers_cost_their_author_and_the_limit_is_told_once() -> None:
    rates = Rates(RequestRates(), ManualClock()).strangers
    assert sum(rates.may_tell("a", Reason.MALFORMED, read=True) for _ in range(40)) == 30
    assert [rates.may_tell("a", Reason.RATE_LIMITED, read=True) for _ in range(2)] == [True, False]


def test_a_request_that_one_bucket_refuses_takes_nothing_from_the_others() -> None:
    rates = Rates(RequestRates(offer_requests_per_min=100, all_offers_requests_per_min=32), ManualClock()).strangers
    assert sum(rates.charge("a", offer("tea")) is None for _ in range(99)) == 30  # of one author
    assert [rates.charge(name, offer("tea")) is None for name in "bcd"] == [True, True, False]


def test_refusals_of_strangers_are_bounded_all_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRANGER_REFUSALS", Rate(5, 5))
    rates = Rates(RequestRates(), ManualClock()).strangers
    assert sum(rates.may_tell(str(number), Reason.MALFORMED, read=True) for number in range(9)) == 5
