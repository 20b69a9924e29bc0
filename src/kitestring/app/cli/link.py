"""``kitestring link``: the secret link of a connection that no app has used yet."""

from __future__ import annotations

import click

from kitestring.app.cli.connect import show_link
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option


@click.command("link")
@click.argument("name")
@qr_options
@key_option
@common
def command(shell: Shell, name: str, key: str, qr: Qr) -> None:
    """Show the secret link of the connection NAME again. Its first use ends that."""
    show_link(shell, shell.call("link", {"name": name}, key), qr)
