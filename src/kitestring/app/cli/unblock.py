"""``kitestring unblock``: let a key ask again."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common, key_option


@click.command("unblock")
@click.argument("key_to_unblock", metavar="KEY")
@key_option
@common
def command(shell: Shell, key_to_unblock: str, key: str) -> None:
    """Let the blocked KEY (npub1…, or 64 hex digits) ask again."""
    result = shell.call("unblock", {"key": key_to_unblock}, key)
    sentence = "may ask again" if result["unblocked"] else "is not blocked"
    shell.show(result, f"{result['npub']} {sentence}")
