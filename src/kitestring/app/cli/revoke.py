"""``kitestring revoke``: the end of a wallet connection."""

from __future__ import annotations

import click

from kitestring.app.cli.for_ever import agree_to_end, yes_option
from kitestring.app.cli.shell import Shell, common, key_option


@click.command("revoke")
@click.argument("name")
@yes_option
@key_option
@common
def command(shell: Shell, name: str, yes: bool, key: str) -> None:
    """End the wallet connection NAME forever. Payments that are under way still finish.

    In front of a real node you are asked first. `kitestring connection pause NAME` holds an app off for a while.
    """
    agree_to_end(shell, f"the connection {name}", "its app needs another link to come back", yes=yes)
    result = shell.call("revoke", {"name": name}, key)
    shell.show(result, f"{result['name']} is revoked: the app can do nothing here any more")
