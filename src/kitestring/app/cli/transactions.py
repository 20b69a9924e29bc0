"""``kitestring transactions``: what came and went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.at_wallet import refuse_encryption, refuse_given, wallet_options
from kitestring.app.cli.columns import Column, fitted, times
from kitestring.app.cli.shell import Shell, common, person_looks
from kitestring.app.cli.values import PastType, Whole, amount, owners_zone, short_key, when
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

#: Of a payment hash in a row: enough for `transaction show`.
HASH_CHARS: Final = 8
#: Rows that are asked for at once where all are wanted.
CSV_PAGE: Final = 1_000
#: The word typed for a state, where it is not the word of the answer.
_TYPED: Final = {"held": "accepted"}
STATES: Final = ("settled", "pending", "failed", "expired", "canceled", "held", "unknown", "resolved")
#: Who asks for both gets both.
_DIRECTIONS: Final = {(True, False): "incoming", (False, True): "outgoing"}
#: What only the running service knows of its own books.
_OWN: Final = {
    "account": "--account", "connection": "--connection", "offer": "--offer", "search": "--search",
    "states": "--state", "after": "--after",
}  # fmt: skip


@click.command("transactions")
@click.option("--limit", type=Whole(1, 1_000), default=20, metavar="N", help="How many (default: 20, at most 1000).")
@click.option("--offset", type=Whole(0, 10_000), default=0, metavar="N", help="How many of the newest to leave out.")
@click.option("--after", default="", metavar="NEXT", help="Go on behind a page, by the `next` of its --json answer.")
@click.option("--in", "incoming", is_flag=True, help="Incoming ones only (with --out both).")
@click.option("--out", "outgoing", is_flag=True, help="Outgoing ones only (with --in both).")
@click.option("--unpaid", is_flag=True, help="Also those that are open, failed or expired.")
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True,
    help="Those in this state alone; may be repeated (default: settled).",
)  # fmt: skip
@click.option(
    "--since", type=PastType(), default=0, metavar="WHEN",
    help="Those made since then: 24h, 30d, a day such as 2026-11-30 (in your `zone`), or Unix seconds.",
)  # fmt: skip
@click.option(
    "--until", type=PastType(whole_day=True), default=0, metavar="WHEN",
    help="Those made until then, in the same forms; a day counts to its end.",
)  # fmt: skip
@click.option("--account", default="", metavar="NAME", help="Those of one account (default: all).")
@click.option("--connection", default="", metavar="NAME", help="Those of one connection, also of one that has ended.")
@click.option("--offer", default="", metavar="NAME", help="What one offer was paid, also one that was deleted.")
@click.option(
    "--search", default="", metavar="TEXT",
    help="Those with this text in their description, in what the payer has told, or in why they failed. The newest "
    "5,000 are looked through at once.",
)  # fmt: skip
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV: all that match, or --limit of them; amounts in msat.")
@wallet_options("Those of this wallet")
@common
def command(
    shell: Shell, limit: int, offset: int, after: str, incoming: bool, outgoing: bool, unpaid: bool,
    states: tuple[str, ...], since: int, until: int, account: str, connection: str, offer: str, search: str,
    as_csv: bool, wallet: str | None, encryption: Encryption,
) -> None:  # fmt: skip
    """List payments in and out, the newest first, of the service or with --wallet of any wallet.

    The hash in a row is the beginning of the payment hash: `kitestring transaction show` takes it. A wallet may list
    fewer at once than are asked for: --offset shows the others. A node that is asked directly lists first what it has
    paid, and tells no times of that.
    """
    if until and since > until:
        raise KitestringError(Reason.MALFORMED, "--since is later than --until: exchange them")
    if as_csv and shell.as_json:
        raise KitestringError(Reason.MALFORMED, "--csv and --json are two forms of one answer: choose one")
    page: dict[str, Any] = {
        "limit": limit, "offset": offset, "direction": _DIRECTIONS.get((incoming, outgoing), ""), "unpaid": unpaid,
        "since": since, "until": until,
    }  # fmt: skip
    if wallet is not None:
        from kitestring.app.cli.wallet_books import listed_by

        for name, option in _OWN.items():
            refuse_given(name, f"{option} is one of the running service: leave it out with --wallet")
        refuse_given("as_csv", "--csv is written of the running service's books: leave it out with --wallet")
        show_wallet(shell, listed_by(shell, wallet, encryption, **page))
        return
    refuse_encryption(encryption)
    page |= {
        "states": [_TYPED.get(state, state) for state in states], "account": account, "connection": connection,
        "offer": offer, "search": search, "after": after,
    }  # fmt: skip
    if as_csv:
        everything = click.get_current_context().get_parameter_source("limit") is click.core.ParameterSource.DEFAULT
        _write_csv(shell, page, everything=everything)
    else:
        _show(shell, page)


def _show(shell: Shell, page: dict[str, Any]) -> None:
    result = shell.read("transactions", page)
    rows = result["transactions"]
    shell.show(result, fitted(rows, (_when(rows), *COLUMNS)) if rows else _none(result, page))
    if result["searched_back_to_at"] is not None:
        shell.note(
            f"not all was looked through, only back to {when(result['searched_back_to_at'])}; to go on:"
            f" --after {result['next']}"
        )
    elif result["next"] and person_looks():
        shell.note(f"there are more: --after {result['next']}")


def _none(result: dict[str, Any], page: dict[str, Any]) -> str:
    """Say why the list is empty."""
    if page["offset"] and result["total"]:
        return f"no more; there are {result['total']:,}"
    if any(value for name, value in page.items() if name not in ("limit", "offset", "unpaid")):
        return "no such transactions"
    return "no transactions" if page["unpaid"] else f"no transactions; {_UNPAID_TOO}"


_UNPAID_TOO: Final = "--unpaid lists those too that are open, failed or expired"


# ------------------------------------------------------------ for people


def show_wallet(shell: Shell, result: dict[str, Any]) -> None:
    """Show the list of a wallet, which has no accounts of ours."""
    rows = result["transactions"]
    shell.show(result, fitted(rows, (_when(rows), *OF_WALLET)) if rows else "the wallet lists no such transactions")


def _when(rows: list[dict[str, Any]]) -> Column:
    return times("when", lambda row: row["settled_at"] or row["created_at"], rows)


def _amount(row: dict[str, Any]) -> str:
    return f"{'+' if row['type'] == 'incoming' else '-'}{amount(row['amount_msat'])}"


def _fee(row: dict[str, Any]) -> str:
    """Both fees of what goes out; no wallet tells the service's own."""
    return "" if row["type"] == "incoming" else amount(row["fee_msat"] + row.get("service_fee_msat", 0))


