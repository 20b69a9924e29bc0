"""``kitestring debit subscriptions``: what is charged from here, and the end of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, msat, when
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.subscription_store import SubscriptionRow, SubscriptionStore


@click.command("subscriptions")
@click.option("--cancel", metavar="ID", help="End this one: nothing is charged any more.")
@common
def command(shell: Shell, cancel: str | None) -> None:
    """List your subscriptions, or end one of them.

    They are what `kitestring debit subscribe` charges from this data directory. What a service has granted stays
    granted; its owner can take it back there.
    """
    from kitestring.sdk.subscription_store import FILE_NAME, FOLDER, SubscriptionStore

    home = shell.config.data_dir
    if not (home / FOLDER / FILE_NAME).exists():
        if cancel is not None:
            raise KitestringError(Reason.UNKNOWN_TARGET, f"there is no subscription {cancel}")
        _show(shell, [])
        return
    with SubscriptionStore(home) as store:
        if cancel is None:
            _show(shell, [_row(store, row) for row in store.subscriptions()])
            return
        ended = _row(store, store.cancel(cancel, int(time.time())))
    open_words = f"; {ended['open']} invoices may still be paid" if ended["open"] else ""
    shell.show(ended, f"{cancel} is cancelled: nothing is charged any more{open_words}")


def _row(store: SubscriptionStore, row: SubscriptionRow) -> dict[str, Any]:
    from kitestring.sdk.subscriptions import paid_until

    paid = store.paid_charges(row.subscription_id)
    return {
        "subscription_id": row.subscription_id,
        "name": row.name or None,
        "amount_msat": msat(row.amount_sats),
        "every": row.every,
        "ndebit": row.ndebit,
        "created_at": row.made_at,
        "begun_at": row.begun_at,
        "has_budget": row.has_budget,
        "charges": len(paid),
        "paid_until": paid_until(row, paid),
        "open": len(store.open_charges(row.subscription_id)),
        "cancelled_at": row.cancelled_at,
    }


def _show(shell: Shell, rows: list[dict[str, Any]]) -> None:
    empty = "no subscriptions; make one with: kitestring debit subscribe NDEBIT 500/month"
    shell.show({"subscriptions": rows}, fitted(rows, _COLUMNS) if rows else empty)


def _state(row: dict[str, Any]) -> str:
    if row["cancelled_at"] is not None:
        return f"cancelled {when(row['cancelled_at'])}"
    if not row["has_budget"]:
        return "no budget yet" if row["begun_at"] is None else "its budget is over"
    return f"{row['open']} not decided" if row["open"] else "runs"


_COLUMNS: Final = (
    Column("id", lambda row: row["subscription_id"]),
    Column("name", lambda row: row["name"], rank=1, least=8),
    Column("amount", lambda row: f"{amount(row['amount_msat'])} per {row['every']}"),
    Column("charges ", lambda row: str(row["charges"]), rank=3),
    Column("paid until", lambda row: when(row["paid_until"]), rank=2),
    Column("state", _state, least=10),
)
