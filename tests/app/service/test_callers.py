"""Who is heard by which key."""

from __future__ import annotations

from kitestring.app.home.config import RequestRates
from kitestring.app.service.callers import Callers
from kitestring.app.service.rates import Rates
from kitestring.base.grants import Grant
from kitestring.nostr import kinds
from tests.kit.clock import ManualClock

SERVICE, APP, OTHER = "aa" * 32, "bb" * 32, "cc" * 32


def callers(*grants: Grant) -> Callers:
    made = Callers(SERVICE, Rates(RequestRates(), ManualClock()))
    for grant in grants:
        made.set_connection(grant)
    return made


def connection(name: str = "app", revoked_at: int | None = None) -> Grant:
    return Grant(grant_id=name, name=name, wire="nwc", caller=APP, service_pubkey=name * 8, revoked_at=revoked_at)


def test_strangers_are_heard_by_the_service_key_alone() -> None:
    known = callers(connection())
    stranger = known.find(kinds.OFFER, SERVICE, OTHER)
    assert stranger is not None
    assert (stranger.wire.name, stranger.name, stranger.key_id, stranger.grant) == ("offers", OTHER, "service", None)
    assert known.find(kinds.OFFER, "app" * 8, OTHER) is None


def test_a_connection_hears_its_own_caller_alone() -> None:
    grant = connection()
    known = callers(grant)
    caller = known.find(kinds.NWC_REQUEST, "app" * 8, APP)
    assert caller is not None
    assert (caller.wire.name, caller.name, caller.key_id, caller.grant) == ("nwc", "app", "nwc:app", grant)
    assert known.find(kinds.NWC_REQUEST, "app" * 8, OTHER) is None
    assert known.find(kinds.NWC_REQUEST, SERVICE, APP) is None
    assert known.find(kinds.NWC_REQUEST, "old" * 8, APP) is None


def test_an_ended_connection_stays_known() -> None:
    known = callers(connection("old"))
    known.set_connection(connection("old", revoked_at=5))
    assert known.keys() == [SERVICE, "old" * 8]
    ended = known.find(kinds.NWC_REQUEST, "old" * 8, APP)
    assert ended is not None
    assert ended.grant is not None
    assert ended.grant.revoked_at == 5
    assert [known.is_ours(key) for key in (SERVICE, "old" * 8, "app" * 8, "")] == [True, True, False, False]


def test_strangers_and_connections_have_rates_of_their_own() -> None:
    known = callers(connection())
    stranger, app = known.find(kinds.OFFER, SERVICE, OTHER), known.find(kinds.NWC_REQUEST, "app" * 8, APP)
    assert stranger is not None
    assert app is not None
    assert type(stranger.rates) is not type(app.rates)
