"""``kitestring balance``: what can be spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kitestring.app.cli.at_wallet import refuse_encryption, wallet_options
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, budget, facts, when

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption


@click.command("balance")
@click.argument("name", required=False)
@wallet_options("Look into this wallet")
@common
def command(shell: Shell, name: str | None, wallet: str | None, encryption: Encryption) -> None:
    """Show what the service's own account can spend, and the sub-accounts; with NAME what one of them can spend.

    With --wallet show the balance of any wallet connection (nostr+walletconnect://…), and its budget if it tells one.
    """
    if wallet is not None:
        if name is not None:
            raise click.UsageError("NAME is an account of the running service: leave it out with --wallet")
        from kitestring.app.cli.wallet import balance_of

        show_wallet(shell, balance_of(shell, wallet, encryption))
        return
    refuse_encryption(encryption)
    result = shell.read("balance", {"account": name} if name else None)
    own = [("owner", _balance(result))] if name in {None, "owner"} else []
    shell.show(result, facts([*own, *map(_account, result["accounts"])]))


def _account(account: dict[str, Any]) -> tuple[str, str]:
    """A line of one account; what is reserved stands beside it."""
    held = f", {amount(account['pending_msat'])} more held for payments" if account["pending_msat"] else ""
    return account["account"], amount(account["available_msat"]) + held


def show_wallet(shell: Shell, result: dict[str, Any]) -> None:
    shell.show(result, facts([("balance", _balance(result)), ("budget", _budget(result))]))


def _balance(result: dict[str, Any]) -> str:
    if result["balance_msat"] is None:
        return f"unknown: {result['unknown_because']}"
    return amount(result["balance_msat"])


def _budget(result: dict[str, Any]) -> str:
    if result["budget_unknown_because"]:
        return f"unknown: {result['budget_unknown_because']}"
    told = result["budget"]
    if told is None:
        return "no budget limit"
    renews = "" if told["renews_at"] is None else f", renews {when(told['renews_at'])}"
    return f"{amount(told['left_msat'])} left of {budget(told['limit_msat'], told['period'], None)}{renews}"
