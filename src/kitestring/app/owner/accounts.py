"""The owner's commands about accounts: balances in the ledger beside the owner's own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import msgspec

from kitestring.app.owner.command import Call, Change, Commands, Manage, Read
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.near import hint
from kitestring.app.owner.params import ID_BYTES, Name, NameParams, npub, public_key
from kitestring.app.owner.results import accounts as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.enrolments import account_id_of, enrolled_key, is_enrolled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account
from kitestring.base.transactions.owner import SaveAccount

#: The beginning of a public key as people see it.
NPUB: Final = "npub1"
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


class ListParams(msgspec.Struct, forbid_unknown_fields=True):
    """``closed``: also those that were closed."""

    closed: bool = False


class RenameParams(msgspec.Struct, forbid_unknown_fields=True):
    account: Name
    new_name: Name


async def account_create(desk: Managing, params: NameParams, _call: Call) -> Change | Result:
    """Make a sub-account: a balance in the ledger that cannot go below zero. An existing one is returned."""
    _check_name(params.name)
    known = await desk.store.account_named(params.name)
    if known is not None:
        if known.closed_at is not None:
            raise _taken_by_closed(known)
        return {**show_account(known), "created": False}
    account = Account(account_id=await _free_id(desk, params.name), name=params.name, created_at=desk.clock.now())
    return Change((SaveAccount(account),), {**show_account(account), "created": True})


async def account_rename(desk: Managing, params: RenameParams, _call: Call) -> Change | Result:
    """Give a sub-account another name. Its connections, offers and history stay its own."""
    account = await find_account(desk, params.account)
    if account.account_id == OWNER_ACCOUNT or is_enrolled(account.account_id):
        what = "the node itself" if account.account_id == OWNER_ACCOUNT else "known by the key that has opened it"
        raise KitestringError(Reason.MALFORMED, f"{params.account} is {what} and keeps its name")
    _check_name(params.new_name)
    if params.new_name == account.name:
        return show_account(account)
    other = await desk.store.account_named(params.new_name)
    if other is not None:
        if other.closed_at is not None:
            raise _taken_by_closed(other)
        raise KitestringError(Reason.CONFLICT, f"there is an account {other.name!r} already: take another name")
    renamed = replace(account, name=params.new_name)
    return Change((SaveAccount(renamed),), show_account(renamed))


def _check_name(name: str) -> None:
    if not _ACCOUNT.fullmatch(name):
        raise KitestringError(
            Reason.MALFORMED, "an account name has small letters, digits, dots, dashes and underscores, at most 64"
        )
    if name.startswith(NPUB):  # it would be read as a key wherever it is typed, and never be found again
        raise KitestringError(Reason.MALFORMED, f"an account name does not begin with {NPUB}, as a public key does")
    if name == OWNER_ACCOUNT:
        raise KitestringError(Reason.MALFORMED, "the account `owner` exists already: it is the node itself")


def _taken_by_closed(account: Account) -> KitestringError:
    free = f"`kitestring account rename {account.name} {account.name[:60]}-old`"
    return KitestringError(
        Reason.CONFLICT,
        f"the account {account.name!r} is closed and keeps its name: take another one, or run {free} first",
    )


async def _free_id(desk: Managing, name: str) -> str:
    """The name itself, unless an account that is called otherwise by now began with it."""
    if await desk.store.account(name) is None:
        return name
    return f"{name}.{desk.entropy(ID_BYTES).hex()}"


async def account_list(desk: Reading, params: ListParams, _call: Call) -> Result:
    """List the sub-accounts and their balances, the owner's own first, then those of keys that have enrolled."""
    accounts = await sub_accounts(desk, closed=params.closed)
    return {"accounts": [show_account(account) for account in sorted(accounts, key=_place)]}


async def sub_accounts(desk: Reading, *, closed: bool = False) -> list[Account]:
    """All but the owner's. Of closed ones those that hold money again, unless all are wanted."""
    return [
        found
        for found in await desk.store.accounts()
        if found.account_id != OWNER_ACCOUNT and (closed or found.closed_at is None or found.available_msat)
    ]


def _place(account: Account) -> tuple[bool, int, str]:
    is_foreign = is_enrolled(account.account_id)
    return is_foreign, account.created_at if is_foreign else 0, account.name


async def need_account(desk: Reading, typed: str) -> Account:
    """The account of that name, as :func:`find_account`, if it is open. Raises KitestringError."""
    found = await find_account(desk, typed)
    if found.closed_at is not None:
        raise closed(found)
    return found


async def find_account(desk: Reading, typed: str) -> Account:
    """The account of that name, closed or open, or of the enrolled key (npub1…) that was typed. Raises
    KitestringError."""
    if typed == OWNER_ACCOUNT:
        return Account(account_id=OWNER_ACCOUNT, name=OWNER_ACCOUNT)
    enrolled = account_id_of(public_key(typed)) if typed.lower().startswith(NPUB) else typed
    found = await (desk.store.account(enrolled) if is_enrolled(enrolled) else desk.store.account_named(typed))
    if found is None:
        raise KitestringError(Reason.UNKNOWN_TARGET, await _absent(desk, typed))
    return found


def called(account: Account) -> str:
    """The word for an account in a sentence: its name, of an enrolled key its id, as lists show it."""
    return account.account_id if is_enrolled(account.account_id) else account.name


def closed(account: Account) -> KitestringError:
    """The error for what cannot be done with a closed account."""
    return KitestringError(Reason.NOT_PERMITTED, f"the account {called(account)!r} is closed: its history can be read")


async def _absent(desk: Reading, typed: str) -> str:
    """The sentence for a name that no account has, with the one that was meant, if it is close."""
    names = [called(account) for account in await sub_accounts(desk) if not is_enrolled(account.account_id)]
    if near := hint(typed, names):
        return f"there is no account {typed!r}{near}"
    if not _ACCOUNT.fullmatch(typed):
        return f"there is no account {typed!r}; see `kitestring account list`"
    return f"there is no account {typed!r}; make it with `kitestring account create {typed}`"


def show_account(account: Account) -> Result:
    """One account as JSON, under its id, in place of which a door says its name. ``npub`` is the key that has opened it
    by itself, None for one that the owner has made."""
    key = enrolled_key(account)
    return {
        "account": account.account_id,
        "available_msat": int(account.available_msat),
        "pending_msat": int(account.pending_msat),
        "overdrawn": account.overdrawn,
        "created_at": account.created_at,
        "closed_at": account.closed_at,
        "npub": npub(key) if key else None,
    }


COMMANDS: Final[Commands] = (
    Manage("account_create", NameParams, account_create, results.AccountMadeJson),
    Manage("account_rename", RenameParams, account_rename, results.AccountJson),
    Read("account_list", ListParams, account_list, results.AccountListJson),
)
