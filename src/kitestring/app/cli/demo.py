"""``kitestring demo``: the whole story, played on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.base.errors import Exit
from kitestring.base.text import clean

#: Of what is said, in a row of 80 columns; all of it is shown with --wire, and with --json.
SHOWN_CHARS: Final = 48
#: Columns of who writes to whom.
WAY_CHARS: Final = 25

if TYPE_CHECKING:
    from kitestring.app.demo_words import WireLine
    from kitestring.nostr.event import Event


@click.command("demo")
@click.option("--wire", is_flag=True, help="Print every event as it goes over the wire, with what is inside.")
@common
def command(shell: Shell, wire: bool) -> int:
    """Play the whole story: an offer is paid, an app pays, a budget refuses, a crash loses nothing.

    Everything runs on this machine with simulated money, in a directory that is deleted afterwards. With --json each
    step is one line, and what goes over the wire is in it.
    """
    import asyncio
    import tempfile

    from kitestring.app.demo import Demo

    with tempfile.TemporaryDirectory(prefix="kitestring-demo-") as home:
        ending = asyncio.run(Demo(Path(home), Printer(shell, wire)).play())
    summary = f"{ending.events} events went over the relay, {ending.forged} of them forged"
    result = {
        "good": ending.good,
        "events": ending.events,
        "forged": ending.forged,
        "violations": list(ending.violations),
        "killed_pid": ending.killed_pid,
    }
    shell.show(result, f"\n{'Nothing was lost or paid twice' if ending.good else 'This should not happen'}; {summary}.")
    return Exit.OK if ending.good else Exit.INTERNAL


class Printer:
    """The audience at a terminal, or one JSON line per happening."""

    def __init__(self, shell: Shell, wire: bool = False) -> None:
        self._shell = shell
        self._wire = wire
        self._scenes = 0

    def scene(self, title: str) -> None:
        self._scenes += 1
        between = "\n" if self._scenes > 1 else ""
        self._print({"scene": self._scenes, "title": title}, f"{between}{self._scenes}. {title}")

    def tell(self, text: str) -> None:
        self._print({"scene": self._scenes, "text": text}, f"   {text}")

    def wire(self, line: WireLine, event: Event, plaintext: str) -> None:
        """An event. What is announced to everybody is left out, unless the whole wire is to be seen."""
        import msgspec

        value = {"scene": self._scenes, "wire": line.name, "event": msgspec.to_builtins(event), "plaintext": plaintext}
        if self._wire or self._shell.as_json:
            text = f"   ~ {line.name}: {plaintext}\n     {msgspec.json.encode(event).decode()}"
            self._print(value, text)
        elif line.sentence:
            arrow = "←" if line.answers else "→"
            way = f"{line.who} {arrow} relay {arrow} service"
            self._print(value, f"   {way:{WAY_CHARS}} {clean(line.sentence, SHOWN_CHARS)}")

    def _print(self, value: dict[str, object], text: str) -> None:
        self._shell.show(value, text)
