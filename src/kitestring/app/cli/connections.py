"""``kitestring connections``: who may use this service as a wallet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from kitestring.app.cli.connect import EVERYTHING
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, budgets_of, table, when

#: Methods that are named in the list; of more than these it has the number, and `connection show` the names.
MAX_NAMED: Final = 1


@click.command("connections")
@common
def command(shell: Shell) -> None:
    """List the wallet connections that were not revoked."""
    result = shell.read("connections")
    rows = [tuple(cell(found) for _, cell in _COLUMNS) for found in result["connections"]]
    shown = [
        i for i, (head, _) in enumerate(_COLUMNS) if head not in _SELDOM or {row[i] for row in rows} - _SELDOM[head]
    ]
    rows = [tuple(row[i] for i in shown) for row in rows]
    heads = tuple(_COLUMNS[i][0] for i in shown)
    empty = "no connections yet; make one with: kitestring connect NAME --budget 5000/day"
    unused = [found["name"] for found in result["connections"] if not found["used"]]
    shell.show(result, table(rows, tuple(heads)) if rows else empty)
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


#: Heads, and what stands below them of each connection.
_COLUMNS: Final[tuple[tuple[str, Callable[[dict[str, Any]], str]], ...]] = (
    ("name", lambda found: found["name"]),
    ("account", lambda found: found["account"]),
    ("state", lambda found: found["state"]),
    ("budget", budgets_of),
    ("left ", lambda found: amount(found["left_msat"])),
    ("expires", lambda found: when(found["expires_at"])),
    ("last used", lambda found: when(found["last_used_at"])),
    ("open", lambda found: _open(found["open_payments"], found["open_invoices"])),
    ("may", _may),
)
#: Columns that are left out while all rows say this: without them a row fits into 80 characters.
_SELDOM: Final = {"account": {"owner"}, "state": {"active"}, "expires": {"–"}, "open": {"–"}}
