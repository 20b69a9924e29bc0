"""Relays that were left are kept as long as a living link or an open code names them, and no longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kitestring.app.service.kept_relays import NAMES_SHOWN, KeptRelay, kept_relays, old_relays, served
from kitestring.base.grants import Grant, Offer, OfferState
from tests.kit.clock import EPOCH as NOW

HERE, LEFT, LONG_AGO = "wss://here.example", "wss://left.example", "wss://long-ago.example"
LINK = Grant(grant_id="g1", name="shop", wire="nwc", relays=(LEFT,))
CODE = Offer(offer_id="o1", label="tea", relays=(LEFT,))


def kept(*grants: Grant, offers: tuple[Offer, ...] = ()) -> tuple[KeptRelay, ...]:
    return kept_relays((HERE,), grants, offers, NOW)


def test_every_link_and_code_that_names_a_relay_is_named_and_the_one_most_needed_stands_first() -> None:
    other = replace(LINK, grant_id="g2", name="agent", relays=(LONG_AGO, HERE))
    assert kept(other, LINK, offers=(CODE,)) == (KeptRelay(LEFT, ("shop",), ("tea",)), KeptRelay(LONG_AGO, ("agent",)))


@pytest.mark.parametrize(
    "ended",
    [{"revoked_at": NOW - 9}, {"expires_at": NOW}, {"relays": ()}, {"relays": (HERE,)}],
    ids=["revoked", "expired", "none", "today's"],
)
def test_a_link_that_has_ended_or_names_the_relays_of_today_keeps_none(ended: dict[str, object]) -> None:
    assert kept(replace(LINK, expires_at=NOW + 1)) != ()
    assert kept(replace(LINK, **ended)) == ()  # type: ignore[arg-type]  # one field each


def test_a_pointer_of_debits_keeps_the_relays_in_it_and_the_grants_of_its_callers_name_none() -> None:
    till = Grant(grant_id="d1", name="till", wire="debits", pointer_id="till", relays=(LEFT,))
    caller = Grant(grant_id="d2", name="shop app", wire="debits", pointer_id="till", caller="ab" * 32)
    assert kept(till, caller, LINK) == (KeptRelay(LEFT, ("shop",), (), ("till",)),)
    (alone,) = kept(till, caller)
    assert "is served for the debit pointer till: `kitestring debit pointer relink POINTER` moves them" in alone.why
    (all_three,) = kept(till, LINK, offers=(CODE,))
    assert all_three.users == "connection shop, the offer tea and the debit pointer till"
    assert all_three.why.endswith(
        ": `kitestring connection rotate NAME`, `kitestring offer relink OFFER` and `kitestring debit pointer relink "
        "POINTER` move them to your relays"
    )
    assert kept(replace(till, revoked_at=NOW)) == ()
    assert "pointer" not in kept(LINK)[0].why


@pytest.mark.parametrize("state", [OfferState.MOVED, OfferState.DELETED])
def test_an_offer_that_has_ended_keeps_none(state: OfferState) -> None:
    assert kept(offers=(replace(CODE, state=state),)) == ()


@pytest.mark.parametrize(
    "terms", [{"state": OfferState.OFF}, {"expires_at": NOW}, {"state": OfferState.MOVED, "latest": "noffer1new"}]
)
def test_an_offer_that_says_when_or_where_it_is_keeps_them_as_an_open_one_does(terms: dict[str, object]) -> None:
    answering = replace(CODE, offer_id="o2", **terms)  # type: ignore[arg-type]  # one or two fields
    assert kept(offers=(answering,)) == kept(offers=(CODE, answering)) == (KeptRelay(LEFT, (), ("tea",)),)


def test_another_spelling_is_no_other_relay() -> None:
    spelled = ("wss://HERE.example:443/", "WSS://here.example")
    assert old_relays(spelled, (HERE,)) == ()
    assert old_relays((LEFT, *spelled), (HERE,)) == (LEFT,)
    twice = replace(LINK, name="agent", created_at=1), replace(LINK, relays=("wss://Left.example/",))
    assert kept(*twice) == (KeptRelay("wss://Left.example/", ("shop", "agent")),)


def test_where_the_relays_of_today_are_not_known_none_is_old() -> None:
    assert old_relays((LEFT,), ()) == ()


def test_those_beyond_the_room_are_left_out_the_least_needed_ones() -> None:
    found = tuple(KeptRelay(f"wss://{number}.example") for number in range(4))
    assert served((HERE,), found, 4) == (found[:3], found[3:])
    assert served((HERE, HERE), found, 1) == ((), found)


@pytest.mark.parametrize(
    ("one", "words", "way"),
    [
        (KeptRelay(LEFT, ("shop",), ()), "connection shop", "connection rotate NAME` moves"),
        (KeptRelay(LEFT, (), ("tea", "mug")), "offers tea, mug", "offer relink OFFER` moves"),
        (KeptRelay(LEFT, ("a", "b"), ("tea",)), "connections a, b and the offer tea", "connection rotate NAME` and"),
        (
            KeptRelay(LEFT, tuple("abcdefg"), ()),
            "connections a, b, c, d, e and 2 more",
            "connection rotate NAME` moves",
        ),
    ],
)
def test_those_who_need_it_are_named_in_words(one: KeptRelay, words: str, way: str) -> None:
    assert one.users == words
    assert NAMES_SHOWN == 5
    assert f"is served for the {words}: `kitestring {way}" in one.why


def test_a_link_for_apps_keeps_the_relays_in_it_and_says_how_it_moves() -> None:
    link = Grant(grant_id="m1", name="market", wire="manage", pointer_id="m1", relays=(LEFT,))
    (one,) = kept(link)
    assert (one.links, one.connections) == (("market",), ())
    assert "served for the link for apps market: `kitestring manage relink LINK` moves them" in one.why
