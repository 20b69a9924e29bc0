"""Who is heard by which key."""

from __future__ import annotations

from typing import Any

from kitestring.app.home.config import RequestLimits
from kitestring.app.service.callers import Callers
from kitestring.app.service.throttling import Throttles
from kitestring.base.grants import Grant
from kitestring.nostr import kinds
from tests.kit.clock import ManualClock

SERVICE, APP, OTHER = "aa" * 32, "bb" * 32, "cc" * 32


def callers(*grants: Grant) -> Callers:
    made = Callers(SERVICE, Throttles(RequestLimits(), ManualClock()))
    for grant in grants:
        made.set_grant(grant)
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
    known.set_grant(connection("old", revoked_at=5))
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
    assert type(stranger.throttle) is not type(app.throttle)


# ------------------------------------------------------------ known callers on a wire of strangers


def debit_grant(name: str, pointer: str = "p", **more: Any) -> Grant:
    return Grant(**({"grant_id": name, "name": name, "wire": "debits", "caller": APP, "pointer_id": pointer} | more))


def found(known: Callers, author: str = APP, kind: int = kinds.DEBIT) -> tuple[str, int]:
    caller = known.find(kind, SERVICE, author)
    assert caller is not None
    assert (caller.name, caller.key_id, caller.grant) == (author, "service", None)
    return caller.known, caller.known_since


def test_who_has_a_grant_for_debits_is_known_there_and_nowhere_else() -> None:
    known = callers(debit_grant("g1", created_at=7))
    assert found(known) == ("g1", 7)
    assert found(known, kind=kinds.OFFER) == ("", 0)
    assert found(known, OTHER) == ("", 0)
    assert known.keys() == [SERVICE]


def test_of_several_grants_of_one_caller_the_oldest_names_it() -> None:
    known = callers(debit_grant("g2", "q", created_at=9), debit_grant("g1", created_at=7), debit_grant("g3", "r"))
    assert found(known) == ("g3", 0)


def test_a_caller_is_known_until_its_last_grant_is_revoked_and_expiry_changes_nothing() -> None:
    known = callers(debit_grant("g1", created_at=7), debit_grant("g2", "q", created_at=9, expires_at=10))
    known.set_grant(debit_grant("g1", created_at=7, revoked_at=20))
    assert found(known) == ("g2", 9)
    known.set_grant(debit_grant("g2", "q", created_at=9, revoked_at=21))
    assert found(known) == ("", 0)
    known.set_grant(debit_grant("g2", "q", created_at=9, revoked_at=21))
    known.set_grant(debit_grant("g4", created_at=30))
    assert found(known) == ("g4", 30)


def test_a_grant_that_goes_over_to_another_key_makes_the_first_a_stranger() -> None:
    known = callers(debit_grant("g1"))
    known.set_grant(debit_grant("g1", caller=OTHER))
    assert (found(known), found(known, OTHER)) == (("", 0), ("g1", 0))


def test_pointers_and_the_owners_grants_have_no_caller() -> None:
    known = callers(debit_grant("till", caller=""), Grant(grant_id="o", name="o", wire="owner"))
    assert found(known) == ("", 0)
    assert (known.keys(), known.is_ours("")) == ([SERVICE], False)


def test_a_known_caller_has_the_rates_of_connections() -> None:
    known = callers(debit_grant("g1"), connection())
    debtor, app = known.find(kinds.DEBIT, SERVICE, APP), known.find(kinds.NWC_REQUEST, "app" * 8, APP)
    assert debtor is not None
    assert app is not None
    assert (debtor.throttle is app.throttle, app.known, app.known_since) == (True, "app", 0)


def test_a_key_that_has_enrolled_has_the_rates_of_all_these_until_somebody_else_gives_it_something() -> None:
    own = debit_grant("g1", account_id=f"enrolled:{APP[:32]}")
    known = callers(own, connection())
    app = known.find(kinds.NWC_REQUEST, "app" * 8, APP)
    assert app is not None

    def is_one_of_many() -> bool:
        caller = known.find(kinds.DEBIT, SERVICE, APP)
        assert caller is not None
        assert app is not None
        assert caller.is_enrolled is (caller.throttle is not app.throttle)
        return caller.is_enrolled

    assert is_one_of_many()
    known.set_grant(debit_grant("g2", "till", created_at=9))
    assert not is_one_of_many()
    assert found(known) == ("g1", 0)
    known.set_grant(debit_grant("g2", "till", created_at=9, revoked_at=10))
    assert is_one_of_many()
