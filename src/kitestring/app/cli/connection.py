"""``kitestring connection``: one wallet connection that is there already."""

from __future__ import annotations

import click

from kitestring.app.cli.connect import show_link
from kitestring.app.cli.shell import Group, Shell, common, key_option


@click.group("connection", cls=Group)
def command() -> None:
    """One wallet connection: give it a new link."""


@command.command("relink")
@click.argument("name")
@key_option
@common
def relink(shell: Shell, name: str, key: str) -> None:
    """Give the connection NAME a new secret link, over the relays of today.

    The app that has the old link can do nothing here any more, at once: give it the new one. Budget, history and limits
    stay as they are. Payments that are under way still finish.
    """
    made = shell.call("connection_relink", {"name": name}, key)
    shell.note(f"the old link of {made['name']} has ended: its app can do nothing here until it has the new one")
    show_link(shell, made)
