"""``kitestring info``: the node behind the service, or behind any wallet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.at_wallet import refuse_encryption, wallet_options
from kitestring.app.cli.shell import Shell, common

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("info")
@wallet_options("Ask this wallet")
@common
def command(shell: Shell, wallet: str | None, encryption: Encryption) -> None:
    """Show the node behind the service, and the service's own counters.

    With --wallet show the node behind any wallet, and the methods that a connection may use.
    """
    from kitestring.app.cli.from_row import for_people

    if wallet is not None:
        from kitestring.app.cli.wallet_books import info_of

        result = info_of(shell, wallet, encryption)
    else:
        refuse_encryption(encryption)
        result = shell.call("info", {})
    shell.show(result, for_people(result))
