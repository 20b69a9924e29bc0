"""The log: lines for people, or JSON; what happens is told where somebody looks or wants it."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring.app.home.config import Config, load
from kitestring.app.home.logs import ACTIVITY
from kitestring.app.home.logs import set_up as really_set_up

HERE = Path("/nowhere")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def set_up(config: Config, out: io.StringIO | None = None) -> None:
    logging.getLogger().handlers[:] = []  # pytest's own: a log that is set up stays as it is
    really_set_up(config, out)


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """As they were, afterwards."""
    root, activity = logging.getLogger(), logging.getLogger(ACTIVITY)
    before = root.handlers[:], root.level, activity.level
    yield
    root.handlers[:], root.level = before[0], before[1]
    activity.setLevel(before[2])


def written(config: Config, out: io.StringIO) -> list[str]:
    set_up(config, out)
    logging.getLogger(ACTIVITY).info("paid -21 sat", extra={"fields": {"amount_msat": 21_000, "level": "forged"}})
    logging.getLogger("kitestring.engine").info("no news")
    logging.getLogger("kitestring.engine").warning("a node is %s", "down")
    return out.getvalue().splitlines()


def test_by_default_only_warnings_are_in_a_file() -> None:
    (line,) = written(Config(HERE), io.StringIO())
    assert line.endswith(" WARNING kitestring.engine: a node is down")


def test_on_a_terminal_what_happens_is_told_without_the_name_of_a_logger() -> None:
    told, warning = written(Config(HERE), Terminal())
    assert told[8:] == "  paid -21 sat"
    assert "kitestring.engine: a node is down" in warning


@pytest.mark.parametrize(
    ("settings", "out", "is_told"),
    [
        ({"log_level": "info"}, io.StringIO, True),
        ({"log_activity": "on"}, io.StringIO, True),
        ({"log_activity": "off"}, Terminal, False),
        ({"log_activity": "off", "log_level": "debug"}, Terminal, False),
    ],
)
def test_settings_say_whether_it_is_told(settings: dict[str, str], out: type[io.StringIO], is_told: bool) -> None:
    assert any("paid -21 sat" in line for line in written(Config(HERE, **settings), out())) is is_told  # type: ignore[arg-type]  # texts alone


def test_json_is_one_object_per_line_with_the_fields_of_what_happened() -> None:
    told, warning = map(json.loads, written(Config(HERE, log_format="json"), Terminal()))
    assert told["time"].endswith("Z")
    assert {**told, "time": ""} == {
        "time": "", "level": "info", "logger": ACTIVITY, "message": "paid -21 sat", "amount_msat": 21_000,
    }  # fmt: skip
    assert (warning["level"], warning["message"]) == ("warning", "a node is down")


def test_a_traceback_and_hostile_words_stay_in_their_line_of_json() -> None:
    out = io.StringIO()
    set_up(Config(HERE, log_format="json"), out)
    try:
        int("two\nlines")
    except ValueError:
        logging.getLogger("kitestring").exception("evil\x1b[2J\u2028")
    (line,) = out.getvalue().splitlines()
    assert line.isprintable()
    row = json.loads(line)
    assert row["message"] == "evil\x1b[2J\u2028"
    assert "ValueError: invalid literal" in row["exception"]


def test_the_environment_names_the_form() -> None:
    config = load(HERE, environment={"KITESTRING_LOG_FORMAT": "json", "KITESTRING_LOG_ACTIVITY": "on"})
    assert (config.log_format, config.log_activity) == ("json", "on")


def test_a_closed_standard_error_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    set_up(Config(HERE))
    assert logging.getLogger(ACTIVITY).level == logging.WARNING
