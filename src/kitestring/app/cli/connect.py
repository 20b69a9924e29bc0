"""``kitestring connect``: a wallet connection for one app."""

from __future__ import annotations

from shlex import quote
from typing import Any

import click

from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import BudgetType, Moment, Sats, amount, budget, msat, when


@click.command("connect")
@click.argument("name")
@click.option("--budget", "limit", type=BudgetType(), metavar="SAT/PERIOD", help="Such as 5000/day, 5000/24h.")
@click.option("--methods", metavar="LIST", help="What it may do, separated by commas (default: everything).")
@click.option("--account", default="owner", metavar="NAME", help="The account it uses (default: the node itself).")
@click.option("--per-payment", type=Sats(), metavar="SAT", help="The most that one payment may cost with its fee.")
@click.option(
    "--max-fee", type=Sats(), metavar="SAT", help="The most that routing one may cost (default: fees.cap_ppm)."
)
@click.option("--expires", type=Moment(), metavar="WHEN", help="When it ends: 30d, 12h, or a day such as 2027-01-31.")
@click.option(
    "--encryption",
    type=click.Choice(["auto", "nip44", "legacy", "both"]),
    default="auto",
    help="legacy is for apps that know NIP-04 only, both for apps that go back to it (default: auto).",
)
@key_option
@common
def command(
    shell: Shell,
    name: str,
    limit: tuple[int, str, int] | None,
    methods: str | None,
    account: str,
    per_payment: int | None,
    max_fee: int | None,
    expires: int | None,
    encryption: str,
    key: str,
) -> None:
    """Make a wallet connection (NWC) and show its secret link, once.

    A connection that exists already is shown without the link.
    """
    params: dict[str, Any] = {"name": name, "account": account, "cipher": encryption, "expires_at": expires}
    if limit is not None:
        params |= {"budget_msat": msat(limit[0]), "period": limit[1], "length_s": limit[2]}
    if methods is not None:
        params["methods"] = methods.replace(",", " ").split()
    if per_payment is not None:
        params["per_payment_msat"] = msat(per_payment)
    if max_fee is not None:
        params["fee_cap_msat"] = msat(max_fee)
    made = shell.call("connect", params, key)
    if made["nwc_uri"] is None:
        again = f"kitestring revoke {quote(name)}"
        shell.note(f"{name} exists already. Its link was shown when it was made; for a new one: {again}")
        shell.show(made, describe(made))
        return
    shell.note(f"connection {describe(made)}\nkeep this link secret; it is not shown again:")
    shell.show(made, shell.code(made["nwc_uri"]))


def describe(connection: dict[str, Any]) -> str:
    """One connection in one line."""
    parts = [
        f"{connection['name']}: account {connection['account']}",
        budget(connection["budget_msat"], connection["period"], connection["length_s"]),
        "" if connection["per_payment_msat"] is None else f"at most {amount(connection['per_payment_msat'])} a payment",
        "" if connection["fee_cap_msat"] is None else f"fees of at most {amount(connection['fee_cap_msat'])} a payment",
        "" if connection["expires_at"] is None else f"until {when(connection['expires_at'])}",
        f"may {', '.join(connection['methods'])}",
        "" if connection["encryption"] == "auto" else f"encryption {connection['encryption']}",
    ]
    return "; ".join(filter(None, parts))
