"""What leaves no row in the feed is told to those who listen; strangers cannot flood them."""

from __future__ import annotations

import asyncio

from kitestring.app.service.activity import MAX_TOLD, WINDOW_S, Activity, Did, Turned, TurnedMore, Unkept
from kitestring.base.commands import AskOffer
from kitestring.base.errors import Reason
from kitestring.base.money import sat
from kitestring.base.outcomes import Refused
from tests.kit.clock import EPOCH, VirtualClock, virtual

NO = Refused(Reason.OVER_BUDGET)


@virtual
async def test_those_who_listen_are_told_and_nobody_else() -> None:
    activity, heard = Activity(VirtualClock()), list[Unkept]()
    activity.did("account create alice")
    with activity.heard_by(heard.append):
        activity.did("account create bob")
        activity.refused("offers", "", Refused(Reason.MALFORMED, "no"), AskOffer(offer_id="tea", amount_msat=sat(5)))
    activity.refused("nwc", "app", NO)
    assert heard == [
        Did(EPOCH, "account create bob"),
        Turned(EPOCH, "offers", Reason.MALFORMED, "no", offer_id="tea", amount_msat=sat(5)),
    ]


@virtual
async def test_of_many_refusals_some_are_told_one_by_one_and_the_rest_is_counted() -> None:
    clock, heard = VirtualClock(), list[Unkept]()
    activity = Activity(clock)
    counting = asyncio.create_task(activity.count())
    with activity.heard_by(heard.append):
        for _ in range(MAX_TOLD + 41):
            activity.refused("offers", "", NO)
        activity.refused("nwc", "app", NO)
        assert [type(one) for one in heard] == [Turned] * (MAX_TOLD + 1), "strangers do not crowd out a connection"
        await clock.sleep(WINDOW_S + 1)
        assert heard[MAX_TOLD + 1 :] == [TurnedMore(EPOCH + int(WINDOW_S), 41, by_strangers=True)]
        activity.refused("offers", "", NO)
        assert isinstance(heard[-1], Turned), "another window has begun"
    counting.cancel()


@virtual
async def test_old_requests_that_relays_show_at_a_start_are_no_news() -> None:
    activity, heard = Activity(VirtualClock()), list[Unkept]()
    with activity.heard_by(heard.append):
        activity.refused("offers", "", Refused(Reason.STALE_REQUEST))
    assert heard == []
