"""``kitestring transactions``: what came and went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.at_wallet import refuse_encryption, refuse_given, wallet_options
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import PastType, Whole, amount, short_key, table, when
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.text import clean

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

#: Of a description, in a row of a terminal; all of it is in the JSON answer.
MAX_DESCRIPTION_CHARS: Final = 48
#: Of the name of a grant.
MAX_NAME_CHARS: Final = 24
_HEADS: Final = ("when", "", "amount ", "fee ", "state", "account", "description")
#: Of a wallet, which has no accounts of ours.
_OF_WALLET: Final = ("when", "", "amount ", "fee ", "state", "description")
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
@click.option(
    "--since", type=PastType(), default=0, metavar="WHEN",
    help="Those made since then: 24h, 30d, a day such as 2026-11-30 (UTC), or Unix seconds.",
)  # fmt: skip
@click.option(
    "--until", type=PastType(whole_day=True), default=0, metavar="WHEN",
    help="Those made until then, in the same forms; a day counts to its end.",
)  # fmt: skip
@click.option("--account", default="", metavar="NAME", help="Those of one account (default: all).")
@wallet_options("Those of this wallet")
@common
def command(
    shell: Shell, limit: int, offset: int, incoming: bool, outgoing: bool, unpaid: bool, since: int, until: int,
    account: str, wallet: str | None, encryption: Encryption,
) -> None:  # fmt: skip
    """List payments in and out, the newest first, of the service or with --wallet of any wallet.

    A wallet may list fewer at once than are asked for: --offset shows the others. A node that is asked directly lists
    first what it has paid, and tells no times of that.
    """
    if until and since > until:
        raise KitestringError(Reason.MALFORMED, "--since is later than --until: exchange them")
    page: dict[str, Any] = {
        "limit": limit, "offset": offset, "direction": _DIRECTIONS.get((incoming, outgoing), ""), "unpaid": unpaid,
        "since": since, "until": until,
    }  # fmt: skip
    if wallet is not None:
        from kitestring.app.cli.wallet_books import listed_by

        refuse_given("account", "--account is one of the running service: leave it out with --wallet")
        show_wallet(shell, listed_by(shell, wallet, encryption, **page))
        return
    refuse_encryption(encryption)
    result = shell.read("transactions", {**page, "account": account})
    rows: list[tuple[str, ...]] = [_row(found) for found in result["transactions"]]
    heads: tuple[str, ...] = _HEADS
    if any(found["npub"] for found in result["transactions"]):
        rows, heads = [_debit(found) for found in result["transactions"]], _WITH_DEBITS
    elif any(found["connection"] for found in result["transactions"]):
        rows, heads = [_of_connection(found) for found in result["transactions"]], _WITH_CONNECTIONS
    more = "" if unpaid else "; --unpaid lists those too that are open, failed or expired"
    shell.show(result, table(rows, heads) if rows else f"no transactions{more}")


def show_wallet(shell: Shell, result: dict[str, Any]) -> None:
    rows = [(*_money(found), _words(found)) for found in result["transactions"]]
    shell.show(result, table(rows, _OF_WALLET) if rows else "the wallet lists no such transactions")


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (*_money(found), found["account"], _words(found))


def _money(found: dict[str, Any]) -> tuple[str, ...]:
    incoming = found["type"] == "incoming"
    return (
        when(found["settled_at"] or found["created_at"]),
        "in" if incoming else "out",
        f"{'+' if incoming else '-'}{amount(found['amount_msat'])}",
        "" if incoming else amount(found["fee_msat"] + found.get("service_fee_msat", 0)),  # no wallet tells the second
        "received"
        if incoming and found["state"] == "settled"
        else {"settled": "paid"}.get(found["state"], found["state"]),
    )


def _words(found: dict[str, Any]) -> str:
    return clean(found["description"] or "", MAX_DESCRIPTION_CHARS)


def _of_connection(found: dict[str, Any]) -> tuple[str, ...]:
    *row, description = _row(found)
    return (*row, clean(found["connection"] or "", MAX_NAME_CHARS), description)


def _debit(found: dict[str, Any]) -> tuple[str, ...]:
    *row, account, description = _row(found)
    key = short_key(found["npub"]) if found["npub"] else ""
    charged_to = clean(found["charged_to"] or "", MAX_NAME_CHARS) if key else account
    return (*row, key, charged_to, description)
