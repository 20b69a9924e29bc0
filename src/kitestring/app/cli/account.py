"""``kitestring account``: balances of their own inside the service."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Sats, amount, facts, msat, short_key, when
from kitestring.base.errors import KitestringError, Reason

command: Final = click.Group("account")


@command.command("create")
@click.argument("name")
@key_option
@common
def create(shell: Shell, name: str, key: str) -> None:
    """Make the account NAME, with nothing in it."""
    result = shell.call("account_create", {"name": name}, key)
    sentence = f"account {name} created, with 0 sat" if result["created"] else f"account {name} exists already"
    shell.show(result, f"{sentence}; next: kitestring account fund {name} 1000")


@command.command("list")
@click.option("--closed", is_flag=True, help="Those that were closed, too.")
@common
def list_(shell: Shell, closed: bool) -> None:
    """List the sub-accounts and their balances."""
    result = shell.read("account_list", {"closed": True} if closed else None)
    rows = result["accounts"]
    empty = "no sub-accounts; make one with: kitestring account create NAME"
    shell.show(result, fitted(rows, _COLUMNS) if rows else empty)


def _note(found: dict[str, Any]) -> str:
    """Words for what is not usual about it."""
    closed = "" if found["closed_at"] is None else f"closed {when(found['closed_at'])}"
    return ", ".join(filter(None, ("OVERDRAWN" if found["overdrawn"] else "", closed, _whose(found))))


def _whose(found: dict[str, Any]) -> str:
    """For an account that a key has opened for itself: which key, and when."""
    return f"{short_key(found['npub'])} enrolled {when(found['created_at'])}" if found["npub"] else ""


_COLUMNS: Final = (
    Column("account", lambda found: found["account"], least=12),
    Column("available ", lambda found: amount(found["available_msat"])),
    Column("held for payments ", lambda found: amount(found["pending_msat"]), is_always_there=True, rank=1),
    Column("note", _note, least=12, most=64, is_always_there=True),
)


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
        ("closed", "" if found["closed_at"] is None else when(found["closed_at"])),
        ("available", amount(found["available_msat"]) + (" (OVERDRAWN)" if found["overdrawn"] else "")),
        ("held", amount(found["pending_msat"])),
        ("connections", ", ".join(found["connections"])),
        *((f"offer {offer['label']}", offer["noffer"]) for offer in found["offers"]),
        *((f"pointer {pointer['label']}", pointer["ndebit"]) for pointer in found["pointers"]),
    ]
    moves = [_move(move, found["account"]) for move in found["moves"]]
    moved = f"\n\n{fitted(moves, _MOVED)}" if moves else ""
    shell.show(found, facts(rows) + moved)


def _move(move: dict[str, Any], account: str) -> tuple[str, ...]:
    """One line of what the owner has moved, as the account sees it."""
    is_in = move["to_account"] == account
    other = f"from {move['from_account']}" if is_in else f"to {move['to_account']}"
    return when(move["created_at"]), ("+" if is_in else "-") + amount(move["amount_msat"]), other, move["note"] or ""


_MOVED: Final = (
    Column("moved", itemgetter(0)),
    Column("amount ", itemgetter(1)),
    Column("", itemgetter(2), least=12),
    Column("note", itemgetter(3), least=8, most=64, rank=1, is_always_there=True),
)


@command.command("rename")
@click.argument("old")
@click.argument("new")
@key_option
@common
def rename(shell: Shell, old: str, new: str, key: str) -> None:
    """Give the account OLD the name NEW. Its connections, offers and history stay its own."""
    result = shell.call("account_rename", {"account": old, "new_name": new}, key)
    shell.show(result, f"{old} is called {result['account']} now")


@command.command("close")
@click.argument("name")
@click.option("--withdraw", is_flag=True, help="Give what is left back to the node's owner first.")
@click.option("--cancel-invoices", is_flag=True, help="Cancel its open invoices first, and wait for the node's word.")
@key_option
@common
def close(shell: Shell, name: str, withdraw: bool, cancel_invoices: bool, key: str) -> None:
    """Close the account NAME forever. What was paid from it and to it can still be read.

    It has to be empty, with no connection, offer, pointer or invoice left; what is in the way is named.
    """
    params = {"account": name, "withdraw": withdraw}
    close_it = _close_without_invoices if cancel_invoices else _close
    result = close_it(shell, params, key)
    gave = f"; {amount(result['withdrawn_msat'])} went back to the owner" if result["withdrawn_msat"] else ""
    shell.show(result, f"{name} is closed{gave}")


def _close(shell: Shell, params: dict[str, Any], key: str) -> dict[str, Any]:
    return dict(shell.call("account_close", params, key))


def _close_without_invoices(shell: Shell, params: dict[str, Any], key: str) -> dict[str, Any]:
    """Cancel the open invoices where nothing else is in the way, and close the account. Whoever was faster has paid:
    what is in the way then is told. Raises KitestringError; repeated, it goes on from there."""
    import secrets

    from kitestring.app.owner.params import DEFAULT_WAIT_S

    while True:
        try:
            return _close(shell, params, key)
        except KitestringError as refused:
            details: dict[str, Any] = refused.details
            invoices = details.get("open_invoices") or []
            if not invoices or len(details["in_the_way"]) > len(invoices):  # more is in the way than these
                raise
        for number, payment_hash in enumerate(invoices, 1):
            shell.note_waiting(f"cancelling invoice {number} of {len(invoices)} …")
            try:
                shell.call("invoice_cancel", {"invoice": payment_hash}, secrets.token_hex(16), wait_s=DEFAULT_WAIT_S)
            except KitestringError as failed:
                if failed.reason is not Reason.CONFLICT:
                    raise
                shell.note(f"{payment_hash}: {failed.message}")


#: A negative amount is an argument, and not an unknown option.
_SIGNED: Final = {"ignore_unknown_options": True}


class _Amount(Sats):
    """Whole sats. Of a negative number the error says ``instead``."""

    def __init__(self, instead: str = "") -> None:
        super().__init__()
        self._instead = instead

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text.startswith("-") and not text[1:].isdecimal():
            raise click.NoSuchOption(text, ctx=ctx)
        if text.startswith("-") and self._instead:
            raise click.BadParameter(f"{text} is below zero: {self._instead}", ctx, param)
        return super().convert(value, param, ctx)


_all_option = click.option("--all", "is_all", is_flag=True, help="All that is free; what payments reserve stays.")
_note_option = click.option("--note", default="", help="Why, kept with the entry.")


def _wanted(amount_sat: int | None, is_all: bool) -> int | None:
    """The amount in msat, None for all. Raises UsageError unless one of the two was typed."""
    if (amount_sat is None) != is_all:
        raise click.UsageError("name either AMOUNT_SAT or --all")
    return None if amount_sat is None else msat(amount_sat)


@command.command("fund", context_settings=_SIGNED)
@click.argument("name")
@click.argument("amount_sat", type=_Amount("to take money back, use `kitestring account withdraw`"))
@_note_option
@key_option
@common
def fund(shell: Shell, name: str, amount_sat: int, note: str, key: str) -> None:
    """Give the account NAME some of the node's money. Nothing moves on the Lightning network."""
    params = {"account": name, "amount_msat": msat(amount_sat), "note": note}
    result = shell.call("account_fund", params, key)
    shell.show(result, f"{name} got {amount(result['amount_msat'])} and has {amount(result['available_msat'])} now")


