"""The owner's no on the command line."""

from __future__ import annotations

from kitestring.app.cli.deny import command
from tests.kit.app.console import run
from tests.kit.app.questions import ENDED

WHO = "npub10xlxvlh…pkge6d"


def test_a_no_is_told_to_whoever_asked_and_blocks_nobody_by_itself() -> None:
    said = run(command, "c0ffee", "--version", "2", "--idempotency-key", "k", answer=ENDED)
    assert said.asked == [("deny", {"id": "c0ffee", "block": False, "note": "", "version": 2}, "k")]
    assert said.out == f"denied: {WHO} is told no, and may ask again\n"


def test_a_key_is_blocked_with_a_note() -> None:
    said = run(command, "c0ffee", "--block", "--note", "spam", "--idempotency-key", "k", answer=ENDED)
    assert said.asked == [("deny", {"id": "c0ffee", "block": True, "note": "spam"}, "k")]
    assert said.out == f"denied: {WHO} is told no, and is blocked; `kitestring blocked` lists such keys\n"
