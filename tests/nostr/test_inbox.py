"""The inbox: order of checks, age windows, and what is remembered."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kitestring.crypto.keys import SecretKey
from kitestring.nostr import inbox as inbox_module
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.nostr.inbox import (
    DAY_S,
    HOUR_S,
    MAX_AGE_S,
    Accept,
    Admission,
    Drop,
    Inbox,
    Lookup,
    Why,
    Window,
    has_expired,
)

NOW = 1_760_000_000
WINDOWS = {
    kinds.OFFER: Window(300, 60, HOUR_S),
    kinds.DEBIT: Window(30, 30, HOUR_S),
    kinds.NWC_REQUEST: Window(300, 60, DAY_S),
}
OURS = SecretKey(b"\x01" * 32).public_hex
STRANGER = SecretKey(b"\x02" * 32)
FRIEND = SecretKey(b"\x03" * 32)


def request(
    key: SecretKey = FRIEND,
    *,
    kind: int = kinds.OFFER,
    to: str = OURS,
    at: int = NOW,
    tags: list[list[str]] | None = None,
) -> Event:
    return sign_event(key, kind=kind, tags=[["p", to], *(tags or [])], content="x", created_at=at)


def forged(event: Event) -> Event:
    return msgspec.structs.replace(event, sig="0" * 128)


def inbox() -> Inbox[str]:
    names = {FRIEND.public_hex: "friend"}
    return Inbox(OURS.__eq__, lambda _kind, _recipient, author: names.get(author), WINDOWS)


def age(verdict: Admission[str]) -> tuple[int, int, bool] | str:
    """The numbers of a lookup, or the name of another verdict."""
    if isinstance(verdict, Lookup):
        return verdict.max_delta_s, verdict.actual_delta_s, verdict.answerable
    return type(verdict).__name__


def test_a_fresh_request_is_accepted_with_its_author_as_whom_we_know_it() -> None:
    event = request()
    assert inbox().check(event, NOW) == Accept(event, "friend")


# Each row has every fault of the rows below it too, so that the order of the checks is what is tested.
FAULTS = [
    (Why.KIND, {"key": STRANGER, "kind": 1, "to": "f" * 64, "at": NOW - MAX_AGE_S - 1}),
    (Why.NOT_OURS, {"key": STRANGER, "to": "f" * 64, "at": NOW - MAX_AGE_S - 1}),
    (Why.UNKNOWN_AUTHOR, {"key": STRANGER, "at": NOW - MAX_AGE_S - 1}),
    (Why.ANCIENT, {"at": NOW - MAX_AGE_S - 1}),
    (Why.FORGED, {}),
]


@pytest.mark.parametrize(("why", "fault"), FAULTS, ids=lambda value: value.name if isinstance(value, Why) else "")
def test_the_first_check_that_fails_decides(why: Why, fault: dict[str, Any]) -> None:
    box = inbox()
    event = forged(request(**fault, tags=[["expiration", str(NOW - 1)]]))
    assert box.check(event, NOW) == Drop(why)
    assert len(box) == 0


def test_cheap_checks_come_before_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[Event] = []

    def verify(event: Event) -> bool:
        verified.append(event)
        return True

    monkeypatch.setattr(inbox_module, "verify_event", verify)
    box = inbox()
    box.check(taken := request(), NOW)
    for event in (request(STRANGER), request(kind=1), request(to="f" * 64), request(at=NOW - MAX_AGE_S - 1), taken):
        assert isinstance(box.check(event, NOW), Drop)
    assert verified == [taken]


@pytest.mark.parametrize(
    "tags", [[], [["p"]], [["p"], ["p", OURS]], [["p", "f" * 64], ["p", OURS]], [["P", OURS]]], ids=str
)
def test_only_the_first_p_decides_whether_we_are_meant(tags: list[list[str]]) -> None:
    event = sign_event(FRIEND, kind=kinds.OFFER, tags=tags, content="", created_at=NOW)
    assert inbox().check(event, NOW) == Drop(Why.NOT_OURS)


def test_who_may_speak_is_asked_by_kind_and_recipient() -> None:
    seen: list[tuple[int, str, str]] = []

    def who(kind: int, recipient: str, author: str) -> None:
        seen.append((kind, recipient, author))

    Inbox(OURS.__eq__, who, WINDOWS).check(request(kind=kinds.NWC_REQUEST), NOW)
    assert seen == [(kinds.NWC_REQUEST, OURS, FRIEND.public_hex)]


def test_a_copy_from_another_relay_is_dropped_until_the_first_is_done() -> None:
    box, event = inbox(), request()
    box.check(event, NOW)
    assert box.check(event, NOW + 1) == Drop(Why.IN_HAND)
    box.done(event.id)
    assert box.check(event, NOW + 2) == Accept(event, "friend")


def test_a_forged_copy_does_not_keep_the_true_event_out() -> None:
    box, event = inbox(), request()
    assert box.check(forged(event), NOW) == Drop(Why.FORGED)
    assert box.check(event, NOW) == Accept(event, "friend")


def test_a_changed_event_under_a_true_id_is_forged() -> None:
    event = msgspec.structs.replace(request(), content="y")
    assert inbox().check(event, NOW) == Drop(Why.FORGED)


def test_done_with_an_id_that_is_not_in_hand_changes_nothing() -> None:
    box = inbox()
    box.check(request(), NOW)
    box.done("f" * 64)
    assert len(box) == 1


def test_an_old_request_is_in_hand_while_its_reply_is_looked_for() -> None:
    box, event = inbox(), request(at=NOW - 301)
    assert isinstance(box.check(event, NOW), Lookup)
    assert box.check(event, NOW) == Drop(Why.IN_HAND)


@pytest.mark.parametrize(
    ("kind", "back_s", "ahead_s", "answer_s"),
    [
        (kinds.OFFER, 300, 60, HOUR_S),
        (kinds.DEBIT, 30, 30, HOUR_S),
        (kinds.NWC_REQUEST, 300, 60, DAY_S),
    ],
)
def test_the_window_of_a_kind_ends_exactly_where_it_should(kind: int, back_s: int, ahead_s: int, answer_s: int) -> None:
    expected = {
        -back_s: "Accept",
        -back_s - 1: (back_s, back_s + 1, True),
        -answer_s: (back_s, answer_s, True),
        -answer_s - 1: (back_s, answer_s + 1, False),
        -MAX_AGE_S: (back_s, MAX_AGE_S, False),
        -MAX_AGE_S - 1: "Drop",
        ahead_s: "Accept",
        ahead_s + 1: (ahead_s, ahead_s + 1, True),
        answer_s + 1: (ahead_s, answer_s + 1, False),
    }
    box = inbox()
    assert {offset: age(box.check(request(kind=kind, at=NOW + offset), NOW)) for offset in expected} == expected


def test_a_kind_without_a_window_is_not_taken() -> None:
    assert inbox().check(request(kind=kinds.MANAGE), NOW) == Drop(Why.KIND)


@pytest.mark.parametrize(
    ("value", "expired"),
    [(str(NOW), False), (str(NOW - 1), True), (str(NOW + 1), False), ("", True), ("soon", True), ("9" * 13, True),
     ("-1", True), ("²", True), (f"{NOW + 9}.0", True)],
)  # fmt: skip
def test_what_has_expired_or_says_so_unreadably_is_only_looked_up(value: str, expired: bool) -> None:
    box, event = inbox(), request(kind=kinds.NWC_REQUEST, tags=[["expiration", value]])
    assert has_expired(event, NOW) is expired
    looked_up = Lookup(event, "friend", 300, 0, answerable=False)
    assert box.check(event, NOW) == (looked_up if expired else Accept(event, "friend"))
    assert len(box) == 1


def test_an_expired_request_that_is_also_stale_gets_no_answer_about_its_age() -> None:
    event = request(kind=kinds.NWC_REQUEST, at=NOW - 400, tags=[["expiration", str(NOW - 100)]])
    assert age(inbox().check(event, NOW)) == (300, 400, False)


def test_an_expiration_still_to_come_does_not_widen_the_window() -> None:
    event = request(at=NOW - 301, tags=[["expiration", str(NOW + 1000)]])
    assert age(inbox().check(event, NOW)) == (300, 301, True)


def test_memory_is_bounded_and_the_event_taken_first_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MAX_WORKING", 2)
    box = inbox()
    first, second, third = (request(at=NOW + offset) for offset in range(3))
    for event in (first, second, third):
        box.check(event, NOW)
    assert len(box) == 2
    assert box.check(third, NOW) == Drop(Why.IN_HAND)
    assert box.check(first, NOW) == Accept(first, "friend")


def test_a_window_is_as_wide_as_it_reaches_back_and_ahead() -> None:
    assert Window(300, 60, HOUR_S).width_s == 360