@command.command("withdraw", context_settings=_SIGNED)
@click.argument("name")
@click.argument("amount_sat", type=_Amount(), required=False)
@_all_option
@_note_option
@key_option
@common
def withdraw(shell: Shell, name: str, amount_sat: int | None, is_all: bool, note: str, key: str) -> None:
    """Take AMOUNT_SAT of the account NAME back to the node's owner.

    Nothing moves on the Lightning network. Money that is reserved for payments under way stays.
    """
    params = {"account": name, "amount_msat": _wanted(amount_sat, is_all), "note": note}
    result = shell.call("account_withdraw", params, key)
    shell.show(result, f"{name} gave {amount(result['amount_msat'])} and has {amount(result['available_msat'])} now")


@command.command("transfer", context_settings=_SIGNED)
@click.argument("from_name", metavar="FROM")
@click.argument("to_name", metavar="TO")
@click.argument("amount_sat", type=_Amount(), required=False)
@_all_option
@_note_option
@key_option
@common
def transfer(
    shell: Shell, from_name: str, to_name: str, amount_sat: int | None, is_all: bool, note: str, key: str
) -> None:
    """Move AMOUNT_SAT from the account FROM to the account TO.

    Nothing moves on the Lightning network. Money that is reserved for payments under way stays.
    """
    wanted = {"amount_msat": _wanted(amount_sat, is_all), "note": note}
    result = shell.call("account_transfer", {"from_account": from_name, "to_account": to_name, **wanted}, key)
    has = f"{from_name} has {amount(result['from_available_msat'])}, {to_name} {amount(result['to_available_msat'])}"
    shell.show(result, f"{amount(result['amount_msat'])} moved; {has} now")
