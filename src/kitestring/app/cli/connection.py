"""``kitestring connection``: one wallet connection that exists already."""

from __future__ import annotations

from operator import itemgetter
from shlex import quote
from typing import Any, Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.connect import describe, show_link
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import amount, budget_of, when

#: What a state other than active means to the owner, and what changes it.
_STATES: Final = {
    "paused": "paused: `kitestring connection resume {name}` lets its app go on",
    "expired": "expired: `kitestring connection edit {name} --expires 30d` lets its app go on",
}


command: Final = click.Group("connection")


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
    text = fitted(rows, _RELAYS)
    lines = [f"{describe(found)}{unused}", f"made: {when(found['created_at'])}"]
    if found["state"] in _STATES:
        lines.append(_STATES[found["state"]].format(name=quote(found["name"])))
    lines += [f"budget: {stands(row)}" for row in found["budgets"]]
    shell.show(found, "\n".join([*lines, "", text]))


_RELAYS: Final = (
    Column("relay", itemgetter(0), least=20, most=80),
    Column("brings requests", itemgetter(1)),
    Column("shows it to apps", itemgetter(2)),
    Column("its words", itemgetter(3), least=12, most=80),
)


def stands(row: dict[str, Any]) -> str:
    """Say how a budget stands. A rolling one has no moment at which it renews: what was spent leaves it bit by bit."""
    renews = "" if row["renews_at"] is None or row["length_s"] else f", renews {when(row['renews_at'])}"
    more = f" ({amount(row['used_msat'])} is spent already)" if row["used_msat"] > row["limit_msat"] else ""
    return f"{amount(row['left_msat'])} left of {budget_of(row)}{more}{renews}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


@command.command("rename")
@click.argument("name")
@click.argument("new")
@key_option
@common
def rename(shell: Shell, name: str, new: str, key: str) -> None:
    """Give the connection NAME the name NEW in your lists. Its app, link and budget stay as they are."""
    renamed = shell.call("connection_edit", {"name": name, "new_name": new}, key)
    same = "" if renamed["changed"] else " already"
    shell.show(renamed, f"the connection {name} is called {renamed['name']}{same}")


@command.command("rotate")
@click.argument("name")
@qr_options
@key_option
@common
def rotate(shell: Shell, name: str, key: str, qr: Qr) -> None:
    """Give the connection NAME a new secret link. It names the relays of today.

    The app that has the old link can do nothing here any more, at once: give it the new one. Budget, history and limits
    stay as they are. Payments that are under way still finish.
    """
    made = shell.call("connection_rotate", {"name": name}, key)
    shell.note(f"the old link of {made['name']} has ended: its app can do nothing here until it has the new one")
    if made["paused_at"] is not None:
        shell.note(_STATES["paused"].format(name=quote(made["name"])))
    show_link(shell, made, qr)


@command.command("pause")
@click.argument("name")
@key_option
@common
def pause(shell: Shell, name: str, key: str) -> None:
    """Refuse whatever the app of NAME asks, until you resume. It is told nothing either.

    Payments that are under way still finish, and invoices that were made can be paid. A restart changes nothing.
    """
    result = shell.call("connection_pause", {"name": name}, key)
    since = "" if result["changed"] else f" already, since {when(result['paused_at'])}"
    again = f"`kitestring connection resume {quote(result['name'])}` lets its app go on"
    shell.show(result, f"{result['name']} is paused{since}: {again}")


@command.command("resume")
@click.argument("name")
@key_option
@common
def resume(shell: Shell, name: str, key: str) -> None:
    """Let the app of NAME go on, with what is left of its budget."""
    result = shell.call("connection_resume", {"name": name}, key)
    if not result["changed"]:
        shell.show(result, f"{result['name']} was not paused")
        return
    way = f"`kitestring connection edit {quote(result['name'])} --expires 30d` lets its app go on"
    ended = f", but has expired: {way}" if result["state"] == "expired" else ": its app goes on"
    shell.show(result, f"{result['name']} is no longer paused{ended}")
