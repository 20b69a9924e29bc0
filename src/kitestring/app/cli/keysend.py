"""``kitestring keysend``: pay the key of a node that has asked for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kitestring.app.cli.at_wallet import refuse_encryption, refuse_key, wallet_options
from kitestring.app.cli.pay import call_to_pay, show_paid
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Sats, msat
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("keysend")
@click.argument("pubkey")
@click.argument("amount_sat", type=Sats())
@click.option(
    "--tlv",
    "records",
    multiple=True,
    metavar="TYPE=HEX",
    help="A record that goes along, its type from 65536 on; may be given again.",
)
@click.option("--message", default="", help="Words to the payee, as record 34349334.")
@click.option("--max-fee", type=Sats(least=0), metavar="SAT", help="The most that routing may cost.")
@wallet_options("Pay from this wallet")
@key_option
@common
def command(
    shell: Shell,
    pubkey: str,
    amount_sat: int,
    records: tuple[str, ...],
    message: str,
    max_fee: int | None,
    wallet: str | None,
    encryption: Encryption,
    key: str,
) -> None:
    """Pay AMOUNT_SAT to the node with the key PUBKEY, without an invoice.

    Each call is another payment: where the end of one is not known, look it up and do not call again. The preimage
    proves nothing to others, for it is the payer's own.
    """
    found = _read_records(records)
    if wallet is not None:
        from kitestring.app.cli.wallet import keysend_from

        refuse_key()
        show_paid(shell, keysend_from(shell, wallet, pubkey, amount_sat, max_fee, message, found, encryption))
        return
    refuse_encryption(encryption)
    params: dict[str, Any] = {"pubkey": pubkey, "amount_msat": msat(amount_sat)}
    if found:
        params["records"] = {str(number): value.hex() for number, value in found.items()}
    if message:
        params["message"] = message
    if max_fee is not None:
        params["max_fee_msat"] = msat(max_fee)
    show_paid(shell, call_to_pay(shell, "keysend", params, key))


def _read_records(texts: tuple[str, ...]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for text in texts:
        number, equals, value = text.partition("=")
        try:
            kind, read = int(number), bytes.fromhex(value)
        except ValueError:
            equals = ""
        if not equals or kind in found:
            raise KitestringError(Reason.MALFORMED, f"write --tlv TYPE=HEX, each type once, and not {text[:40]!r}")
        found[kind] = read
    return found
