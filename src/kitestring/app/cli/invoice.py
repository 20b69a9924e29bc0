"""``kitestring invoice``: ask to be paid."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Sats, Whole, amount, msat, when
from kitestring.base.commands import DEFAULT_EXPIRY_S, MAX_EXPIRY_S, MIN_EXPIRY_S


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
@key_option
@common
def command(shell: Shell, amount_sat: int, description: str, expiry: int, key: str) -> None:
    """Make an invoice for AMOUNT_SAT into the service's own account."""
    from kitestring.app.owner.params import DEFAULT_WAIT_S

    params = {"amount_msat": msat(amount_sat), "description": description, "expiry_s": expiry}
    made = shell.call("invoice", params, key, wait_s=DEFAULT_WAIT_S)
    shell.note(f"an invoice for {amount(made['amount_msat'])}, valid until {when(made['expires_at'])}:")
    shell.show(made, shell.code(made["bolt11"], drawn=made["bolt11"].upper()))
