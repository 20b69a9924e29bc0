"""Requests that were served are remembered as long as a relay may show them again, and never without bound."""

from __future__ import annotations

import pytest

from kitestring.app.service import served as served_module
from kitestring.app.service.served import SERVED_S, Served
from tests.kit.clock import ManualClock


def test_what_was_served_is_forgotten_in_time_and_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_module, "MAX_SERVED", 2)
    clock = ManualClock()
    served = Served(clock)
    for name in "abc":
        served.add(name)
    assert [name in served for name in "abc"] == [False, True, True]
    clock.advance(SERVED_S)
    assert "c" not in served
    served.add("d")
    assert len(served) == 1
