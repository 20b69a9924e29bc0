"""``kitestring sign-message``: a text, signed with the key of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.pay import refuse_encryption
from kitestring.app.cli.shell import Shell, common

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("sign-message")
@click.argument("message")
@click.option("--wallet", metavar="URI", help="Ask this wallet: env:NAME, file:PATH, - (standard input), or a link.")
@click.option(
    "--encryption",
    type=click.Choice(["auto", "nip44", "legacy"]),
    default="auto",
    help="legacy is for a wallet that knows NIP-04 only and does not say so (default: auto).",
)
@common
def command(shell: Shell, message: str, wallet: str | None, encryption: Encryption) -> None:
    """Sign MESSAGE with the key of the running service's node, or of the node behind any wallet connection.

    Whoever has the message and the signature can tell which node has signed (`lncli verifymessage`).
    """
    if wallet is not None:
        from kitestring.app.cli.wallet import signed_by

        result = signed_by(shell, wallet, message, encryption)
    else:
        refuse_encryption(encryption)
        result = shell.call("sign_message", {"message": message})
    shell.show(result, result["signature"])
