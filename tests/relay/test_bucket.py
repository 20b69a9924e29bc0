from __future__ import annotations

import pytest

from kitestring.relay import bucket as buckets
from kitestring.relay.bucket import Bucket, Paces
from tests.kit.clock import ManualClock


def test_a_burst_is_free_and_then_tokens_come_back_at_the_rate() -> None:
    clock = ManualClock()
    bucket = Bucket(10, 3, clock)
    for _ in range(3):
        assert bucket.wait_s() == 0
        bucket.charge(1)
    assert bucket.wait_s() == 0.1
    clock.advance(0.5)
    assert bucket.wait_s() == 0
    bucket.charge(13)  # one dear command may overdraw it
    assert round(bucket.wait_s(), 3) == 1.1
    clock.advance(1_000)
    assert bucket.wait_s() == 0
    bucket.charge(3)
    assert bucket.wait_s() == 0.1


def test_each_author_has_a_pace_of_his_own() -> None:
    clock = ManualClock()
    paces = Paces(10, 2, clock)
    for _ in range(2):
        assert not paces.is_used_up("a")
        paces.charge("a", 1)
    assert paces.is_used_up("a")
    assert not paces.is_used_up("b")
    clock.advance(0.2)
    assert not paces.is_used_up("a")


def test_authors_beyond_the_number_that_is_remembered_cost_the_oldest_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MAX_PACED_AUTHORS", 2)
    paces = Paces(1, 1, ManualClock())
    for author in ("a", "b", "a", "c"):
        paces.charge(author, 1)
    assert [paces.is_used_up(author) for author in "abc"] == [True, False, True]
