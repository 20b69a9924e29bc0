"""``kitestring transactions``: what came and went."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Whole, amount, table, when
from kitestring.base.text import clean

#: Of a description, in a row of a terminal; all of it is in the JSON answer.
MAX_DESCRIPTION_CHARS: Final = 48
#: Who asks for both gets both.
_DIRECTIONS: Final = {(True, False): "incoming", (False, True): "outgoing"}


@click.command("transactions")
@click.option("--limit", type=Whole(1, 1_000), default=20, metavar="N", help="How many (default: 20, at most 1000).")
@click.option("--offset", type=Whole(0, 10_000), default=0, metavar="N", help="How many of the newest to leave out.")
@click.option("--in", "incoming", is_flag=True, help="Incoming ones only.")
@click.option("--out", "outgoing", is_flag=True, help="Outgoing ones only.")
@click.option("--unpaid", is_flag=True, help="Also those that are open, failed or expired.")
@click.option("--account", default="", metavar="NAME", help="Those of one account (default: all).")
@common
def command(shell: Shell, limit: int, offset: int, incoming: bool, outgoing: bool, unpaid: bool, account: str) -> None:
    """List payments in and out, the newest first."""
    params = {
        "limit": limit,
        "offset": offset,
        "direction": _DIRECTIONS.get((incoming, outgoing), ""),
        "unpaid": unpaid,
        "account": account,
    }
    result = shell.read("transactions", params)
    rows = [_row(found) for found in result["transactions"]]
    heads = ("when", "", "amount ", "fee ", "state", "account", "description")
    shell.show(result, table(rows, heads) if rows else "no transactions yet")


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    incoming = found["type"] == "incoming"
    return (
        when(found["settled_at"] or found["created_at"]),
        "in" if incoming else "out",
        f"{'+' if incoming else '-'}{amount(found['amount_msat'])}",
        "" if incoming else amount(found["fee_msat"]),
        "received"
        if incoming and found["state"] == "settled"
        else {"settled": "paid"}.get(found["state"], found["state"]),
        found["account"],
        clean(found["description"], MAX_DESCRIPTION_CHARS),
    )
