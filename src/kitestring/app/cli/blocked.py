"""``kitestring blocked``: the keys that are refused whatever they ask for."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import table, when


@click.command("blocked")
@common
def command(shell: Shell) -> None:
    """List the keys that are refused whatever they ask for."""
    result = shell.read("blocked")
    rows = [(when(found["blocked_at"]), found["npub"], found["note"]) for found in result["blocked"]]
    empty = "no key is blocked; `kitestring deny ID --block` blocks the one that asks"
    shell.show(result, table(rows, ("since", "key", "your note")) if rows else empty)
