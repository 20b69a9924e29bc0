"""``kitestring invoice``: ask to be paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.at_wallet import refuse_encryption, refuse_key, wallet_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Sats, Whole, amount, msat, when
from kitestring.base.commands import DEFAULT_EXPIRY_S, MAX_EXPIRY_S, MIN_EXPIRY_S

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("invoice")
@click.argument("amount_sat", type=Sats())
@click.option("--description", default="", help="What it is for; the payer sees it.")
@click.option(
    "--expiry",
    type=Whole(MIN_EXPIRY_S, MAX_EXPIRY_S),
    default=DEFAULT_EXPIRY_S,
    metavar="S",
    help=f"Seconds it is valid, {MIN_EXPIRY_S} to {MAX_EXPIRY_S} (default: {DEFAULT_EXPIRY_S}).",
)
@wallet_options("To be paid to this wallet")
@key_option
@common
def command(
    shell: Shell, amount_sat: int, description: str, expiry: int, wallet: str | None, encryption: Encryption, key: str
) -> None:
    """Make an invoice for AMOUNT_SAT into the service's own account, or with --wallet into any wallet."""
    if wallet is not None:
        from kitestring.app.cli.wallet_books import made_by

        refuse_key("make another invoice: one that nobody pays costs nothing")
        made = made_by(shell, wallet, amount_sat, description, expiry, encryption)
    else:
        from kitestring.app.owner.params import DEFAULT_WAIT_S

        refuse_encryption(encryption)
        params = {"amount_msat": msat(amount_sat), "description": description, "expiry_s": expiry}
        made = shell.call("invoice", params, key, wait_s=DEFAULT_WAIT_S)
    shell.note(f"an invoice for {amount(made['amount_msat'])}, valid until {when(made['expires_at'])}:")
    shell.show(made, shell.code(made["bolt11"], drawn=made["bolt11"].upper()))
