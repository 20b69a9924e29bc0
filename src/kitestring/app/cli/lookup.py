"""``kitestring lookup``: one payment or invoice, at the service or at any wallet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from kitestring.app.cli.at_wallet import refuse_encryption, wallet_options
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.shell import Shell, common
from kitestring.base.errors import CodecError, KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

_HASH: Final = re.compile("[0-9A-Fa-f]{64}", re.ASCII)


@click.command("lookup")
@click.argument("payment", metavar="HASH", type=CodeType())
@wallet_options("Ask this wallet")
@common
def command(shell: Shell, payment: str, wallet: str | None, encryption: Encryption) -> None:
    """Show one payment or invoice, by its payment HASH of 64 hexadecimal digits, or by the invoice itself.

    The running service is asked, or with --wallet any wallet.
    """
    from kitestring.app.cli.from_row import for_people

    payment_hash = hash_of(payment)
    if wallet is not None:
        from kitestring.app.cli.wallet_books import found_by

        result = found_by(shell, wallet, payment_hash, encryption)
    else:
        refuse_encryption(encryption)
        result = shell.call("lookup", {"payment_hash": payment_hash})
    people = {name: value for name, value in result.items() if name != "rate"}  # "price" says it in words
    shell.show(result, for_people(people))


def hash_of(text: str) -> str:
    """The payment hash that was typed, or that of the invoice that was. Raises KitestringError."""
    if _HASH.fullmatch(text.strip()):
        return text.strip().lower()
    from kitestring.codec import bolt11
    from kitestring.codec.target import Target, candidates

    try:
        found = candidates(text)
        bare = next((one for kind, one in found if kind is Target.BOLT11), None)
        if bare is not None:
            return bolt11.decode(bare, recover=False).payment_hash
        why = f"not this ({found[0][0].value})"
    except CodecError as error:
        why = str(error)
    raise KitestringError(
        Reason.MALFORMED, f"a payment is looked up by its hash of 64 hexadecimal digits, or by its invoice: {why}"
    )
