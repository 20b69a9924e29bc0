"""What fails every second is a line a minute."""

from __future__ import annotations

import logging

import pytest

from kitestring.app.service.seldom import LINE_PAUSE_S, Seldom
from tests.kit.clock import ManualClock

log = logging.getLogger(__name__)


def test_the_same_words_are_said_once_a_minute_whatever_stands_in_them(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    lines = Seldom(log, clock)
    for number in range(3):
        lines.warning("message %d waits", number)
        clock.advance(LINE_PAUSE_S / 2)
    lines.error("another line")
    assert [record.getMessage() for record in caplog.records] == ["message 0 waits", "message 2 waits", "another line"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR"]


def test_an_exception_is_said_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    lines = Seldom(log, ManualClock())
    for _ in range(2):
        try:
            int("a bug")
        except ValueError:
            lines.exception("it broke off")
    (line,) = caplog.records
    assert line.exc_info is not None
    assert "a bug" in str(line.exc_info[1])
