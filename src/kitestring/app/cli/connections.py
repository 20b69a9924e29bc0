"""``kitestring connections``: who may use this service as a wallet."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.connect import EVERYTHING
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, budgets_of, when

#: Methods that are named in the list; of more than these it has the number, and `connection show` the names.
MAX_NAMED: Final = 1


@click.command("connections")
@common
def command(shell: Shell) -> None:
    """List the wallet connections that were not revoked."""
    result = shell.read("connections")
    rows = result["connections"]
    shown = [one for one in _COLUMNS if one.head not in _SELDOM or set(map(one.cell, rows)) - _SELDOM[one.head]]
    empty = "no connections yet; make one with: kitestring connect NAME --budget 5000/day"
    unused = [found["name"] for found in result["connections"] if not found["used"]]
    shell.show(result, fitted(rows, shown) if rows else empty)
    if unused:
        shell.note(f"not used yet: {', '.join(unused)}; `kitestring link NAME` shows the link again")
    old = [found["name"] for found in result["connections"] if found["old_relays"]]
    if old:
        shell.note(
            f"the links of these name a relay that you have left, and that is served for them: {', '.join(old)}; "
            "`kitestring connection rotate NAME` makes a new link"
        )


def _may(found: dict[str, Any]) -> str:
    """The rights of a connection in a few words: by its preset, by one or two names, or by their number."""
    methods = found["methods"]
    if found["preset"] is not None:
        return EVERYTHING if found["preset"] == "full" else str(found["preset"])
    return ", ".join(methods) if len(methods) <= MAX_NAMED else f"{len(methods)} methods"


def _open(payments: int, invoices: int) -> str:
    """Payments under way and unpaid invoices."""
    parts = [f"{number} {way}" for number, way in ((payments, "out"), (invoices, "in")) if number]
    return ", ".join(parts) or "–"


_COLUMNS: Final = (
    Column("name", lambda found: found["name"], least=16),
    Column("account", lambda found: found["account"], rank=2, least=8, most=24),
    Column("state", lambda found: found["state"]),
    Column("budget", budgets_of, least=24, most=64),
    Column("left ", lambda found: amount(found["left_msat"]), rank=1),
    Column("expires", lambda found: when(found["expires_at"]), rank=4),
    Column("last used", lambda found: when(found["last_used_at"]), rank=5),
    Column("open", lambda found: _open(found["open_payments"], found["open_invoices"]), rank=6),
    Column("may", _may, rank=3, least=12),
)
#: Columns that are left out while all rows say this: without them more of a row has room.
_SELDOM: Final = {"account": {"owner"}, "state": {"active"}, "expires": {"–"}, "open": {"–"}}
