"""Accounts: make, name and close them, and move credit between them."""

# ruff: noqa: S608 - what is pasted into a statement are constants of this package, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.enrolments import PREFIX, PREFIX_END, is_enrolled
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.transactions.answers import Denied, Stale
from kitestring.base.transactions.owner import CloseAccount, SaveAccount, Transfer
from kitestring.ledger.apply.batch import USERS, AccountBalance, Batch

_NEW_ACCOUNT: Final = (
    "INSERT INTO accounts (service, account_id, name, kind, overdrawn, created_at) VALUES (?, ?, ?, 'sub', 0, ?)"
)
_RENAME: Final = "UPDATE accounts SET name = ? WHERE service = ? AND account_id = ?"
#: Those of enrolled keys are named by their keys, and are in nobody's way.
_SAME_NAME: Final = (
    "SELECT 1 FROM accounts INDEXED BY accounts_by_name WHERE service = ? AND name = ? AND account_id <> ?"
    f" AND kind = 'sub' AND (account_id < '{PREFIX}' OR account_id >= '{PREFIX_END}')"
)
_TRANSFER: Final = "SELECT 1 FROM transfers WHERE service = ? AND reference = ? AND reference <> ''"
_NAME: Final = "SELECT name FROM accounts WHERE service = ? AND account_id = ?"
_CLOSE: Final = "UPDATE accounts SET closed_at = ? WHERE service = ? AND account_id = ?"
#: What may still move money of an account. Invoices are looked for among those that wait, which are few.
_IN_USE: Final = """
SELECT EXISTS (SELECT 1 FROM grants INDEXED BY grants_by_account
    WHERE service = ?1 AND account_id = ?2 AND revoked_at IS NULL)
  OR EXISTS (SELECT 1 FROM offers INDEXED BY offers_by_account
    WHERE service = ?1 AND account_id = ?2 AND state <> 'deleted' AND (state = 'open' OR state = 'off'))
  OR EXISTS (SELECT 1 FROM invoices INDEXED BY invoices_unpaid
    WHERE service = ?1 AND state = 'open' AND state <> 'settled' AND account_id = ?2)
  OR EXISTS (SELECT 1 FROM invoices INDEXED BY invoices_unpaid
    WHERE service = ?1 AND state = 'accepted' AND state <> 'settled' AND account_id = ?2)"""


def save_account(batch: Batch, write: SaveAccount, _now: int) -> Denied | None:
    """The name alone: balances change by transfers, and the mark of an overdrawn account goes with what covers it. What
    the command has read of them may be old news."""
    account, key = write.account, (batch.service, write.account.account_id)
    if account.account_id.startswith("@"):
        return Denied(Reason.NOT_PERMITTED)
    if (
        not is_enrolled(account.account_id)
        and batch.execute(_SAME_NAME, (batch.service, account.name, key[1])).fetchone()
    ):
        return Denied(Reason.CONFLICT)
    known = batch.balance(account.account_id)
    if known is None:
        batch.execute(_NEW_ACCOUNT, (*key, account.name, account.created_at))
        return None
    batch.execute(_RENAME, (account.name, *key))
    return None


def close_account(batch: Batch, write: CloseAccount, _now: int) -> Denied | Stale | None:
    """Close it, unless anything of it is open."""
    account = batch.balance(write.account_id)
    if account is None or account.kind != "sub":
        return Denied(Reason.UNKNOWN_TARGET)
    if account.is_closed:
        return Denied(Reason.ALREADY_USED)
    key = batch.service, write.account_id
    if account.available or account.pending or account.overdrawn or batch.execute(_IN_USE, key).fetchone()[0]:
        return Stale()
    batch.execute(_CLOSE, (write.now, *key))
    account.closed_at = write.now
    return None


def tell_late(batch: Batch, account_id: str, at: int) -> None:
    """Raise an alarm where money has come for an account that is closed: for an invoice that the node had ended, or of
    a node on which the service did not stand. It is booked where its rows say, and only the owner can take it."""
    if batch.of(account_id).is_closed:
        (name,) = batch.execute(_NAME, (batch.service, account_id)).fetchone()
        name = account_id if is_enrolled(account_id) else name  # as it is typed
        detail = (
            f"money came for the account {name}, which is closed:"
            f" `kitestring account withdraw {name} --all` takes it back"
        )
        batch.tell(EventKind.ALARM, account_id, at, account_id=account_id, detail=detail)


def transfer(batch: Batch, write: Transfer, _now: int) -> Denied | None:
    """Move credit. While spending is stopped only back to the owner: that lowers what is promised to others."""
    amount, source, target = int(write.amount_msat), write.from_account, write.to_account
    if not 0 < amount <= MAX_MSAT:
        return Denied(Reason.AMOUNT_OUT_OF_RANGE)
    account, payee = batch.balance(source), batch.balance(target)
    if account is None or payee is None or source == target or not {account.kind, payee.kind} <= set(USERS):
        return Denied(Reason.UNKNOWN_TARGET)
    if not _is_open(account, payee, target, amount):
        return Denied(Reason.NOT_PERMITTED)
    if batch.execute(_TRANSFER, (batch.service, write.transfer_id)).fetchone() is not None:
        return Denied(Reason.ALREADY_USED)
    if batch.sums.stopped and target != OWNER_ACCOUNT:
        return Denied(Reason.SPENDING_STOPPED)
    overdrawn, available = account.overdrawn, account.available
    if source == OWNER_ACCOUNT:
        if write.view is None:
            return Denied(Reason.UNAVAILABLE)
        available = batch.owner_spendable(write.view)
        overdrawn = overdrawn and not batch.is_fresh(write.view)
    if overdrawn or amount > available:
        return Denied(Reason.INSUFFICIENT_FUNDS, Msat(0 if overdrawn else max(0, available)))
    batch.book("transfer", source, target, amount, write.now, reference=write.transfer_id, note=write.note)
    if write.view is not None and source == OWNER_ACCOUNT:
        batch.remember_view(write.view)
    return None


def _is_open(source: AccountBalance, target: AccountBalance, to: str, amount: int) -> bool:
    """Whether neither account is closed; of one that is, money goes back to the owner, and comes from him as far as it
    is overdrawn."""
    if source.is_closed and to != OWNER_ACCOUNT:
        return False
    return not target.is_closed or (source.kind == "owner" and amount <= -target.available)
