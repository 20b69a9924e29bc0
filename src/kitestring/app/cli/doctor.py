"""``kitestring doctor``: is everything in order?"""

from __future__ import annotations

from typing import Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import columns
from kitestring.base.errors import Exit
from kitestring.base.node import FindingState

#: On a terminal that leaves less for the sentence, its lines are folded as the terminal does it.
_LEAST_ROOM: Final = 20


@click.command("doctor")
@common
def command(shell: Shell) -> int:
    """Check the directory, the service, the node, the relays and the clock; the exit code is 1 when something fails."""
    import asyncio

    from kitestring.app.doctor import examine

    shell.note_waiting("looking at the service, the node and the relays; who does not answer takes some seconds …")
    checks, clocks = asyncio.run(examine(shell.config, shell.home))
    result = {
        "checks": [{"name": c.name, "state": c.state.value, "message": c.sentence} for c in checks],
        "clocks": [{"whose": c.whose, "ahead_s": c.ahead_s, "wrong": wrong.value} for c, wrong in clocks.sides],
    }
    shell.show(result, "\n".join(_line(c.state.value, c.name, c.sentence) for c in checks))
    return Exit.INTERNAL if any(c.state is FindingState.FAIL for c in checks) else Exit.OK


def _line(state: str, name: str, sentence: str) -> str:
    """One finding; what is longer than the terminal is wide goes on below its beginning."""
    from textwrap import wrap

    begin = f"{state.ljust(4)}  {name.ljust(10)}  "
    room = max(columns() - len(begin), _LEAST_ROOM)
    return begin + f"\n{' ' * len(begin)}".join(wrap(sentence, room, break_long_words=False, break_on_hyphens=False))
