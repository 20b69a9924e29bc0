"""``kitestring pay``: from the service's own node, or from any wallet connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kitestring.app.cli.agree import Payer, agree_options, pay_if_agreed
from kitestring.app.cli.at_wallet import refuse_encryption, refuse_key, wallet_options
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.payers import FromService, FromWallet
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import InCurrency, Sats, ToPay, amount, when
from kitestring.app.cli.wish import Wish, data_option, in_sats, max_option

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("pay")
@click.argument("target", type=CodeType())
@click.argument("amount_typed", metavar="[AMOUNT]", type=ToPay(), required=False)
@max_option
@click.option("--max-fee", type=Sats(least=0), metavar="SAT", help="The most that routing may cost.")
@wallet_options("Pay from this wallet")
@click.option("--description", default="", help="A word to the payee of an offer.")
@data_option
@click.option("--nip69", is_flag=True, help="Ask an offer in the form of 2024, for services that know no other.")
@agree_options
@key_option
@common
def command(
    shell: Shell,
    target: str,
    amount_typed: int | InCurrency | None,
    max_sat: int | None,
    max_fee: int | None,
    wallet: str | None,
    encryption: Encryption,
    description: str,
    payer_data: dict[str, str],
    nip69: bool,
    yes: bool,
    dry_run: bool,
    key: str,
) -> None:
    """Pay TARGET: a Lightning invoice, an offer (noffer1…), or the offer that an address (me@example.com) or a Nostr
    profile (npub1…, nprofile1…) names. It may be read from elsewhere: env:NAME, file:PATH, or - for standard input.

    AMOUNT is needed where the target names no amount: sats, or a currency as in 4.50EUR, whose worth in sats is shown
    before. Where only the service of an offer knows the price, you are asked on a terminal; elsewhere --max says up to
    what it is paid. The money comes from the running service's node, or with --wallet from any wallet connection
    (nostr+walletconnect://…).

    Before real money moves you are shown what is paid, and asked; where nobody can answer, --yes is needed. In a
    sandbox nothing is asked. For that, and for --dry-run, the service of an offer is asked for its invoice, which
    nobody pays if you do not.
    """
    from kitestring.client.payable import read

    payer: Payer
    if wallet is None:
        refuse_encryption(encryption)
        shell.note_left_out(getattr(read(target), "left_out", ()))  # wrong whether or not the service runs
        payer = FromService(shell, key)
    else:
        from kitestring.app.cli.wallet import read_secret

        refuse_key()
        payer = FromWallet(shell, wallet, read_secret(shell, wallet), encryption)
        read(target)
    typed = amount_typed if isinstance(amount_typed, InCurrency) else None
    wish = Wish(target, in_sats(shell, amount_typed), max_sat, max_fee, description, payer_data, nip69, typed)
    pay_if_agreed(shell, wish, payer, show_paid, yes=yes, dry_run=dry_run)


def show_paid(shell: Shell, result: dict[str, Any]) -> None:
    """The end of a payment that has settled, now or before."""
    inside = " (inside this service)" if result.get("internal") else ""
    cost = f"{amount(result['amount_msat'])}, fee {amount(result['fee_msat'])}{inside}"
    done = f"paid {cost}"
    if result.get("already_paid"):
        began = result.get("created_at")
        done = f"already paid{f' on {when(began)}' if began else ''}, nothing was paid now: {cost}"
    shell.show(result, f"{done}\npreimage {result['preimage']}")
