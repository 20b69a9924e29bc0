"""The owner's command that closes an account, and what is in its way."""

from __future__ import annotations

from shlex import quote
from typing import Final

import msgspec

from kitestring.app.owner.account_moves import movable
from kitestring.app.owner.accounts import called, find_account, show_account
from kitestring.app.owner.books import MIN_HASH_CHARS
from kitestring.app.owner.command import Call, Change, Commands, Manage
from kitestring.app.owner.connections import NWC
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.params import MAX_NAMED, Name
from kitestring.app.owner.results import accounts as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import DEBITS_WIRE, MANAGE_WIRE, OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account, Grant
from kitestring.base.invoices import Decision
from kitestring.base.money import ZERO
from kitestring.base.records import OwnInvoice
from kitestring.base.store import OffersOf
from kitestring.base.transactions.owner import CloseAccount, Transfer, Write

#: Of each kind so many are looked for: more than anybody ends by hand before looking again.
MAX_IN_THE_WAY: Final = 100


class CloseParams(msgspec.Struct, forbid_unknown_fields=True):
    """``withdraw``: what is left goes back to the owner in the same commit."""

    account: Name
    withdraw: bool = False


async def account_close(desk: Managing, params: CloseParams, call: Call) -> Change | Result:
    """Close a sub-account forever, once nothing of it is open. Its history stays."""
    account, now = await find_account(desk, params.account), desk.clock.now()
    if account.account_id == OWNER_ACCOUNT:
        raise KitestringError(Reason.MALFORMED, "the owner account is the node itself and is never closed")
    if account.closed_at is not None:
        return {**show_account(account), "withdrawn_msat": 0}
    invoices = await desk.store.account_invoices(account.account_id, MAX_IN_THE_WAY)
    found = await _in_the_way(desk, account, invoices, withdraw=params.withdraw)
    if found:
        raise _open(account, found, [one.payment_hash for one in invoices if not one.is_hold])
    amount = movable(account, None) if account.available_msat else ZERO
    writes: list[Write] = [CloseAccount(account.account_id, now)]
    if amount:
        back = Transfer(call.request_id, account.account_id, OWNER_ACCOUNT, amount, "the account was closed", now)
        writes.insert(0, back)
    return Change(tuple(writes), {**_ended(account, now), "withdrawn_msat": int(amount)})


def _open(account: Account, found: list[str], cancellable: list[str]) -> KitestringError:
    """The error that names what is in the way; ``cancellable`` are the payment hashes of the invoices among it."""
    more = f"; and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    hint = "; with --cancel-invoices its invoices are cancelled first" if cancellable else ""
    sentence = f"{called(account)} cannot be closed yet: {'; '.join(found[:MAX_NAMED])}{more}{hint}"
    return KitestringError(Reason.NOT_PERMITTED, sentence, in_the_way=found, open_invoices=cancellable)


def _ended(account: Account, now: int) -> Result:
    return {**show_account(account), "available_msat": 0, "closed_at": now}


async def _in_the_way(desk: Reading, account: Account, invoices: list[OwnInvoice], *, withdraw: bool) -> list[str]:
    """Everything of the account that is open, with the command that ends it."""
    offers = await desk.store.offers_of(OffersOf(account_id=account.account_id), limit=MAX_IN_THE_WAY)
    return [
        *_money(account, withdraw=withdraw),
        *_grants(await desk.store.account_grants(account.account_id)),
        *(f"the offer {offer.label!r} (`kitestring offer delete {offer.offer_id}`)" for offer in offers),
        *map(_invoice, invoices),
    ]


def _money(account: Account, *, withdraw: bool) -> list[str]:
    name, found = called(account), list[str]()
    if account.pending_msat:
        found.append(f"payments under way reserve {account.pending_msat} of it (wait for their end)")
    if account.overdrawn:
        owed = max(ZERO, -account.available_msat)
        found.append(f"it is overdrawn by {owed} (`kitestring account fund {name} AMOUNT_SAT` covers it)")
    elif account.available_msat and not withdraw:
        found.append(
            f"it has {account.available_msat} (close it with --withdraw, or `kitestring account withdraw {name} --all`)"
        )
    return found


def _grants(grants: list[Grant]) -> list[str]:
    """Connections, and pointers and links with all that hang on them."""
    ends = {grant.grant_id for grant in grants if not grant.caller}
    return [_grant(grant) for grant in grants if grant.wire == NWC or grant.pointer_id not in ends or not grant.caller]


def _grant(grant: Grant) -> str:
    name = quote(grant.name)
    match grant.wire, bool(grant.caller):
        case (wire, False) if wire == DEBITS_WIRE:
            return f"the debit pointer {grant.name!r} (`kitestring debit pointer delete {grant.grant_id}`)"
        case (wire, False) if wire == MANAGE_WIRE:
            return f"the link {grant.name!r} (`kitestring manage unlink {grant.grant_id}`)"
        case (wire, True) if wire == DEBITS_WIRE:
            return f"the debits of {grant.name!r} (`kitestring debit revoke {grant.grant_id}`)"
        case (wire, True) if wire == MANAGE_WIRE:
            return f"the app {grant.name!r} (`kitestring manage revoke {grant.grant_id}`)"
        case _:
            return f"the connection {grant.name!r} (`kitestring revoke {name}`)"


def _invoice(invoice: OwnInvoice) -> str:
    if invoice.is_hold:
        return f"a hold invoice (`kitestring hold cancel {invoice.payment_hash}`)"
    amount = "" if invoice.amount_msat is None else f" for {invoice.amount_msat}"
    if invoice.decision is Decision.CANCEL:
        return f"an invoice{amount} that is to be cancelled (wait until the node has said so)"
    return f"an open invoice{amount} (`kitestring invoice cancel {invoice.payment_hash[:MIN_HASH_CHARS]}`)"


COMMANDS: Final[Commands] = (Manage("account_close", CloseParams, account_close, results.AccountClosedJson),)
