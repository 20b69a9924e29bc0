"""The demonstration tells the truth: its events are genuine, its crash is one, its books are right."""

from __future__ import annotations

import os
from pathlib import Path

from kitestring.app.demo import Demo
from kitestring.app.demo_words import WireLine
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, verify_event


class Notes:
    """An audience that writes everything down."""

    def __init__(self) -> None:
        self.scenes: list[str] = []
        self.texts: list[str] = []
        self.events: list[tuple[Event, str]] = []
        self.lines: list[WireLine] = []

    def scene(self, title: str) -> None:
        self.scenes.append(title)

    def tell(self, text: str) -> None:
        self.texts.append(text)

    def wire(self, line: WireLine, event: Event, plaintext: str) -> None:
        assert line.name
        self.lines.append(line)
        self.events.append((event, plaintext))


async def test_the_whole_story_is_played_and_the_books_are_right(tmp_path: Path) -> None:
    notes = Notes()
    ending = await Demo(tmp_path / "home", notes).play()
    assert ending.good
    assert ending.violations == ()
    assert len(notes.scenes) == 6
    assert all(verify_event(event) for event, _ in notes.events)
    said = [(event.kind, plaintext) for event, plaintext in notes.events]
    assert sum(kind == kinds.OFFER for kind, _ in said) == 3
    assert any("QUOTA_EXCEEDED" in text for kind, text in said if kind == kinds.NWC_RESPONSE)
    requests = {event.id: text for event, text in notes.events if event.kind == kinds.NWC_REQUEST}
    assert len(requests) == sum(kind == kinds.NWC_REQUEST for kind, _ in said), "nothing was asked twice"
    assert sum('"pay_invoice"' in text for text in requests.values()) == 3

    said_about_money = [line for line in notes.lines if line.sentence]
    assert [line.answers for line in said_about_money] == [False, True, True, *[False, True] * 3]
    assert any(f"process {ending.killed_pid}; the relay" in text for text in notes.texts)
    assert any(f"SIGKILL of process {ending.killed_pid}" in text for text in notes.texts)
    assert ending.killed_pid != os.getpid()
