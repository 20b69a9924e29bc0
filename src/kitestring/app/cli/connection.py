"""``kitestring connection``: one wallet connection that is there already."""

from __future__ import annotations

from shlex import quote
from typing import Any

import click

from kitestring.app.cli.connect import describe, show_link
from kitestring.app.cli.shell import Group, Shell, common, key_option
from kitestring.app.cli.values import amount, budget_of, table, when


@click.group("connection", cls=Group)
def command() -> None:
    """One wallet connection: see how it fares, change it, give it a new link."""


@command.command("show")
@click.argument("name")
@common
def show(shell: Shell, name: str) -> None:
    """Show what the connection NAME may do. It tells too what is left of its budget, and how its relays fare."""
    found = shell.call("connection_show", {"name": name})
    rows = [
        (row["relay"], _yes(row["listening"]), _yes(row["announced"]), row["words"] or "–") for row in found["relays"]
    ]
    link = f"; not used yet: `kitestring link {quote(found['name'])}` shows the link again"
    last = "" if found["last_used_at"] is None else f"; last used {when(found['last_used_at'])}"
    unused = last if found["used"] else link
    text = table(rows, ("relay", "brings requests", "shows it to apps", "its words"))
    left = "".join(f"\nbudget: {stands(row)}" for row in found["budgets"])
    shell.show(found, f"{describe(found)}{unused}{left}\n\n{text}")


def stands(row: dict[str, Any]) -> str:
    """Say how a budget stands. A rolling one has no moment at which it renews: what was spent leaves it bit by bit."""
    renews = "" if row["renews_at"] is None or row["length_s"] else f", renews {when(row['renews_at'])}"
    whole = budget_of(row)
    return f"{amount(row['left_msat'])} left of {whole}{renews}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


@command.command("relink")
@click.argument("name")
@key_option
@common
def relink(shell: Shell, name: str, key: str) -> None:
    """Give the connection NAME a new secret link. It names the relays of today.

    The app that has the old link can do nothing here any more, at once: give it the new one. Budget, history and limits
    stay as they are. Payments that are under way still finish.
    """
    made = shell.call("connection_relink", {"name": name}, key)
    shell.note(f"the old link of {made['name']} has ended: its app can do nothing here until it has the new one")
    show_link(shell, made)
