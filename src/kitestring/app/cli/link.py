"""``kitestring link``: the secret link of a connection that no app has used yet."""

from __future__ import annotations

import click

from kitestring.app.cli.connect import show_link
from kitestring.app.cli.shell import Shell, common, key_option


@click.command("link")
@click.argument("name")
@key_option
@common
def command(shell: Shell, name: str, key: str) -> None:
    """Show the secret link of the connection NAME again. Its first use ends that."""
    show_link(shell, shell.call("link", {"name": name}, key))
