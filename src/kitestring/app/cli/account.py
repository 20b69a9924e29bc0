"""``kitestring account``: balances of their own inside the service."""

from __future__ import annotations

from typing import Any

import click

from kitestring.app.cli.shell import Group, Shell, common, key_option
from kitestring.app.cli.values import Sats, amount, facts, msat, short_key, table, when


@click.group("account", cls=Group)
def command() -> None:
    """Sub-accounts: a balance in the ledger that cannot go below zero, for a person or an app."""


@command.command("create")
@click.argument("name")
@key_option
@common
def create(shell: Shell, name: str, key: str) -> None:
    """Make the account NAME, with nothing in it."""
    result = shell.call("account_create", {"name": name}, key)
    sentence = f"account {name} is there, with 0 sat" if result["created"] else f"account {name} exists already"
    shell.show(result, f"{sentence}; next: kitestring account fund {name} 1000")


@command.command("list")
@common
def list_(shell: Shell) -> None:
    """List the sub-accounts and their balances."""
    result = shell.read("account_list")
    rows = [
        (
            found["account"],
            amount(found["available_msat"]),
            amount(found["pending_msat"]),
            "OVERDRAWN" if found["overdrawn"] else _whose(found),
        )
        for found in result["accounts"]
    ]
    empty = "no sub-accounts; make one with: kitestring account create NAME"
    shell.show(result, table(rows, ("account", "available ", "held for payments ", "note")) if rows else empty)


def _whose(found: dict[str, Any]) -> str:
    """For an account that a key has opened for itself: which key, and when."""
    return f"{short_key(found['npub'])} enrolled {when(found['created_at'])}" if found["npub"] else ""


@command.command("show")
@click.argument("name")
@common
def show(shell: Shell, name: str) -> None:
    """Show the account NAME with its codes.

    NAME is its name, or the key (npub1…) that has enrolled itself.
    """
    found = shell.read("account_show", {"account": name})
    rows = [
        ("account", found["account"]),
        ("key", found["npub"] or ""),
        ("enrolled" if found["npub"] else "made", when(found["created_at"])),
        ("available", amount(found["available_msat"]) + (" (OVERDRAWN)" if found["overdrawn"] else "")),
        ("held", amount(found["pending_msat"])),
        *((f"offer {offer['label']}", offer["noffer"]) for offer in found["offers"]),
        *((f"pointer {pointer['label']}", pointer["ndebit"]) for pointer in found["pointers"]),
    ]
    shell.show(found, facts(rows))


@command.command("fund")
@click.argument("name")
@click.argument("amount_sat", type=Sats())
@click.option("--note", default="", help="Why, kept with the entry.")
@key_option
@common
def fund(shell: Shell, name: str, amount_sat: int, note: str, key: str) -> None:
    """Give the account NAME some of the node's money. Nothing moves on the Lightning network."""
    params = {"account": name, "amount_msat": msat(amount_sat), "note": note}
    result = shell.call("account_fund", params, key)
    shell.show(result, f"{name} got {amount(result['amount_msat'])} and has {amount(result['available_msat'])} now")
