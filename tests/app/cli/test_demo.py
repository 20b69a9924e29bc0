"""The story at a terminal, or one JSON line per happening."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kitestring.app.cli.demo import Printer
from kitestring.app.cli.main import cli
from kitestring.app.demo import Ending
from kitestring.app.demo_words import WireLine
from tests.kit.transport.relays import note

EVENT = note(content="{}")


def play(ending: Ending, monkeypatch: pytest.MonkeyPatch, *args: str) -> tuple[int, str]:
    class Played:
        def __init__(self, home: Path, audience: Printer) -> None:
            self.home, self.audience = home, audience

        async def play(self) -> Ending:
            assert self.home.is_dir()
            self.audience.scene("An offer is paid")
            self.audience.tell("somebody pays")
            self.audience.wire(WireLine("announcement"), EVENT, "{}")
            self.audience.wire(WireLine("NWC request", "app", answers=False, sentence="pay_invoice"), EVENT, "x" * 200)
            self.audience.wire(WireLine("NWC response", "app", answers=True, sentence="y" * 200), EVENT, "{}")
            return ending

    monkeypatch.setattr("kitestring.app.demo.Demo", Played)
    done = CliRunner().invoke(cli, ["demo", *args])
    return done.exit_code, done.stdout


def ending(**changes: Any) -> Ending:
    return Ending(**{"events": 7, "forged": 0, "violations": (), "killed_pid": 42, **changes})


def test_people_see_who_writes_to_whom_in_lines_that_fit_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out = play(ending(), monkeypatch)
    assert code == 0
    assert out.startswith("1. An offer is paid\n   somebody pays\n   app → relay → service     pay_invoice\n")
    assert "   app ← relay ← service     yyy" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "announcement" not in out
    assert out.endswith("Nothing was lost or paid twice; 7 events went over the relay, 0 of them forged.\n")


def test_whoever_asks_for_the_wire_sees_every_event_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = play(ending(), monkeypatch, "--wire")
    assert "   ~ announcement: {}\n     {" in out
    assert f"   ~ NWC request: {'x' * 200}\n     {{" in out


def test_programs_get_one_line_per_happening_and_nothing_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out = play(ending(), monkeypatch, "--json")
    scene, told, _, wire, _, summary = [json.loads(line) for line in out.splitlines()]
    assert (code, scene, told["text"]) == (0, {"scene": 1, "title": "An offer is paid"}, "somebody pays")
    assert (wire["plaintext"], wire["event"]["id"]) == ("x" * 200, EVENT.id)
    assert (summary["good"], summary["killed_pid"]) == (True, 42)


@pytest.mark.parametrize("changes", [{"forged": 1}, {"violations": ("1 msat is missing",)}])
def test_a_story_that_goes_wrong_says_so_and_ends_with_code_1(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out = play(ending(**changes), monkeypatch)
    assert code == 1
    assert "This should not happen" in out
