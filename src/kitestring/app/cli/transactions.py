"""``kitestring transactions``: what came and went."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Whole, amount, short_key, table, when
from kitestring.base.text import clean

#: Of a description, in a row of a terminal; all of it is in the JSON answer.
MAX_DESCRIPTION_CHARS: Final = 48
#: Of the name of a grant.
MAX_NAME_CHARS: Final = 24
_HEADS: Final = ("when", "", "amount ", "fee ", "state", "account", "description")
#: Where one of them is of a connection: of which one.
_WITH_CONNECTIONS: Final = ("when", "", "amount ", "fee ", "state", "account", "connection", "description")
#: Where one of them is a debit: whose key has taken it, and what it is charged to, in place of the account.
_WITH_DEBITS: Final = ("when", "", "amount ", "fee ", "state", "debit of", "charged to", "description")
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
    rows: list[tuple[str, ...]] = [_row(found) for found in result["transactions"]]
    heads: tuple[str, ...] = _HEADS
    if any(found["npub"] for found in result["transactions"]):
        rows, heads = [_debit(found) for found in result["transactions"]], _WITH_DEBITS
    elif any(found["connection"] for found in result["transactions"]):
        rows, heads = [_of_connection(found) for found in result["transactions"]], _WITH_CONNECTIONS
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


def _of_connection(found: dict[str, Any]) -> tuple[str, ...]:
    *row, description = _row(found)
    return (*row, clean(found["connection"], MAX_NAME_CHARS), description)


def _debit(found: dict[str, Any]) -> tuple[str, ...]:
    *row, account, description = _row(found)
    key = short_key(found["npub"]) if found["npub"] else ""
    charged_to = clean(found["charged_to"], MAX_NAME_CHARS) if key else account
    return (*row, key, charged_to, description)
