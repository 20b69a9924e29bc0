"""``kitestring receive``: a link by which anybody can pay a wallet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.at_wallet import wallet_options
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Sats, amount, when

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("receive")
@click.argument("amount_sat", type=Sats(), required=False)
@wallet_options("To be paid to this wallet", required=True)
@click.option("--description", default="", help="What it is for; the payer sees it.")
@qr_options
@common
def command(
    shell: Shell, amount_sat: int | None, wallet: str, description: str, encryption: Encryption, qr: Qr
) -> None:
    """Make a link (BIP-321, bitcoin:?lightning=…) by which anybody can pay AMOUNT_SAT to a wallet.

    Without an amount the payer names it. A wallet that makes such links itself decides how long one lasts; of another
    it holds an invoice that lasts an hour.
    """
    from kitestring.app.cli.wallet import receive_by

    made = receive_by(shell, wallet, amount_sat, description, encryption)
    wanted = "what the payer names" if made["amount_msat"] is None else amount(made["amount_msat"])
    shell.note(f"a link for {wanted}, valid until {when(made['expires_at'])}:")
    qr.show(shell, made, made["bip321"])
