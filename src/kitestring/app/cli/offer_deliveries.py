"""``kitestring offer deliveries``: what webhooks were told, and what they were not."""

from __future__ import annotations

from typing import Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Whole, amount, when

#: As many as are listed at once.
MAX_ROWS = 1_000
DEFAULT_ROWS = 50


@click.command("deliveries")
@click.argument("offer", required=False)
@click.option("--failed", is_flag=True, help="Only those that were given up.")
@click.option(
    "--limit", type=Whole(1, MAX_ROWS), default=DEFAULT_ROWS, metavar="N",
    help=f"At most N, the newest (default: {DEFAULT_ROWS}).",
)  # fmt: skip
@common
def command(shell: Shell, offer: str | None, failed: bool, limit: int) -> None:
    """List what webhooks were told of payments.

    What they are to be told is there too, the newest first; of OFFER, or of all.
    """
    params: dict[str, object] = {"limit": limit, "failed": failed}
    if offer is not None:
        params["offer"] = offer
    result = shell.read("offer_deliveries", params)
    rows = result["deliveries"]
    empty = "nothing has failed" if failed else "no webhook was ever told of a payment"
    shell.show(result, fitted(rows, _COLUMNS) if rows else empty)


_COLUMNS: Final = (
    Column("paid", lambda row: when(row["created_at"]), rank=3),
    Column("offer", lambda row: row["label"] or row["offer_id"], rank=2, least=8),
    Column("amount", lambda row: amount(row["amount_msat"])),
    Column("state", lambda row: row["state"]),
    Column("attempts", lambda row: str(row["attempts"]), rank=4),
    Column("last answer", lambda row: row["status"], rank=1, least=11, most=80, is_always_there=True),
    Column("next", lambda row: when(row["next_at"]) if row["attempts"] else "", rank=5, is_always_there=True),
    Column("delivery", lambda row: row["delivery"]),
)
