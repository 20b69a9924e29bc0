"""``kitestring blocked``: the keys that are refused whatever they ask for."""

from __future__ import annotations

from typing import Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import when


@click.command("blocked")
@common
def command(shell: Shell) -> None:
    """List the keys that are refused whatever they ask for."""
    result = shell.read("blocked")
    rows = result["blocked"]
    empty = "no key is blocked; `kitestring deny ID --block` blocks the one that asks"
    shell.show(result, fitted(rows, _COLUMNS) if rows else empty)


_COLUMNS: Final = (
    Column("since", lambda found: when(found["blocked_at"]), rank=1),
    Column("key", lambda found: found["npub"]),
    Column("your note", lambda found: found["note"], least=9, is_always_there=True),
)