def _state(row: dict[str, Any]) -> str:
    if row["state"] == "settled":
        return "received" if row["type"] == "incoming" else "paid"
    return "held" if row["state"] == "accepted" else str(row["state"])


def _about(row: dict[str, Any]) -> str:
    """The description; of what did not go well why, before it."""
    why = row["reason"] if row["state"] in ("failed", "resolved", "unknown") else ""
    if why and row["description"]:
        return f"{why} ({row['description']})"
    return str(why or row["description"] or "")


def _through(row: dict[str, Any]) -> str:
    """The connection or the offer that it belongs to."""
    return str(row["connection"] or row["offer"] or "")


def _key(row: dict[str, Any]) -> str:
    return short_key(row["npub"]) if row["npub"] else ""


def _charged_to(row: dict[str, Any]) -> str:
    return str(row["charged_to"] or "") if row["npub"] else ""


def _account(row: dict[str, Any]) -> str:
    return "" if row["account"] == "owner" else str(row["account"])


#: On a narrow terminal the direction goes first, which the sign of the amount tells too.
_MONEY: Final = (
    Column("", lambda row: "in" if row["type"] == "incoming" else "out", rank=8),
    Column("amount ", _amount),
    Column("fee ", _fee, rank=3),
    Column("state", _state),
)
COLUMNS: Final = (
    *_MONEY,
    Column("hash", lambda row: str(row["payment_hash"])[:HASH_CHARS], rank=1),
    Column("account", _account, rank=5, least=8, most=24),
    Column("through", _through, rank=4, least=8, most=24),
    Column("debit of", _key, rank=6),
    Column("charged to", _charged_to, rank=7, least=10, most=24),
    Column("about", _about, rank=2, least=11, most=64),
)
OF_WALLET: Final = (*_MONEY, Column("about", lambda row: str(row["description"] or ""), rank=2, least=11, most=64))


# ------------------------------------------------------------ for spreadsheets

#: In the order of the columns; times are written in ISO 8601.
CSV_FIELDS: Final = (
    "created_at", "settled_at", "type", "state", "amount_msat", "fee_msat", "service_fee_msat", "description",
    "account", "connection", "offer", "reason", "payment_hash", "connection_id", "offer_id", "price", "npub",
)  # fmt: skip


def _write_csv(shell: Shell, page: dict[str, Any], *, everything: bool) -> None:
    """Write the page, or page after page to the end, each as it comes."""
    from kitestring.app.cli.as_csv import csv_lines

    page = {**page, "limit": CSV_PAGE} if everything else page
    lines: list[tuple[str | int | None, ...]] = [CSV_FIELDS]
    while True:
        result = shell.read("transactions", page)
        lines += [tuple(_csv_cell(name, row[name]) for name in CSV_FIELDS) for row in result["transactions"]]
        if lines:
            shell.print_lines(csv_lines(lines))
        if not everything or result["next"] is None:
            return
        lines, page = [], {**page, "after": result["next"], "offset": 0}


def _csv_cell(name: str, value: str | int | None) -> str | int | None:
    if name.endswith("_at") and isinstance(value, int):
        from datetime import datetime, timedelta, timezone

        offset = timezone(timedelta(seconds=owners_zone().offset_s(value)))
        return datetime.fromtimestamp(value, offset).isoformat()
    return value
