"""``kitestring invoice``: ask to be paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.at_wallet import refuse_encryption, refuse_given, refuse_key, wallet_options
from kitestring.app.cli.on_paid import HELP, OnPaid
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Sats, Whole, amount, msat, when
from kitestring.base.commands import DEFAULT_EXPIRY_S, MAX_EXPIRY_S, MIN_EXPIRY_S
from kitestring.base.errors import Exit, KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

#: The ledger books an invoice with what it is for; an offer is paid what its payer names.
_NO_AMOUNT: Final = (
    "name AMOUNT_SAT: the service makes invoices with an amount only; what a payer may name it takes by an offer "
    "(`kitestring offer create LABEL`)"
)


@click.command("invoice")
@click.argument("amount_sat", type=Sats(), required=False)
@click.option("--description", default="", help="What it is for; the payer sees it.")
@click.option(
    "--expiry",
    type=Whole(MIN_EXPIRY_S, MAX_EXPIRY_S),
    default=DEFAULT_EXPIRY_S,
    metavar="S",
    help=f"Seconds it is valid, {MIN_EXPIRY_S} to {MAX_EXPIRY_S} (default: {DEFAULT_EXPIRY_S}).",
)
@click.option("--wait", is_flag=True, help="Wait until it is paid (exit code 0) or has expired (exit code 3).")
@click.option("--on-paid", metavar="CMD", default="", help=HELP)
@click.option("--account", default="owner", metavar="NAME", help="The account that is paid (default: the node itself).")
@wallet_options("To be paid to this wallet")
@qr_options
@key_option
@common
def command(
    shell: Shell, amount_sat: int | None, description: str, expiry: int, wait: bool, on_paid: str, account: str,
    wallet: str | None, encryption: Encryption, key: str, qr: Qr,
) -> int:  # fmt: skip
    """Make an invoice for AMOUNT_SAT into the service's own account, or with --wallet into any wallet.

    A wallet can be asked without an amount: then the payer names it.

    With --wait it is shown first, and what became of it is told at its end; with --json that is a second line. That
    nobody has paid is told by the word of the node or the wallet alone; without it the exit code is 7.

    `kitestring invoice cancel` takes one back.
    """
    runs = OnPaid(shell, on_paid)
    if on_paid and not wait:
        raise KitestringError(Reason.MALFORMED, "--on-paid runs when the invoice is paid: wait for that with --wait")

    def show(made: dict[str, Any]) -> None:
        wanted = "what the payer names" if made["amount_msat"] is None else amount(made["amount_msat"])
        shell.note(f"an invoice for {wanted}, valid until {when(made['expires_at'])}:")
        qr.show(shell, made, made["bolt11"], held=made["bolt11"].upper())
        if wait:
            shell.note_waiting("waiting until it is paid; Ctrl-C ends the waiting, not the invoice …")

    if wallet is not None:
        refuse_given("account", "--account is one of the running service: leave it out with --wallet")
        refuse_key("make another invoice: one that nobody pays costs nothing")
        if wait:
            from kitestring.app.cli.wait_paid import at_wallet, tell_end

            return tell_end(shell, at_wallet(shell, wallet, amount_sat, description, expiry, encryption, show), runs)
        from kitestring.app.cli.wallet_books import made_by

        show(made_by(shell, wallet, amount_sat, description, expiry, encryption))
        return Exit.OK
    from kitestring.app.owner.params import DEFAULT_WAIT_S

    refuse_encryption(encryption)
    if amount_sat is None:
        raise click.UsageError(_NO_AMOUNT)
    params = {"amount_msat": msat(amount_sat), "description": description, "expiry_s": expiry, "account": account}

    def make() -> dict[str, Any]:
        made = shell.call("invoice", params, key, wait_s=DEFAULT_WAIT_S)
        show(made)
        return made

    if wait:
        from kitestring.app.cli.wait_paid import at_service, tell_end

        return tell_end(shell, at_service(shell, make), runs)
    make()
    return Exit.OK
