"""A line of the log as a message of the outbox."""

from __future__ import annotations

import pytest

from kitestring.app.service.log_carrier import GOOD_NEWS, MAX_CHARS, write_line
from kitestring.app.service.receptions import Reception
from kitestring.base.records import LOG, Message


def test_a_message_is_one_line_of_the_log_without_control_characters(caplog: pytest.LogCaptureFixture) -> None:
    said: list[Reception] = []
    write_line(Message("", LOG, b"spending stops\x1b[2J\nnow", b"", 0), said.append)
    assert said == [Reception.TAKEN]
    assert [(row.levelname, row.getMessage()) for row in caplog.records] == [("ERROR", "spending stops [2J now")]


def test_what_is_well_again_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    write_line(Message("", LOG, b"spending is allowed again", b"", 0, GOOD_NEWS), lambda _: None)
    assert [(row.levelname, row.getMessage()) for row in caplog.records] == [("WARNING", "spending is allowed again")]


def test_a_long_text_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    write_line(Message("", LOG, b"x" * 5_000, b"", 0), lambda _: None)
    assert len(caplog.records[0].getMessage()) == MAX_CHARS
