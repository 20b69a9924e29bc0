"""The node and the counters of the service, as facts."""

from __future__ import annotations

from kitestring.app.cli.info import command
from tests.kit.app.console import run


def test_the_service_is_asked_and_its_answer_shown_as_facts() -> None:
    said = run(command, answer={"alias": "kite", "relays": ["ws://a", "ws://b"], "spent_msat": 21_000})
    assert said.asked == [("info", {}, "")]
    assert said.lines == ["alias   kite", "relays  ws://a, ws://b", "spent   21 sat"]
