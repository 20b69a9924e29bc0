"""The owner's commands about accounts: balances in the ledger beside the owner's own."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.desk import Desk, execute_once, request_id
from kitestring.app.owner.params import AmountMsat, Name, NameParams, NoParams, one_line
from kitestring.app.service.execute import Result
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account
from kitestring.base.money import Msat
from kitestring.base.transactions import SaveAccount, Transfer

_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


class FundParams(msgspec.Struct, forbid_unknown_fields=True):
    account: Name
    amount_msat: AmountMsat
    note: Annotated[str, Meta(max_length=200)] = ""


async def account_create(desk: Desk, params: NameParams, key: str) -> Result:
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
    result = {**show_account(account), "created": True}
    return await execute_once(desk, "account_create", key, msgspec.to_builtins(params), (SaveAccount(account),), result)


async def account_list(desk: Desk, _params: NoParams, _key: str) -> Result:
    """The sub-accounts and their balances."""
    accounts = [found for found in await desk.store.accounts() if found.account_id != OWNER_ACCOUNT]
    return {"accounts": [show_account(account) for account in sorted(accounts, key=lambda a: a.name)]}


async def account_fund(desk: Desk, params: FundParams, key: str) -> Result:
    """Give a sub-account some of the node's money. Nothing moves on the Lightning network."""
    await need_account(desk, params.account)
    if params.account == OWNER_ACCOUNT:
        raise KitestringError(Reason.MALFORMED, "the owner account is the node itself and needs no funding")
    claim = request_id("account_fund", key)
    transfer = Transfer(
        transfer_id=claim,
        from_account=OWNER_ACCOUNT,
        to_account=params.account,
        amount_msat=Msat(params.amount_msat),
        note=one_line(params.note),
        now=desk.clock.now(),
        view=await desk.node_view(),
    )
    result = {"account": params.account, "amount_msat": params.amount_msat}
    stored = await execute_once(desk, "account_fund", key, msgspec.to_builtins(params), (transfer,), result)
    funded = await need_account(desk, params.account)
    return {**stored, "available_msat": int(funded.available_msat)}


async def need_account(desk: Desk, account_id: str) -> Account:
    """The account of that name. Raises KitestringError when there is none."""
    if account_id == OWNER_ACCOUNT:
        return Account(account_id=OWNER_ACCOUNT, name=OWNER_ACCOUNT)
    found = await desk.store.account(account_id)
    if found is None:
        raise KitestringError(
            Reason.UNKNOWN_TARGET,
            f"there is no account {account_id!r}; make it with `kitestring account create {account_id}`",
        )
    return found


def show_account(account: Account) -> Result:
    return {
        "account": account.account_id,
        "available_msat": int(account.available_msat),
        "pending_msat": int(account.pending_msat),
        "overdrawn": account.overdrawn,
        "created_at": account.created_at,
    }
