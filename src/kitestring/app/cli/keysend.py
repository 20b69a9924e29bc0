"""``kitestring keysend``: pay the key of a node that has asked for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kitestring.app.cli.agree import agree_options, agree_to
from kitestring.app.cli.at_wallet import refuse_encryption, refuse_key, wallet_options
from kitestring.app.cli.pay import show_paid
from kitestring.app.cli.payers import call_to_pay
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Sats, msat
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.text import one_line

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
@agree_options
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
    yes: bool,
    dry_run: bool,
    key: str,
) -> None:
    """Pay AMOUNT_SAT to the node with the key PUBKEY, without an invoice.

    Each call is another payment: where the end of one is not known, look it up and do not call again. The preimage
    proves nothing to others, for it is the payer's own. Before real money moves you are asked; where nobody can answer,
    --yes is needed.
    """
    found = _read_records(records)
    if wallet is not None:
        from kitestring.app.cli.wallet import is_sandbox, keysend_from, named, read_secret

        refuse_key()
        uri = read_secret(shell, wallet)
        seen = _preview(pubkey, amount_sat, max_fee, message, f"the wallet {named(wallet)}", sandbox=is_sandbox(uri))
        if agree_to(shell, seen, is_real=not is_sandbox(uri), yes=yes, dry_run=dry_run):
            show_paid(shell, keysend_from(shell, wallet, uri, pubkey, amount_sat, max_fee, message, found, encryption))
        return
    refuse_encryption(encryption)
    params: dict[str, Any] = {"pubkey": pubkey, "amount_msat": msat(amount_sat)}
    if found:
        params["records"] = {str(number): value.hex() for number, value in found.items()}
    if message:
        params["message"] = message
    if max_fee is not None:
        params["max_fee_msat"] = msat(max_fee)
    if dry_run or not yes:
        at = shell.call("pay_preview", {})
        seen = _preview(pubkey, amount_sat, max_fee, message, "owner", sandbox=at["sandbox"], network=at["network"])
        if not agree_to(shell, seen, is_real=not at["sandbox"], yes=yes, dry_run=dry_run):
            return
    show_paid(shell, call_to_pay(shell, "keysend", params, key))


def _preview(
    pubkey: str, amount_sat: int, max_fee: int | None, message: str, source: str, *, sandbox: bool, network: str = ""
) -> dict[str, Any]:
    """Tell what is known of such a payment before it is made, by the names of that of an invoice."""
    return {
        "sandbox": sandbox,
        "network": network,
        "kind": "keysend",
        "payee": "a key, which has asked for nothing",
        "payee_key": one_line(pubkey, 66),
        "amount_msat": msat(amount_sat),
        "fee_cap_msat": None if max_fee is None else msat(max_fee),
        "description": one_line(message) or None,
        "paid_from": source,
        "already_paid": False,
    }


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
