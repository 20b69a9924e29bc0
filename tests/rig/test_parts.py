"""A part that takes minutes says that it goes on."""

from __future__ import annotations

import threading

import pytest

from tests.rig import parts


def test_a_long_build_says_now_and_then_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    twice = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            twice.set()

    monkeypatch.setattr(parts, "say", say)
    with parts.still_working("lnd", every_s=0.001):
        assert twice.wait(20)
    ended = len(said)
    assert said[0].startswith("lnd: still working, ")
    assert len(said) == ended, "nothing is said afterwards"
