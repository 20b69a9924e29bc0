"""``kitestring sign-message``: a text, signed with the key of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.at_wallet import refuse_encryption, wallet_options
from kitestring.app.cli.shell import Shell, common

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("sign-message")
@click.argument("message")
@wallet_options("Ask this wallet")
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
