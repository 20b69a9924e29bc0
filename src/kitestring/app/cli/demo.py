"""``kitestring demo``: the whole story, played on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.base.errors import Exit

#: An invoice is longer than anybody reads; the event below it is whole, and so is everything with --json.
SHOWN_CHARS: Final = 110

if TYPE_CHECKING:
    from kitestring.nostr.event import Event


@click.command("demo")
@common
def command(shell: Shell) -> int:
    """Play the whole story: an offer is paid, an app pays, a budget refuses, a crash loses nothing.

    Everything runs on this machine with sandbox money, in a directory that is deleted afterwards. What goes over the
    wire is printed as it is.
    """
    import asyncio
    import tempfile

    from kitestring.app.demo import Demo

    with tempfile.TemporaryDirectory(prefix="kitestring-demo-") as home:
        ending = asyncio.run(Demo(Path(home), Printer(shell)).play())
    summary = f"{ending.events} events on the wire, {ending.forged} forged; {len(ending.violations)} violations"
    result = {
        "good": ending.good,
        "events": ending.events,
        "forged": ending.forged,
        "violations": list(ending.violations),
        "killed_pid": ending.killed_pid,
    }
    shell.show(result, f"\n{'That was the whole story' if ending.good else 'This should not happen'}: {summary}.")
    return Exit.OK if ending.good else Exit.INTERNAL


class Printer:
    """The audience at a terminal, or one JSON line per happening."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._scenes = 0

    def scene(self, title: str) -> None:
        self._scenes += 1
        self._print({"scene": self._scenes, "title": title}, f"\n{self._scenes}. {title}\n")

    def tell(self, text: str) -> None:
        self._print({"scene": self._scenes, "text": text}, f"   {text}")

    def wire(self, what: str, event: Event, plaintext: str) -> None:
        import msgspec

        value = {"scene": self._scenes, "wire": what, "event": msgspec.to_builtins(event), "plaintext": plaintext}
        said = plaintext if len(plaintext) <= SHOWN_CHARS else f"{plaintext[:SHOWN_CHARS]}…"
        self._print(value, f"   ~ {what}: {said}\n     {msgspec.json.encode(event).decode()}")

    def _print(self, value: dict[str, object], text: str) -> None:
        self._shell.show(value, text)
