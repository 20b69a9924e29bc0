"""The table of shares: what the owner, a connection and a node leave to whom."""

from __future__ import annotations

import pytest

from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import Reason
from kitestring.base.shares import Share, have_room
from kitestring.base.store import Places
from kitestring.engine.limits import Limits
from kitestring.engine.shares import TRY_AGAIN_S, Full, ShareTable, full
from tests.kit.changed import replace
from tests.kit.engine.node import ABILITIES


def test_the_last_twentieth_of_the_payments_is_the_owners_who_may_have_them_all() -> None:
    shares = ShareTable(Limits(open_payments=1_000, open_payments_per_connection=100), ABILITIES)
    assert shares.payments(OWNER_GRANT) == Share(1_000)
    assert shares.payments("app") == Share(950, 100)


@pytest.mark.parametrize(("setting", "of_node", "places"), [(1_000, 0, 1_000), (1_000, 60, 60), (40, 60, 40)])
def test_no_more_payments_begin_than_the_node_carries_at_once(setting: int, of_node: int, places: int) -> None:
    shares = ShareTable(Limits(open_payments=setting), replace(ABILITIES, payment_slots=of_node))
    assert shares.payments(OWNER_GRANT).places == places


def test_whoever_has_no_place_is_told_when_to_come_again() -> None:
    refused = full("too many", 1_000)
    assert (refused.reason, refused.message) == (Reason.RATE_LIMITED, "too many")
    assert refused.details == {"retry_after": 1_000 + TRY_AGAIN_S}


def test_of_the_open_invoices_a_connection_and_all_strangers_together_have_a_share() -> None:
    shares = ShareTable(Limits(open_invoices=200, all_open_invoices=10_000), ABILITIES)
    assert shares.invoices((OWNER_GRANT, "@all")) == (Share(10_000),)
    assert shares.invoices(("app", "@all")) == (Share(9_500, 200),)
    offer = shares.invoices(("offer:tea", "@offers", "@all"))
    payer = shares.invoices(("payer:ann", "offer:tea", "@offers", "@all"))
    assert payer[1:] == offer
    assert [have_room(payer, (own, own, own, own)) for own in (499, 500)] == [True, False]
    assert [have_room(offer, (own, own, own)) for own in (999, 1_000)] == [True, False]
    assert [have_room(offer, (0, own, own)) for own in (4_749, 4_750)] == [True, False]
    assert [have_room(offer, (0, own, 9_500 - free)) for own, free in ((0, 1), (9, 9), (9, 10))] == [
        True,
        False,
        True,
    ]


def test_without_a_bound_on_all_invoices_an_offer_still_has_one() -> None:
    shares = ShareTable(Limits(open_invoices=0, all_open_invoices=0), ABILITIES)
    assert have_room(shares.invoices(("app", "@all")), (10**9, 10**9))
    offers = shares.invoices(("offer:tea", "@offers", "@all"))
    assert [have_room(offers, (own, 10**6, 10**6)) for own in (999, 1_000)] == [True, False]


def test_who_has_as_much_as_it_may_is_named_with_the_one_that_has_most_first() -> None:
    shares = ShareTable(Limits(open_payments=20, open_payments_per_connection=3, all_open_invoices=40), ABILITIES)
    assert shares.full(Places({"app": 2, OWNER_GRANT: 9}, {})) == []
    assert shares.full(Places({"few": 3, OWNER_GRANT: 17}, {})) == [
        Full(OWNER_GRANT, "payments", 17),
        Full("few", "payments", 3),
    ]
    invoices = {"app": 9, "small": 1, "offer:tea": 14, "payer:ann": 14, "@offers": 14, "@all": 24}
    assert shares.full(Places({}, invoices)) == [Full("offer:tea", "invoices", 14)]
    invoices = {"app": 19, "@all": 19}
    assert shares.full(Places({"app": 3}, invoices)) == [Full("app", "invoices", 19), Full("app", "payments", 3)]
    assert shares.full(Places({}, {OWNER_GRANT: 40, "@all": 40})) == [Full(OWNER_GRANT, "invoices", 40)]
