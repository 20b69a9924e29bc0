"""``kitestring balance``: what can be spent."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, facts


@click.command("balance")
@common
def command(shell: Shell) -> None:
    """Show what the service's own account can spend, and the sub-accounts."""
    result = shell.read("balance")
    own = (
        amount(result["balance_msat"])
        if result["balance_msat"] is not None
        else f"unknown: {result['unknown_because']}"
    )
    pairs = [(account["account"], amount(account["available_msat"])) for account in result["accounts"]]
    shell.show(result, facts([("owner", own), *pairs]))
