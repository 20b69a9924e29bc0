"""``kitestring transaction show``: all facts of one payment or invoice of the service."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, facts, when

_WAYS: Final = {"incoming": "received", "outgoing": "paid"}


@click.command("show")
@click.argument("payment_hash", metavar="HASH")
@click.option("--preimage", is_flag=True, help="Show the preimage too, which proves the payment.")
@common
def command(shell: Shell, payment_hash: str, preimage: bool) -> None:
    """Show one payment or invoice by its payment HASH.

    The first 8 digits are enough, where no other hash begins so. --json has the preimage always.
    """
    result = shell.read("transaction_show", {"payment_hash": payment_hash})
    shown = [result, *result["others"]]
    shell.show(result, "\n\n".join(facts(_facts(one, preimage=preimage)) for one in shown))


def _facts(row: dict[str, Any], *, preimage: bool) -> list[tuple[str, Any]]:
    outgoing = row["type"] == "outgoing"
    state = _WAYS[row["type"]] if row["state"] == "settled" else {"accepted": "held"}.get(row["state"], row["state"])
    return [
        ("payment hash", row["payment_hash"]),
        ("direction", "out" if outgoing else "in"),
        ("state", state),
        ("reason", row["reason"]),
        ("amount", amount(row["amount_msat"])),
        ("routing fee", amount(row["fee_msat"]) if outgoing else ""),
        ("service fee", amount(row["service_fee_msat"]) if row["service_fee_msat"] else ""),
        ("price", row["price"]),
        ("made", when(row["created_at"])),
        ("settled", when(row["settled_at"]) if row["settled_at"] is not None else ""),
        ("expires", when(row["expires_at"]) if row["expires_at"] is not None else ""),
        ("account", row["account"]),
        ("connection", _named(row["connection"], row["connection_id"]) if row["connection"] else ""),
        ("offer", _named(row["offer"], row["offer_id"]) if row["offer_id"] else ""),
        ("debit of", row["npub"]),
        ("charged to", row["charged_to"] if row["npub"] else None),
        ("description", row["description"]),
        ("payer data", ", ".join(f"{name}: {told}" for name, told in (row["payer_data"] or {}).items())),
        ("inside", "yes, between two accounts of this service" if row["internal"] else ""),
        ("preimage", row["preimage"] if preimage else ""),
    ]


def _named(name: str | None, id_: str) -> str:
    return f"{name} ({id_})" if name else id_
