"""``kitestring revoke``: the end of a wallet connection."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common, key_option


@click.command("revoke")
@click.argument("name")
@key_option
@common
def command(shell: Shell, name: str, key: str) -> None:
    """End the wallet connection NAME for ever. Payments that are under way still finish."""
    result = shell.call("revoke", {"name": name}, key)
    shell.show(result, f"{result['name']} is revoked: the app can do nothing here any more")
