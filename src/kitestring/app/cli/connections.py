"""``kitestring connections``: who may use this service as a wallet."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import budgets_of, table, when


@click.command("connections")
@common
def command(shell: Shell) -> None:
    """List the wallet connections that were not revoked."""
    result = shell.read("connections")
    rows = [
        (
            found["name"],
            found["account"],
            budgets_of(found),
            when(found["expires_at"]),
            when(found["last_used_at"]),
            _open(found["open_payments"], found["open_invoices"]),
            " ".join(found["methods"]),
        )
        for found in result["connections"]
    ]
    empty = "no connections yet; make one with: kitestring connect NAME --budget 5000/day"
    unused = [found["name"] for found in result["connections"] if not found["used"]]
    shell.show(
        result, table(rows, ("name", "account", "budget", "expires", "last used", "open", "may")) if rows else empty
    )
    if unused:
        shell.note(f"not used yet: {', '.join(unused)}; `kitestring link NAME` shows the link again")
    old = [found["name"] for found in result["connections"] if found["old_relays"]]
    if old:
        shell.note(
            f"the links of these name a relay that you have left, and that is served for them: {', '.join(old)}; "
            "`kitestring connection relink NAME` makes a new link"
        )


def _open(payments: int, invoices: int) -> str:
    """Payments under way and unpaid invoices."""
    parts = [f"{number} {way}" for number, way in ((payments, "out"), (invoices, "in")) if number]
    return ", ".join(parts) or "–"
