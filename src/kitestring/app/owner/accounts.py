"""The owner's commands about accounts: balances in the ledger beside the owner's own."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

from kitestring.app.owner.command import Call, Change, Commands, Manage, Read
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.params import NameParams, NoParams, npub, public_key
from kitestring.app.owner.results import accounts as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.enrolments import account_id_of, enrolled_key, is_enrolled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account
from kitestring.base.transactions.owner import SaveAccount

#: The beginning of a public key as people see it.
NPUB: Final = "npub1"
#: Of a name that nobody knows: as long as names are, so that what is close is found fast.
MAX_COMPARED_CHARS: Final = 64
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


async def account_create(desk: Managing, params: NameParams, _call: Call) -> Change | Result:
    """Make a sub-account: a balance in the ledger that cannot go below zero. An existing one is returned."""
    if not _ACCOUNT.fullmatch(params.name):
        raise KitestringError(
            Reason.MALFORMED, "an account name has small letters, digits, dots, dashes and underscores, at most 64"
        )
    if params.name == OWNER_ACCOUNT:
        raise KitestringError(Reason.MALFORMED, "the account `owner` exists already: it is the node itself")
    known = await desk.store.account(params.name)
    if known is not None:
        return {**show_account(known), "created": False}
    account = Account(account_id=params.name, name=params.name, created_at=desk.clock.now())
    return Change((SaveAccount(account),), {**show_account(account), "created": True})


async def account_list(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the sub-accounts and their balances, the owner's own first, then those of keys that have enrolled."""
    accounts = [found for found in await desk.store.accounts() if found.account_id != OWNER_ACCOUNT]
    return {"accounts": [show_account(account) for account in sorted(accounts, key=_place)]}


def _place(account: Account) -> tuple[bool, int, str]:
    is_foreign = is_enrolled(account.account_id)
    return is_foreign, account.created_at if is_foreign else 0, account.name


async def need_account(desk: Reading, account_id: str) -> Account:
    """The account of that name. Raises KitestringError when there is none."""
    if account_id == OWNER_ACCOUNT:
        return Account(account_id=OWNER_ACCOUNT, name=OWNER_ACCOUNT)
    found = await desk.store.account(account_id)
    if found is None:
        raise KitestringError(Reason.UNKNOWN_TARGET, await _absent(desk, account_id))
    return found


async def _absent(desk: Reading, typed: str) -> str:
    """The sentence for a name that no account has, with the one that was meant, if it is close."""
    names = [account.name for account in await desk.store.accounts() if not is_enrolled(account.account_id)]
    close = get_close_matches(typed[:MAX_COMPARED_CHARS].lower(), names, n=1, cutoff=0.75)
    if close:
        return f"there is no account {typed!r}; did you mean {close[0]!r}?"
    return f"there is no account {typed!r}; make it with `kitestring account create {typed}`"


async def named_account(desk: Reading, typed: str) -> Account:
    """The account of that name, or of the enrolled key (npub1…) that was typed. Raises KitestringError."""
    return await need_account(desk, account_id_of(public_key(typed)) if typed.lower().startswith(NPUB) else typed)


def show_account(account: Account) -> Result:
    """One account as JSON. ``npub`` is the key that has opened it by itself, None for one that the owner has made."""
    key = enrolled_key(account)
    return {
        "account": account.account_id,
        "available_msat": int(account.available_msat),
        "pending_msat": int(account.pending_msat),
        "overdrawn": account.overdrawn,
        "created_at": account.created_at,
        "npub": npub(key) if key else None,
    }


COMMANDS: Final[Commands] = (
    Manage("account_create", NameParams, account_create, results.AccountMadeJson),
    Read("account_list", NoParams, account_list, results.AccountListJson),
)
