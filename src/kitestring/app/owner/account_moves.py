"""The owner's commands that move money between accounts. Nothing moves on the Lightning network."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.accounts import called, closed, find_account, need_account
from kitestring.app.owner.command import Call, Change, Commands, Manage, Operate
from kitestring.app.owner.desk import Managing, Operating
from kitestring.app.owner.params import AmountMsat, Name, plain_line
from kitestring.app.owner.results import accounts as results
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account
from kitestring.base.money import ZERO, Msat
from kitestring.base.transactions.owner import Transfer

#: Of the words that are kept with an entry.
EntryNote = Annotated[str, Meta(max_length=200)]


class FundParams(msgspec.Struct, forbid_unknown_fields=True):
    account: Name
    amount_msat: AmountMsat
    note: EntryNote = ""


class WithdrawParams(msgspec.Struct, forbid_unknown_fields=True):
    """``amount_msat`` None = all that is free."""

    account: Name
    amount_msat: AmountMsat | None = None
    note: EntryNote = ""


class TransferParams(msgspec.Struct, forbid_unknown_fields=True):
    """``amount_msat`` None = all that is free."""

    from_account: Name
    to_account: Name
    amount_msat: AmountMsat | None = None
    note: EntryNote = ""


async def account_fund(desk: Operating, params: FundParams, call: Call) -> Change:
    """Give a sub-account some of the node's money. Nothing moves on the Lightning network."""
    account = await find_account(desk, params.account)
    if account.account_id == OWNER_ACCOUNT:
        raise KitestringError(Reason.MALFORMED, "the owner account is the node itself and needs no funding")
    if account.closed_at is not None and params.amount_msat > -account.available_msat:
        raise closed(account)  # but what it is overdrawn by can be covered
    transfer = Transfer(
        transfer_id=call.request_id,
        from_account=OWNER_ACCOUNT,
        to_account=account.account_id,
        amount_msat=Msat(params.amount_msat),
        note=plain_line(params.note),
        now=desk.clock.now(),
        view=await desk.node_view(),
    )
    available = account.available_msat + transfer.amount_msat
    result = {"account": account.account_id, "amount_msat": params.amount_msat, "available_msat": int(available)}
    return Change((transfer,), result)


async def account_withdraw(desk: Managing, params: WithdrawParams, call: Call) -> Change:
    """Take money of a sub-account back to the node's owner. Nothing moves on the Lightning network."""
    account = await find_account(desk, params.account)
    if account.account_id == OWNER_ACCOUNT:
        raise KitestringError(
            Reason.MALFORMED, "the owner account is the node itself: its money is the owner's already"
        )
    amount = movable(account, params.amount_msat)
    transfer = _between(desk, call, account.account_id, OWNER_ACCOUNT, amount, params.note)
    available = account.available_msat - amount
    result = {"account": account.account_id, "amount_msat": int(amount), "available_msat": int(available)}
    return Change((transfer,), result)


async def account_transfer(desk: Managing, params: TransferParams, call: Call) -> Change:
    """Move money from one sub-account to another. Nothing moves on the Lightning network."""
    source, target = await need_account(desk, params.from_account), await need_account(desk, params.to_account)
    _refuse_ends(source, target)
    amount = movable(source, params.amount_msat)
    transfer = _between(desk, call, source.account_id, target.account_id, amount, params.note)
    result = {
        "from_account": source.account_id,
        "to_account": target.account_id,
        "amount_msat": int(amount),
        "from_available_msat": int(source.available_msat - amount),
        "to_available_msat": int(target.available_msat + amount),
    }
    return Change((transfer,), result)


def _refuse_ends(source: Account, target: Account) -> None:
    """Raise KitestringError where this is no transfer between two sub-accounts."""
    if source.account_id == target.account_id:
        raise KitestringError(Reason.MALFORMED, f"{called(source)} cannot transfer to itself: name two accounts")
    for account, other, verb in ((source, target, "fund"), (target, source, "withdraw")):
        if account.account_id == OWNER_ACCOUNT:
            raise KitestringError(
                Reason.MALFORMED,
                f"`owner` is the node itself: use `kitestring account {verb} {called(other)} AMOUNT_SAT`",
            )


def _between(desk: Managing, call: Call, source: str, target: str, amount: Msat, note: str) -> Transfer:
    return Transfer(call.request_id, source, target, amount, plain_line(note), desk.clock.now())


def movable(account: Account, amount_msat: int | None) -> Msat:
    """``amount_msat``, or all that is free in the account. Raises KitestringError with the figures where that is less,
    or nothing: what is reserved for payments under way stays."""
    free = ZERO if account.overdrawn else max(ZERO, account.available_msat)
    amount = free if amount_msat is None else Msat(amount_msat)
    if ZERO < amount <= free:
        return amount
    raise KitestringError(Reason.INSUFFICIENT_FUNDS, _figures(account, free), remaining_msat=int(free))


def _figures(account: Account, free: Msat) -> str:
    if account.overdrawn:
        return f"{called(account)} is overdrawn by {ZERO - account.available_msat}: nothing can be moved"
    owned = account.available_msat + account.pending_msat
    can = f"{free} can be moved" if free else "nothing can be moved"
    if account.pending_msat:
        return f"{called(account)} has {owned}, {account.pending_msat} of it reserved for payments under way; {can}"
    return (
        f"{called(account)} has {owned}, and no more can be moved" if free else f"{called(account)} has {owned}; {can}"
    )


COMMANDS: Final[Commands] = (
    Operate("account_fund", FundParams, account_fund, results.MovedJson),
    Manage("account_withdraw", WithdrawParams, account_withdraw, results.MovedJson),
    Manage("account_transfer", TransferParams, account_transfer, results.TransferredJson),
)
