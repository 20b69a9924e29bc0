"""Blocked keys as a table, whole: they are typed again to unblock them."""

from __future__ import annotations

from kitestring.app.cli.blocked import command
from kitestring.app.cli.values import when
from tests.kit.app.console import Service, run
from tests.kit.app.questions import NPUB


def test_blocked_keys_are_listed_with_the_owners_note() -> None:
    row = {"caller": "79" * 32, "npub": NPUB, "blocked_at": 60, "note": "spam"}
    said = run(command, answer={"blocked": [row]})
    assert said.asked == [("blocked", None)]
    assert said.lines[1] == f"{when(60)}  {NPUB}  spam"


def test_a_new_service_blocks_nobody(service: Service) -> None:
    assert service.ok("blocked") == {"blocked": []}
    assert "deny ID --block" in service.run("blocked").stdout
