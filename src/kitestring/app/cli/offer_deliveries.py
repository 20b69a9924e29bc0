"""``kitestring offer deliveries``: what webhooks were told, and what they were not."""

from __future__ import annotations

from typing import Any

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Whole, amount, table, when

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
    heads = ("paid", "offer", "amount", "state", "attempts", "last answer", "next", "delivery")
    rows = [_cells(row) for row in result["deliveries"]]
    empty = "nothing has failed" if failed else "no webhook was ever told of a payment"
    shell.show(result, table(rows, heads) if rows else empty)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        when(row["created_at"]),
        row["label"] or row["offer_id"],
        amount(row["amount_msat"]),
        row["state"],
        str(row["attempts"]),
        row["status"],
        when(row["next_at"]) if row["attempts"] else "",
        row["delivery"],
    )
