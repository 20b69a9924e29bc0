"""A place in a wallet's history: a text that goes back and forth, and that no odd time can spoil."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Transaction, TransactionState
from kitestring.sdk import position
from kitestring.sdk.position import LOOK_BACK_S, MAX_NAMED, Position
from tests.kit.clock import NOW
from tests.kit.wire.samples import transaction

IN, OUT, HELD = "payment_received", "payment_sent", "hold_invoice_accepted"


def paid(number: int, at: int | None = NOW, **more: Any) -> Transaction:
    members = {"state": TransactionState.SETTLED, "payment_hash": f"{number:016x}" + 48 * "0", "settled_at": at}
    return transaction(**(members | more))


def test_what_was_told_is_not_new_and_another_type_of_the_same_payment_is() -> None:
    place = Position(NOW - 100)
    assert place.is_new(IN, paid(1), NOW)
    place.add(IN, paid(1), NOW)
    assert not place.is_new(IN, paid(1), NOW)
    assert place.is_new(OUT, paid(1), NOW)
    assert place.is_new(IN, paid(2, NOW - 100), NOW)
    assert not place.is_new(IN, paid(3, NOW - 101), NOW)


def test_a_payment_without_its_time_is_of_when_it_was_made_and_one_that_has_not_ended_of_now() -> None:
    place = Position(NOW)
    assert place.is_new(IN, paid(1, None, created_at=NOW), NOW)
    assert not place.is_new(IN, paid(1, None, created_at=NOW - 1), NOW)
    held = paid(1, None, created_at=NOW - 9, state=TransactionState.PENDING)
    assert place.is_new("hold_invoice_accepted", held, NOW)


def test_a_payment_that_is_held_for_days_is_not_told_again_while_others_are_paid() -> None:
    place, held = Position(NOW), paid(1, None, created_at=NOW - 9, state=TransactionState.ACCEPTED)
    place.add(HELD, held, NOW)
    for day in range(1, 8):
        later = NOW + day * LOOK_BACK_S + 600
        place.add(IN, paid(1 + day, later), later)
        place = Position.read(str(place))
        assert not place.is_new(HELD, held, later)
        assert place.is_new(HELD, paid(99, None, state=TransactionState.ACCEPTED), later)
    for day in (20, 21):
        place.add(IN, paid(1 + day, NOW + day * LOOK_BACK_S), NOW + day * LOOK_BACK_S)
    assert [key for key in place._seen if key[0] == "h"] == []  # by then it has gone back


def test_a_time_that_is_far_ahead_hides_nothing_that_comes_after_it() -> None:
    place = Position(NOW - 100)
    place.add(IN, paid(1, NOW + 400 * 86_400), NOW)
    assert place.is_new(IN, paid(2, NOW), NOW)
    assert not place.is_new(IN, paid(1, NOW + 400 * 86_400), NOW)


def test_a_day_behind_the_newest_the_time_alone_says_what_was_told() -> None:
    place = Position(NOW)
    place.add(IN, paid(1), NOW)
    later = NOW + 2 * LOOK_BACK_S
    place.add(IN, paid(2, later), later)
    assert place.floor == later - LOOK_BACK_S
    assert [place.is_new(IN, paid(number, at), later) for number, at in ((1, NOW), (3, NOW), (4, later - 9))] == [
        False, False, True,
    ]  # fmt: skip
    assert len(place._seen) == 1


def test_of_more_than_can_be_known_the_first_are_told_by_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "MAX_SEEN", 3)
    place = Position(NOW - 100)
    for number in range(5):
        place.add(IN, paid(number, NOW + number), NOW + 9)
    assert (place.floor, len(place._seen)) == (NOW + 2, 3)
    assert not any(place.is_new(IN, paid(number, NOW + number), NOW + 9) for number in range(5))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-200, 200)), max_size=60))
def test_the_text_of_a_place_is_the_place(told: list[tuple[int, int]]) -> None:
    place = Position(NOW - 100)
    for number, later in told:
        place.add(IN, paid(number, NOW + later), NOW + 300)
    again = Position.read(str(place))
    assert str(again) == str(place)
    for number in range(42):
        for later in range(-120, 220, 20):
            asked = (IN, paid(number, NOW + later), NOW + 300)
            assert again.is_new(*asked) == place.is_new(*asked)


def test_the_text_stays_short_and_tells_nothing_twice() -> None:
    place = Position(NOW)
    for number in range(3 * MAX_NAMED):
        place.add(IN, paid(number, NOW + number), NOW + 3 * MAX_NAMED)
    text = str(place)
    assert (len(text) < 13_000, text.count("+")) == (True, MAX_NAMED)
    again = Position.read(text)
    assert not any(again.is_new(IN, paid(number, NOW + number), NOW + 9_999) for number in range(3 * MAX_NAMED))
    assert again.is_new(IN, paid(99_999, NOW + 3 * MAX_NAMED), NOW + 9_999)


@pytest.mark.parametrize(
    "text",
    ["", "1760000000", "kite1", "kite1:", "kite1:x:", "kite1:-5:", "kite1:5:r12+0", "kite1:5:q1234567890abcdef+0",
     "kite1:5:r1234567890abcdef", "kite1:5:r1234567890abcdef+zz", "kite1:5:r1234567890abcdef+ 1", "kite2:5:",
     "kite1:9999999999999:", "kite1:٣:"],
)  # fmt: skip
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(KitestringError, match="is no position of notifications") as caught:
        Position.read(text)
    assert caught.value.reason is Reason.MALFORMED


def test_a_new_place_has_a_text_too() -> None:
    assert str(Position(NOW)) == f"kite1:{NOW}:"
    assert Position.read(f"kite1:{NOW}:").floor == NOW
