"""The doctor on the command line: a line per check, and code 1 when something fails."""

from __future__ import annotations

import pytest

from kitestring.app.cli.doctor import command
from kitestring.app.doctor import Examined
from kitestring.base.clocks import ClockReading, compare
from kitestring.base.node import Finding, FindingState
from tests.kit.app.console import Said, Service, run


def told(
    monkeypatch: pytest.MonkeyPatch, *checks: Finding, clocks: tuple[ClockReading, ...] = (), args: tuple[str, ...] = ()
) -> Said:
    async def examine(*_: object) -> Examined:
        return Examined([*checks], compare(clocks))

    monkeypatch.setattr("kitestring.app.doctor.examine", examine)
    return run(command, *args)


def test_json_has_the_checks_and_each_clock_that_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    far, near = ClockReading("wss://a.example", "a.example", 3_599, 3_601), ClockReading("the node", "", -1, 1)
    said = told(monkeypatch, Finding("disk", FindingState.OK, "there is room"), clocks=(far, near), args=("--json",))
    assert said.json == {
        "checks": [{"name": "disk", "state": "ok", "message": "there is room"}],
        "clocks": [
            {"whose": "wss://a.example", "ahead_s": 3_600, "wrong": "unknown"},
            {"whose": "the node", "ahead_s": 0, "wrong": ""},
        ],
    }


def test_every_check_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said = told(
        monkeypatch,
        Finding("disk", FindingState.OK, "there is room"),
        Finding("macaroon", FindingState.WARN, "may do too much"),
    )
    assert (said.code, said.lines) == (0, ["ok    disk        there is room", "warn  macaroon    may do too much"])


def test_what_fails_ends_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        told(monkeypatch, Finding("disk", FindingState.FAIL, "full"), Finding("key", FindingState.OK, "there")).code
        == 1
    )


def test_everything_is_in_order_with_a_running_service(service: Service) -> None:
    checks = service.ok("doctor")["checks"]
    assert {check["name"] for check in checks} >= {"directory", "key", "disk", "sqlite", "service", "node", "relay"}
    assert {check["state"] for check in checks} <= {"ok", "info"}


def test_a_long_sentence_goes_on_below_its_beginning_and_no_line_is_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finding = Finding(
        "rates", FindingState.WARN, "nothing can be priced in EUR now: " + "a source does not answer; " * 9
    )
    assert len(told(monkeypatch, finding).lines) == 1
    monkeypatch.setattr("kitestring.app.cli.doctor.columns", lambda: 80)
    first, *more = told(monkeypatch, finding).lines
    assert first.startswith("warn  rates       nothing can be priced")
    assert more
    assert all(line[:18] == " " * 18 and len(line) <= 80 for line in more)
