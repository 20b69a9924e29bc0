"""``kitestring invoice cancel``: take an invoice back before it expires."""

from __future__ import annotations

import click

from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import amount

_ENDED = {"canceled": "cancelled", "expired": "it had expired already"}


@click.command("cancel")
@click.argument("invoice", metavar="HASH|INVOICE")
@key_option
@common
def command(shell: Shell, invoice: str, key: str) -> None:
    """Let nobody pay an open invoice of the service any more. It may be that of an app or of an offer.

    It ends when the node says so. If somebody was faster, it is paid and credited, and this fails. Of the hash the
    first 8 digits are enough. A hold invoice is cancelled with `kitestring hold cancel`.
    """
    from kitestring.app.owner.params import DEFAULT_WAIT_S

    ended = shell.call("invoice_cancel", {"invoice": invoice}, key, wait_s=DEFAULT_WAIT_S)
    about = "" if ended["amount_msat"] is None else f" for {amount(ended['amount_msat'])}"
    shell.show(ended, f"{_ENDED[ended['state']]}: nobody can pay the invoice{about} any more")
