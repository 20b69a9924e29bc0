"""Which orders of a hash may still be carried out, whatever has become of the others."""

from __future__ import annotations

import pytest

from kitestring.client.nwc import attempts
from kitestring.client.nwc.attempts import Attempts
from tests.kit.clock import NOW, ManualClock

HASH, OTHER = "11" * 32, "22" * 32


def begun() -> Attempts:
    return Attempts(ManualClock(NOW))


def test_only_the_first_of_a_hash_is_dated_and_one_after_a_refusal_is_first_again_without_a_date() -> None:
    made = begun()
    first = made.begin(HASH)
    assert (first.is_first, first.sent_at) == (True, NOW)
    second = made.begin(HASH)
    assert (second.is_first, second.sent_at) == (False, None)
    assert made.begin(OTHER).is_first
    made.refused(second)  # it was told of both
    third = made.begin(HASH)
    assert (third.is_first, third.sent_at) == (True, None)


def test_the_refusal_of_the_first_says_nothing_of_one_that_came_meanwhile() -> None:
    made = begun()
    first, second = made.begin(HASH), made.begin(HASH)
    made.refused(first)
    assert not made.begin(HASH).is_first
    made.refused(second)
    assert made.begin(HASH).is_first


def test_what_never_left_leaves_the_others_as_they_were() -> None:
    made = begun()
    made.begin(HASH)
    made.unsent(made.begin(HASH))
    assert not made.begin(HASH).is_first
    made.unsent(made.begin(OTHER))
    assert made.begin(OTHER).sent_at == NOW


def test_what_never_left_is_no_reason_to_forget_one_that_left_meanwhile() -> None:
    made = begun()
    first, second = made.begin(HASH), made.begin(HASH)
    made.unsent(first)
    assert not made.begin(HASH).is_first
    made.refused(second)
    made.forget(HASH)
    assert made.begin(HASH).sent_at == NOW


def test_with_too_many_hashes_none_counts_as_never_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_HASHES", 1)
    made = begun()
    made.begin(HASH)
    beyond = made.begin(OTHER)
    assert (beyond.is_first, beyond.sent_at) == (False, None)
    for end in (made.refused, made.unsent):
        end(beyond)
    made.forget(HASH)
    assert made.begin(OTHER).is_first
