"""``kitestring resolve``: the operator's word about a payment that nobody can tell the end of."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common, key_option


@click.command("resolve")
@click.argument("payment_hash")
@click.argument("note")
@key_option
@common
def command(shell: Shell, payment_hash: str, note: str, key: str) -> None:
    """Release the money held for a payment of unknown outcome.

    NOTE says why and is kept. Only for payments that the node itself can say nothing about, after looking at the node.
    Should it settle later after all, the books follow, with an alarm.
    """
    result = shell.call("payment_resolve", {"payment": payment_hash, "note": note}, key)
    shell.show(result, f"payment {result['payment_hash']} is resolved: its reservation is released")
