"""A beacon is believed as far as it goes: lies about its author, its age or its operator change nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.client.beacon import ServiceAddress, ServiceBeacon, ask_beacon, read_service
from kitestring.codec import nip19, pointers
from kitestring.codec.beacon import MAX_CONTENT_BYTES, BeaconFees
from kitestring.codec.pointers import Nmanage
from kitestring.nostr.event import Event
from kitestring.wire.beacon import LEGACY_D
from tests.kit.client.beacons import CONTENT, OPERATOR, attestation, beacon, revocation
from tests.kit.client.hostile import IMPATIENT, PATIENT, SERVICE, STRANGER, hostile_relay, ndebit, net, noffer
from tests.kit.clock import NOW

S, OPERATES = SERVICE.public_hex, OPERATOR.public_hex


async def shown(*stored: Event, **how: Any) -> ServiceBeacon:
    """What is read from one relay that shows all of this."""
    async with hostile_relay(lambda _: None, stored=list(stored), **how) as relay:
        return await ask_beacon(ServiceAddress(S), net(PATIENT), (relay.url,))


# ------------------------------------------------------------ what it says


async def test_a_service_that_works_is_told_with_all_that_it_says() -> None:
    found = await shown(beacon())
    assert (found.service, found.state, found.is_fresh, found.age_s) == (S, "fresh", True, 10)
    assert found.content.name == "Corner shop"
    assert found.content.fees == BeaconFees(2, 50)
    assert found.enroll_difficulty == 18
    assert [found.serves(kind) for kind in (21001, 21004)] == [True, False]
    assert (found.operated, found.operator) == ("none", "")
    assert len(found.told_by) == 1


async def test_a_service_without_a_beacon_is_no_error() -> None:
    found = await shown()
    assert (found.state, found.age_s, found.is_fresh) == ("none", None, False)
    assert (found.enroll_difficulty, found.serves(21001), found.content.name) == (None, None, "")


async def test_fields_of_wrong_types_are_left_out_and_the_others_stay() -> None:
    wrong = {**CONTENT, "name": ["x"], "enroll_difficulty": "18", "supported_kinds": "all", "fees": [1], "new": {}}
    found = await shown(beacon({**wrong, "description": "Tea"}))
    assert found.is_fresh
    assert (found.content.name, found.content.description, found.content.fees) == ("", "Tea", None)
    assert (found.enroll_difficulty, found.serves(21001)) == (None, None)


@pytest.mark.parametrize("age_s", [181, 10_000, 400 * 86_400])
async def test_a_stale_beacon_is_shown_and_decides_nothing(age_s: int) -> None:
    found = await shown(beacon(age_s=age_s))
    assert (found.state, found.age_s, found.content.name) == ("stale", age_s, "Corner shop")
    assert (found.enroll_difficulty, found.serves(21001)) == (None, None)


async def test_a_beacon_from_the_future_is_invalid_and_hides_no_right_one() -> None:
    late = beacon(age_s=-31)
    assert (await shown(late)).state == "ahead"
    assert (await shown(late)).enroll_difficulty is None
    for stored in ((late, beacon()), (beacon(), late)):
        assert (await shown(*stored)).age_s == 10
    assert (await shown(beacon(age_s=-30))).state == "fresh"


async def test_the_newest_of_many_counts_in_whatever_order_they_come() -> None:
    many = [beacon({"name": f"number {age_s}"}, age_s=age_s) for age_s in (50, 20, 90, 5, 70)]
    assert (await shown(*many)).content.name == "number 5"
    assert (await shown(*reversed(many))).content.name == "number 5"


# ------------------------------------------------------------ lies


@pytest.mark.parametrize(
    "lie",
    [
        beacon(key=STRANGER),
        msgspec.structs.replace(beacon(), pubkey=STRANGER.public_hex),
        msgspec.structs.replace(beacon(key=STRANGER), pubkey=S),
        msgspec.structs.replace(beacon(), content=json.dumps({"name": "another"})),
        msgspec.structs.replace(beacon(), created_at=NOW),
        beacon(d="clink-node-operator"),
        beacon(d="kitestring-instance"),
        beacon(version=None),
        beacon(version=["clink_version", "2"]),
        beacon("no JSON"),
        beacon("[" * 20_000),
        beacon({"name": "x" * MAX_CONTENT_BYTES}),
    ],
)
async def test_what_is_no_beacon_of_this_service_is_passed_over(lie: Event) -> None:
    assert (await shown(lie)).state == "none"
    assert (await shown(lie, beacon(age_s=60))).age_s == 60


async def test_texts_cannot_play_tricks_on_a_screen() -> None:
    found = await shown(beacon({"name": "Shop\x1b[2J\n\u202eelif", "website": "javascript:alert(1)"}))
    assert (found.content.name, found.content.website) == ("Shop [2J elif", "")


# ------------------------------------------------------------ older forms


async def test_an_older_form_is_for_display_and_the_form_of_the_text_comes_first() -> None:
    old = beacon(d=LEGACY_D, version=None, operator=OPERATES, age_s=1)
    found = await shown(old, attestation())
    assert (found.state, found.content.name, found.operated) == ("fresh", "Corner shop", "none")
    assert (found.is_reliable, found.enroll_difficulty, found.serves(21001)) == (False, None, None)
    right = await shown(old, beacon({"name": "new"}, age_s=9_999))
    assert (right.content.name, right.state) == ("new", "stale")
    draft = beacon({**CONTENT, "clink_version": "1"}, version=None, age_s=1)
    assert ((await shown(draft)).state, (await shown(draft)).is_reliable) == ("fresh", False)
    assert (await shown(draft, beacon(age_s=60))).is_reliable


# ------------------------------------------------------------ who operates it


async def test_operated_by_is_said_where_both_sides_say_so() -> None:
    found = await shown(beacon(operator=OPERATES), attestation())
    assert (found.operated, found.operator) == ("verified", OPERATES)
    alone = await shown(beacon(operator=OPERATES))
    assert (alone.operated, alone.operator) == ("claimed", "")
    assert (await shown(beacon(), attestation())).operated == "none"


@pytest.mark.parametrize("age_s", [-9_999, 0, 9_999])
async def test_a_revocation_wins_whatever_its_date(age_s: int) -> None:
    found = await shown(beacon(operator=OPERATES), attestation(), revocation(at=NOW - age_s))
    assert (found.operated, found.operator) == ("revoked", "")


async def test_the_current_documents_count_and_no_replaced_ones() -> None:
    named, other = beacon(operator=OPERATES), STRANGER.public_hex
    taken_out = (attestation(at=NOW - 50), attestation(other, at=NOW - 5))
    assert (await shown(named, *taken_out)).operated == "claimed"
    taken_back = (attestation(), revocation(at=NOW - 50), revocation(other, at=NOW - 5))
    assert (await shown(named, *taken_back)).operated == "verified"


async def test_an_attestation_of_somebody_else_or_without_its_version_proves_nothing() -> None:
    named = beacon(operator=OPERATES)
    assert (await shown(named, attestation(key=STRANGER))).operated == "claimed"
    assert (await shown(named, attestation(version=None))).operated == "claimed"
    forged = msgspec.structs.replace(attestation(key=STRANGER), pubkey=OPERATES)
    assert (await shown(named, forged)).operated == "claimed"
    assert (await shown(named, attestation(), revocation(version=None))).operated == "revoked"


async def test_a_revocation_on_one_relay_wins_over_an_attestation_on_another() -> None:
    async with (
        hostile_relay(lambda _: None, stored=[beacon(operator=OPERATES), attestation()]) as one,
        hostile_relay(lambda _: None, stored=[revocation(at=NOW - 9_999)]) as other,
    ):
        found = await ask_beacon(ServiceAddress(S), net(PATIENT), (one.url, other.url))
    assert found.operated == "revoked"


async def test_where_no_relay_tells_all_it_has_nobody_is_called_the_operator() -> None:
    documents = [beacon(operator=OPERATES), attestation()]
    async with hostile_relay(lambda _: None, stored=documents, eose=False) as relay:
        found = await ask_beacon(ServiceAddress(S), net(IMPATIENT), (relay.url,))
    assert (found.state, found.operated) == ("fresh", "claimed")


async def test_a_beacon_from_the_future_names_no_operator() -> None:
    assert (await shown(beacon(operator=OPERATES, age_s=-60), attestation())).operator == ""


# ------------------------------------------------------------ relays


async def test_a_relay_that_does_not_answer_is_told_with_its_words() -> None:
    async with hostile_relay(lambda _: None, refuses_req=lambda _: "restricted: members only") as relay:
        with pytest.raises(KitestringError, match=r"no relay answers \(ws://.*: restricted: members only\)") as caught:
            await ask_beacon(ServiceAddress(S), net(PATIENT), (relay.url,))
    assert caught.value.reason is Reason.UNAVAILABLE
    with pytest.raises(KitestringError, match="no relay can be reached") as caught:
        await ask_beacon(ServiceAddress(S), net(IMPATIENT), ("ws://127.0.0.1:9",))
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_key_alone_is_asked_for_at_the_callers_own_relays_and_without_any_nowhere() -> None:
    async with hostile_relay(lambda _: None, stored=[beacon()]) as relay:
        assert (await ask_beacon(ServiceAddress(S), net(PATIENT, relay.url))).is_fresh
    with pytest.raises(KitestringError, match="names no relay") as caught:
        await ask_beacon(ServiceAddress(S), net(PATIENT))
    assert caught.value.reason is Reason.MALFORMED


async def test_a_relay_in_a_code_may_not_lead_into_a_private_network() -> None:
    async with hostile_relay(lambda _: None, stored=[beacon()]) as relay:
        address = ServiceAddress(S, (relay.url,))
        with pytest.raises(KitestringError):
            await ask_beacon(address, net(PATIENT))
        assert (await ask_beacon(address, net(PATIENT, relay.url))).is_fresh
        assert (await ask_beacon(address, net(PATIENT, allow_private=True))).is_fresh


# ------------------------------------------------------------ which service


@pytest.mark.parametrize(
    "text",
    [
        S,
        S.upper(),
        nip19.encode(nip19.PublicKey(S)),
        f"nostr:{nip19.encode(nip19.Profile(S))}",
        pointers.encode(noffer("wss://relay.example")),
        pointers.encode(ndebit("wss://relay.example")),
        pointers.encode(Nmanage(S, ("wss://relay.example",))).upper(),
        f" {pointers.encode(noffer('wss://relay.example'))}\n",
    ],
)
def test_a_service_is_named_by_its_key_or_by_any_of_its_codes(text: str) -> None:
    found = read_service(text)
    assert found.pubkey == S
    assert found.relays in ((), ("wss://relay.example",))


def test_the_relays_of_a_profile_are_those_of_the_service() -> None:
    profile = nip19.encode(nip19.Profile(S, ("wss://a.example", "wss://b.example")))
    assert read_service(profile) == ServiceAddress(S, ("wss://a.example", "wss://b.example"))


@pytest.mark.parametrize(
    "text",
    ["", "shop", "lnbc1", "me@shop.example", "ff" * 32, "npub1x", nip19.encode(nip19.Note(S)), "https://x.example"],
)
def test_a_text_that_names_no_service_is_refused(text: str) -> None:
    with pytest.raises(KitestringError) as caught:
        read_service(text)
    assert caught.value.reason is Reason.MALFORMED
