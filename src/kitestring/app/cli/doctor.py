"""``kitestring doctor``: is everything in order?"""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.base.errors import Exit
from kitestring.base.node import FindingState


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
    shell.show(result, "\n".join(f"{c.state.ljust(4)}  {c.name.ljust(10)}  {c.sentence}" for c in checks))
    return Exit.INTERNAL if any(c.state is FindingState.FAIL for c in checks) else Exit.OK
