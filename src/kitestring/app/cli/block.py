"""``kitestring block``: refuse whatever a key asks for."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common, key_option


@click.command("block")
@click.argument("key_to_block", metavar="KEY")
@click.option("--note", default="", help="Why, for your own list.")
@key_option
@common
def command(shell: Shell, key_to_block: str, note: str, key: str) -> None:
    """Refuse whatever KEY (npub1…, or 64 hex digits) asks for from now on.

    It takes no debit any more, not even from an account of its own, and opens none. What it has stays; a wallet
    connection is ended with `kitestring revoke`.
    """
    result = shell.call("block", {"key": key_to_block, "note": note}, key)
    sentence = "is refused whatever it asks for" if result["blocked"] else "is blocked already"
    shell.show(result, f"{result['npub']} {sentence}; `kitestring unblock` lets it ask again")
