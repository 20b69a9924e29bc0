"""``kitestring pay``: from the service's own node, or from any wallet connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kitestring.app.cli.at_wallet import refuse_encryption, refuse_key, wallet_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Sats, amount, when
from kitestring.app.cli.wish import Wish, data_option, fulfil, max_option
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("pay")
@click.argument("target")
@click.argument("amount_sat", type=Sats(), required=False)
@max_option
@click.option("--max-fee", type=Sats(least=0), metavar="SAT", help="The most that routing may cost.")
@wallet_options("Pay from this wallet")
@click.option("--description", default="", help="A word to the payee of an offer.")
@data_option
@click.option("--nip69", is_flag=True, help="Ask an offer in the form of 2024, for services that know no other.")
@key_option
@common
def command(
    shell: Shell,
    target: str,
    amount_sat: int | None,
    max_sat: int | None,
    max_fee: int | None,
    wallet: str | None,
    encryption: Encryption,
    description: str,
    payer_data: dict[str, str],
    nip69: bool,
    key: str,
) -> None:
    """Pay TARGET: a Lightning invoice, an offer (noffer1…), or the offer that an address (me@example.com) or a Nostr
    profile (npub1…, nprofile1…) names.

    AMOUNT_SAT is needed where the target names no amount. Where only the service of an offer knows the price, you are
    asked on a terminal; elsewhere --max says up to what it is paid. The money comes from the running service's node, or
    with --wallet from any wallet connection (nostr+walletconnect://…).
    """
    wish = Wish(target, amount_sat, max_sat, max_fee, description, payer_data, nip69)
    if wallet is not None:
        from kitestring.app.cli.wallet import pay_from, read_secret

        refuse_key()
        uri = read_secret(shell, wallet)
        show_paid(shell, fulfil(shell, wish, lambda wanted: pay_from(shell, wallet, uri, wanted, encryption)))
        return
    refuse_encryption(encryption)
    from kitestring.client.payable import read

    shell.note_left_out(getattr(read(target), "left_out", ()))  # a wrong code is wrong whether or not the service runs
    show_paid(shell, fulfil(shell, wish, lambda wanted: call_to_pay(shell, "pay", wanted.params(), key)))


def call_to_pay(shell: Shell, name: str, params: dict[str, Any], key: str) -> dict[str, Any]:
    """The result of an owner's command that pays, waiting for its end. Raises KitestringError."""
    from kitestring.app.owner.params import DEFAULT_WAIT_S

    try:
        return shell.call(name, {**params, "wait_s": DEFAULT_WAIT_S}, key, wait_s=DEFAULT_WAIT_S)
    except KitestringError as error:
        if error.reason is Reason.SPENDING_STOPPED:
            error.message += "; `kitestring doctor` says why and what to do"
        raise


def show_paid(shell: Shell, result: dict[str, Any]) -> None:
    """The end of a payment that has settled, now or before."""
    inside = " (inside this service)" if result.get("internal") else ""
    cost = f"{amount(result['amount_msat'])}, fee {amount(result['fee_msat'])}{inside}"
    done = f"paid {cost}"
    if result.get("already_paid"):
        began = result.get("created_at")
        done = f"already paid{f' on {when(began)}' if began else ''}, nothing was paid now: {cost}"
    shell.show(result, f"{done}\npreimage {result['preimage']}")
