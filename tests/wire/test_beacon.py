"""Beacons as events: what is written, what counts as one, how old it is, and who is said to operate the service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.errors import CodecError
from kitestring.codec.beacon import BeaconContent
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import MAX_OUTGOING_EVENT_BYTES, Event, encode_event, sign_event
from kitestring.wire.beacon import (
    AHEAD_S,
    ATTEST_D,
    LEGACY_D,
    MAX_SERVICES,
    REVOKE_D,
    SERVICE_D,
    STALE_S,
    Beacon,
    attested,
    beacon_draft,
    freshness,
    is_newer,
    operated,
    operator_draft,
    read_beacon,
    revoked,
)
from tests.kit.clock import NOW

SERVICE, OPERATOR, OTHER = (SecretKey(bytes([number]) * 32) for number in (7, 8, 9))
SERVICE_ID, OPERATOR_ID = SERVICE.public_hex, OPERATOR.public_hex
VERSION = ["clink_version", "1"]


def event(
    *tags: list[str], content: Any = "", at: int = NOW, key: SecretKey = SERVICE, kind: int = kinds.BEACON
) -> Event:
    text = content if isinstance(content, str) else json.dumps(content)
    return sign_event(key, kind=kind, tags=list(tags), content=text, created_at=at)


def beacon(*tags: list[str], **content: Any) -> Beacon:
    return read_beacon(event(*tags, content=content))


# ------------------------------------------------------------ write


def test_a_beacon_has_its_two_tags_and_that_of_the_operator() -> None:
    content = BeaconContent(name="Corner shop")
    assert beacon_draft(content).tags == [["d", "clink-node"], ["clink_version", "1"]]
    draft = beacon_draft(content, OPERATOR_ID)
    assert (draft.kind, draft.content) == (30_078, '{"name":"Corner shop"}')
    assert draft.tags == [["d", "clink-node"], ["clink_version", "1"], ["operator", OPERATOR_ID]]


@pytest.mark.parametrize("d", [ATTEST_D, REVOKE_D])
def test_a_document_of_an_operator_names_services_in_tags_alone_and_each_once(d: str) -> None:
    draft = operator_draft(d, [SERVICE_ID, OTHER.public_hex, SERVICE_ID])
    assert (draft.kind, draft.content) == (30_078, "")
    assert draft.tags == [["d", d], ["clink_version", "1"], ["service", SERVICE_ID], ["service", OTHER.public_hex]]


def test_the_largest_document_is_taken_by_relays_and_a_larger_one_is_not_made() -> None:
    services = [f"{number:064x}" for number in range(MAX_SERVICES)]
    draft = operator_draft(ATTEST_D, services)
    signed = sign_event(OPERATOR, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=NOW)
    assert len(encode_event(signed)) < MAX_OUTGOING_EVENT_BYTES
    assert attested(signed) == frozenset(services)
    with pytest.raises(CodecError, match="at most 400 services"):
        operator_draft(ATTEST_D, [*services, SERVICE_ID])


@pytest.mark.parametrize("key", ["", "ab", SERVICE_ID.upper(), "g" * 64, "npub1abc"])
def test_what_is_no_key_is_not_written(key: str) -> None:
    with pytest.raises(CodecError, match="64 lower-case hex"):
        operator_draft(ATTEST_D, [key])
    if key:
        with pytest.raises(CodecError, match="64 lower-case hex"):
            beacon_draft(BeaconContent(), key)


# ------------------------------------------------------------ read


def test_what_was_written_is_read_back() -> None:
    draft = beacon_draft(BeaconContent(name="x", enroll_difficulty=18), OPERATOR_ID)
    found = read_beacon(event(*draft.tags, content=draft.content))
    assert found == Beacon(SERVICE_ID, NOW, BeaconContent(name="x", enroll_difficulty=18), OPERATOR_ID, legacy=False)


@pytest.mark.parametrize(
    "tags",
    [
        [["d", "kitestring-instance"], VERSION],
        [["d", ATTEST_D], VERSION],
        [VERSION],
        [["d"], VERSION],
        [["d", SERVICE_D]],
        [["d", SERVICE_D], ["clink_version", "2"]],
        [["d", SERVICE_D], ["clink_version"]],
    ],
)
def test_an_event_with_other_tags_is_no_beacon(tags: list[list[str]]) -> None:
    with pytest.raises(CodecError):
        beacon(*tags, name="x")


def test_an_event_of_another_kind_or_without_a_json_object_is_no_beacon() -> None:
    with pytest.raises(CodecError, match="no beacon"):
        read_beacon(event(["d", SERVICE_D], VERSION, content={}, kind=30_079))
    with pytest.raises(CodecError, match="JSON"):
        read_beacon(event(["d", SERVICE_D], VERSION, content="hello"))


@pytest.mark.parametrize(
    ("tags", "content"),
    [
        ([["d", LEGACY_D]], {"type": "service"}),
        ([["d", LEGACY_D], VERSION], {}),
        ([["d", SERVICE_D]], {"clink_version": "1"}),
        ([["d", SERVICE_D]], {"version": 1}),
    ],
)
def test_forms_from_before_the_text_are_for_display_and_name_no_operator(
    tags: list[list[str]], content: dict[str, Any]
) -> None:
    found = beacon(*tags, ["operator", OPERATOR_ID], name="Corner shop", **content)
    assert (found.legacy, found.operator, found.content.name) == (True, "", "Corner shop")


def test_a_version_in_the_content_does_not_mend_another_one_in_the_tag() -> None:
    with pytest.raises(CodecError, match="another version"):
        beacon(["d", SERVICE_D], ["clink_version", "2"], version="1")


@pytest.mark.parametrize(
    ("written", "read"),
    [(OPERATOR_ID, OPERATOR_ID), (OPERATOR_ID.upper(), OPERATOR_ID), ("npub1x", ""), ("", ""), (OPERATOR_ID[:-1], "")],
)
def test_an_operator_is_a_key_or_is_not_named(written: str, read: str) -> None:
    assert beacon(["d", SERVICE_D], VERSION, ["operator", written]).operator == read


# ------------------------------------------------------------ age


@pytest.mark.parametrize(
    ("age_s", "said"),
    [(0, "fresh"), (STALE_S, "fresh"), (STALE_S + 1, "stale"), (-AHEAD_S, "fresh"), (-AHEAD_S - 1, "ahead")],
)
def test_a_beacon_is_fresh_for_three_minutes_and_never_from_the_future(age_s: int, said: str) -> None:
    assert freshness(NOW - age_s, NOW) == said
    assert (STALE_S, AHEAD_S) == (180, 30)


def test_the_newest_of_one_document_counts_and_of_one_second_that_with_the_lower_id() -> None:
    old, new = event(["d", SERVICE_D]), event(["d", SERVICE_D], at=NOW + 1)
    twin = event(["d", SERVICE_D], content="x")
    low, high = sorted((old, twin), key=lambda one: one.id)
    assert is_newer(old, None)
    assert is_newer(new, old)
    assert not is_newer(old, new)
    assert is_newer(low, high)
    assert not is_newer(high, low)
    assert not is_newer(low, low)


# ------------------------------------------------------------ who operates it


def document(d: str, *services: str, tags: tuple[list[str], ...] = (VERSION,), at: int = NOW) -> Event:
    return event(["d", d], *tags, *(["service", one] for one in services), key=OPERATOR, at=at)


def verdict(attestation: Event | None, revocation: Event | None, operator: str = OPERATOR_ID) -> str:
    found = beacon(["d", SERVICE_D], VERSION, ["operator", operator])
    return operated(found, attested(attestation), revoked(revocation))


def test_operated_by_needs_the_word_of_both_sides() -> None:
    assert verdict(document(ATTEST_D, SERVICE_ID), None) == "verified"
    assert verdict(None, None) == "claimed"
    assert verdict(document(ATTEST_D, OTHER.public_hex), None) == "claimed"
    assert verdict(document(ATTEST_D, SERVICE_ID), None, operator="") == "none"


def test_a_revocation_wins_whichever_of_the_documents_is_newer() -> None:
    for at in (NOW - 9_999, NOW, NOW + 9_999):
        assert verdict(document(ATTEST_D, SERVICE_ID), document(REVOKE_D, SERVICE_ID, at=at)) == "revoked"
    assert verdict(document(ATTEST_D, SERVICE_ID), document(REVOKE_D, OTHER.public_hex)) == "verified"
    assert verdict(document(ATTEST_D, SERVICE_ID), document(REVOKE_D)) == "verified"


def test_an_attestation_needs_its_version_and_a_revocation_counts_without() -> None:
    for tags in ((), (["clink_version", "2"],)):
        assert verdict(document(ATTEST_D, SERVICE_ID, tags=tags), None) == "claimed"
        assert verdict(document(ATTEST_D, SERVICE_ID), document(REVOKE_D, SERVICE_ID, tags=tags)) == "revoked"


def test_keys_in_tags_are_read_in_any_case_and_what_is_none_is_left_out() -> None:
    assert attested(document(ATTEST_D, SERVICE_ID.upper(), "npub1x", "")) == {SERVICE_ID}
    assert attested(event(["d", ATTEST_D], VERSION, ["service"], ["service", SERVICE_ID, "hint"])) == {SERVICE_ID}
