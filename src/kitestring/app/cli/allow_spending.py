"""``kitestring allow-spending``: the owner's word after a doubt."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.service.execute import Result


@click.command("allow-spending")
@click.option("--note", metavar="TEXT", help="Why you are sure; without it the books must agree with the node.")
@key_option
@common
def command(shell: Shell, note: str | None, key: str) -> None:
    """Let spending go on that was stopped by a doubt: a restored ledger, or a second service with the same key.

    Without a note only after a doubt about the ledger, and only if its books agree with the node's (`audit --node`).
    """
    result = shell.call("spending_allow", {"note": note} if note else {}, key)
    shell.show(result, _sentence(result))


def _sentence(result: Result) -> str:
    if result["spending_stopped"]:
        return f"spending is still stopped: {result['spending_stopped']}; `kitestring doctor` says what to do"
    return "spending is allowed again" if result["allowed"] else "spending was not stopped; nothing was changed"
