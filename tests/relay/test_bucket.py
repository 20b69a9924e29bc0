from __future__ import annotations

from kitestring.relay.bucket import Bucket
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
