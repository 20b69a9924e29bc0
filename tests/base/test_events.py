"""The rows of the feed: small, named once, and bounded."""

from __future__ import annotations

from kitestring.base.events import (
    GRANT_CHANGES,
    MAX_CONSUMERS,
    MAX_EVENTS,
    MAX_NOTICES,
    EventKind,
    FeedEvent,
    Missed,
)
from kitestring.base.payments import State
from tests.kit.values import is_frozen, parts


def test_the_end_of_a_payment_is_called_what_its_state_is_called() -> None:
    assert {EventKind.SETTLED.value, EventKind.FAILED.value, EventKind.RESOLVED.value} <= {
        state.value for state in State
    }


def test_a_grant_changes_by_being_made_changed_or_revoked() -> None:
    assert {kind.value for kind in GRANT_CHANGES} == {"granted", "changed", "revoked"}


def test_a_row_never_changes_and_holds_nothing_but_texts_and_numbers() -> None:
    for row in (FeedEvent, Missed):
        assert is_frozen(row)
        assert set(parts(row)) <= {row, int, str, EventKind}


def test_what_was_missed_has_the_number_that_the_next_read_goes_on_from() -> None:
    missed, first = Missed(5, 5), FeedEvent(6, 0, EventKind.ALARM, "spending")
    assert first.number == missed.number + 1


def test_the_feed_is_bounded_in_number_and_in_those_who_follow_it() -> None:
    assert 0 < MAX_CONSUMERS < MAX_NOTICES < MAX_EVENTS
