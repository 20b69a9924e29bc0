"""The owner's commands about money: pay, be paid, look."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta

from kitestring.app.owner.accounts import find_account, need_account, show_account, sub_accounts
from kitestring.app.owner.budgets import AmountMinor
from kitestring.app.owner.command import Ask, Call, Commands, Operate, Read, Receive, Spend, in_words, key_reused
from kitestring.app.owner.connections import NWC
from kitestring.app.owner.desk import Asking, Foreseeing, Operating, Reading, Receiving, Spending, expect
from kitestring.app.owner.params import (
    DEFAULT_WAIT_S,
    MAX_NOTE_CHARS,
    MAX_WAIT_S,
    AmountMsat,
    Currency,
    Name,
    NoParams,
    npub,
    of_others,
)
from kitestring.app.owner.results import money as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import (
    DEFAULT_EXPIRY_S,
    MAX_EXPIRY_S,
    MIN_EXPIRY_S,
    OWNER_ACCOUNT,
    OWNER_WIRE,
    GetInfo,
    LookupInvoice,
    MakeInvoice,
    PayInvoice,
    thaw,
)
from kitestring.base.currency import ExchangeRate, show_amount, show_rate
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_WHOLE, Msat
from kitestring.base.outcomes import Balance, Direction, Found, Info, Invoiced, Paid, Transaction
from kitestring.base.payments import State
from kitestring.base.records import Payment
from kitestring.base.text import one_line
from kitestring.client.payable import Payable, Terms, choose
from kitestring.codec.json import dumps, loads_object
from kitestring.wire.reply_to import Version
from kitestring.wire.serve.offers import MAX_PAYER_KEYS
from kitestring.wire.text import fit_description, fit_offer_words

_HASH: Final = re.compile("[0-9A-Fa-f]{64}", re.ASCII)

MaxFeeMsat = Annotated[int, Meta(ge=0, le=MAX_WHOLE)]


class PayParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``target`` is an invoice, an offer, or somebody who names one; ``amount_msat`` is needed where it names none.
    ``max_amount_msat`` is the most that may be paid: up to it, what only the service of an offer names. An offer is
    told ``payer_data``, and asked in the form of 2024 with ``nip69``. ``amount_minor`` of ``currency`` is the amount as
    it was typed, of which ``amount_msat`` is the worth: it is part of the order in its place. ``bolt11`` is the very
    invoice of the target that the payer has seen (`pay_preview`): it is paid, and the target is not asked again."""

    target: Annotated[str, Meta(min_length=1, max_length=16_384)]
    amount_msat: AmountMsat | None = None
    max_amount_msat: AmountMsat | None = None
    max_fee_msat: MaxFeeMsat | None = None
    description: str = ""
    payer_data: Annotated[dict[str, str], Meta(max_length=MAX_PAYER_KEYS)] = {}
    nip69: bool = False
    currency: Currency | None = None
    amount_minor: AmountMinor | None = None
    bolt11: Annotated[str, Meta(max_length=16_384)] = ""
    wait_s: Annotated[int, Meta(ge=0, le=MAX_WAIT_S)] = DEFAULT_WAIT_S


class BalanceParams(msgspec.Struct, forbid_unknown_fields=True):
    """``account`` is the name of one sub-account, None = the owner's balance and those of all."""

    account: Name | None = None


class InvoiceParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``account`` is the sub-account that is paid, or the owner's."""

    amount_msat: AmountMsat
    account: Name = OWNER_ACCOUNT
    description: str = ""
    expiry_s: Annotated[int, Meta(ge=MIN_EXPIRY_S, le=MAX_EXPIRY_S)] = DEFAULT_EXPIRY_S
    wait_s: Annotated[int, Meta(ge=0, le=MAX_WAIT_S)] = DEFAULT_WAIT_S


class LookupParams(msgspec.Struct, forbid_unknown_fields=True):
    payment_hash: Annotated[str, Meta(min_length=1, max_length=128)]


class ResolveParams(msgspec.Struct, forbid_unknown_fields=True):
    """``payment`` is the payment's id or its payment hash."""

    payment: Annotated[str, Meta(min_length=1, max_length=128)]
    note: Annotated[str, Meta(min_length=1, max_length=MAX_NOTE_CHARS)]


async def pay(desk: Spending, params: PayParams, call: Call) -> Result:
    """Pay an invoice or an offer from the owner account. The same key never pays twice."""
    stored = await desk.store.request(call.request_id)
    if stored is None:
        command = await _order(desk, params)
    else:  # repeated: the stored order is carried on, an offer is not asked for a second invoice
        command = _stored_order(stored.command, params)
    outcome = await desk.pay(call.request_id, call.caller.grant_id, command, params.wait_s)
    if claimed := await claimed_by(desk, call):  # while the payee was asked, the same key may have come once more
        command = _stored_order(claimed, params)
    if outcome is None:
        raise in_flight(command.payment_hash if claimed else "")
    return show_paid(expect(outcome, Paid))


async def claimed_by(desk: Reading, call: Call) -> bytes:
    """The command under the id of this call by now, b"" where there is none: of two that come at once with one key the
    second must not take the end of the first for its own."""
    stored = await desk.store.request(call.request_id)
    return b"" if stored is None else stored.command


def in_flight(payment_hash: str) -> KitestringError:
    """The error that tells that a payment has no end yet; ``payment_hash`` "" = which one it is does not show yet."""
    known = {"payment_hash": payment_hash} if payment_hash else {}
    sentence = "the payment is still under way; `kitestring transactions --unpaid` shows how it ends"
    return KitestringError(Reason.PAYMENT_IN_FLIGHT, sentence, **known)


def show_paid(paid: Paid) -> Result:
    """The result of a payment that has settled."""
    return {
        "payment_hash": paid.payment_hash,
        "preimage": paid.preimage,
        "amount_msat": int(paid.amount_msat),
        "fee_msat": int(paid.fee_msat),
        "service_fee_msat": int(paid.service_fee_msat),
        "internal": paid.internal,
        "already_paid": paid.is_old,
        "created_at": paid.created_at or None,
    }


def _stored_order(stored: bytes, params: PayParams) -> PayInvoice:
    command = thaw(stored)
    if not isinstance(command, PayInvoice):
        raise key_reused("pay")
    asked = loads_object(command.metadata) if command.metadata else {}
    if asked != _asked(params):
        raise key_reused("pay")
    return command


def _asked(params: PayParams) -> dict[str, Any]:
    """The owner's order, kept with the payment: a repeated command must ask for the same. Apps that list payments
    may see it, so what was told about the payer is only recognised by its hash."""
    asked: dict[str, Any] = {
        "target": choose(params.target).identity,
        "amount_msat": params.amount_msat,
        "max_fee_msat": params.max_fee_msat,
    }
    if params.currency:  # repeated later, it is worth something else, and is the same order
        asked |= {"amount_msat": None, "currency": params.currency, "amount_minor": params.amount_minor}
    if params.max_amount_msat is not None:
        asked["max_amount_msat"] = params.max_amount_msat
    if params.payer_data:
        asked["payer_data_hash"] = sha256(dumps(sorted(params.payer_data.items())).encode()).hexdigest()
    if params.nip69:
        asked["nip69"] = True
    return asked


async def _order(desk: Spending, params: PayParams) -> PayInvoice:
    max_fee = None if params.max_fee_msat is None else Msat(params.max_fee_msat)
    payable = await (_as_seen(desk, params) if params.bolt11 else payable_of(desk, params))
    words = fit_offer_words(params.description)
    return payable.order(max_fee, description=words, metadata=dumps(_asked(params)))


async def _as_seen(desk: Spending, params: PayParams) -> Payable:
    """The invoice that was shown to the payer, by the terms that were agreed to."""
    amount, most = _money(params.amount_msat), _money(params.max_amount_msat)
    return await desk.find_payable(params.bolt11, Terms(amount, max_msat=most))


class Wanted(Protocol):
    """The payee, and the terms of paying."""

    @property
    def target(self) -> str: ...
    @property
    def amount_msat(self) -> int | None: ...
    @property
    def max_amount_msat(self) -> int | None: ...
    @property
    def description(self) -> str: ...
    @property
    def payer_data(self) -> dict[str, str]: ...
    @property
    def nip69(self) -> bool: ...


async def payable_of(desk: Spending | Foreseeing, params: Wanted) -> Payable:
    """The invoice to pay for a target, which is asked for it where it is none. Raises KitestringError."""
    version: Version = "legacy" if params.nip69 else "tagged"
    terms = Terms(
        _money(params.amount_msat), fit_offer_words(params.description), max_msat=_money(params.max_amount_msat),
        payer_data=params.payer_data, version=version,
    )  # fmt: skip
    return await desk.find_payable(params.target, terms)


def _money(amount_msat: int | None) -> Msat | None:
    return None if amount_msat is None else Msat(amount_msat)


async def invoice(desk: Receiving, params: InvoiceParams, call: Call) -> Result:
    """Make an invoice into the owner account, or into a sub-account."""
    account = await need_account(desk, params.account)
    command = MakeInvoice(
        amount_msat=Msat(params.amount_msat),
        description=fit_description(params.description),
        expiry_s=params.expiry_s,
        account_id="" if account.account_id == OWNER_ACCOUNT else account.account_id,
    )
    stored = await desk.store.request(call.request_id)
    if stored is not None and thaw(stored.command) != command:
        raise key_reused("invoice")
    if stored is None:
        await _need_receivable(desk, Msat(params.amount_msat))
    outcome = await desk.make_invoice(call.request_id, call.caller.grant_id, command, params.wait_s)
    if (claimed := await claimed_by(desk, call)) and thaw(claimed) != command:
        raise key_reused("invoice")
    if outcome is None:
        raise KitestringError(Reason.UNAVAILABLE, "the node has not made the invoice yet: try again")
    made = expect(outcome, Invoiced).transaction
    desk.did(in_words("invoice", params))
    return show_transaction(made)


async def _need_receivable(desk: Receiving, amount: Msat) -> None:
    """Raise KitestringError for what nobody could pay now: the invoice would only be shown to a payer in vain."""
    try:
        most = await desk.receivable()
    except KitestringError as failure:
        if failure.reason is not Reason.UNAVAILABLE:
            raise
        return  # whether there is a node at all shows when it is asked for the invoice
    if amount > most:
        raise KitestringError(
            Reason.AMOUNT_OUT_OF_RANGE,
            f"the node can receive at most {most} now, so that nobody could pay this invoice: ask for less, or open"
            " channels by which more can come in",
            receivable_msat=int(most),
        )


async def balance(desk: Reading, params: BalanceParams, call: Call) -> Result:
    """Show what the owner account (None: the node cannot be asked) and the sub-accounts can spend, or one of them."""
    if params.account is not None and params.account != OWNER_ACCOUNT:
        account = await find_account(desk, params.account)
        free = max(0, int(account.available_msat))
        return {"balance_msat": free, "unknown_because": None, "accounts": [show_account(account)]}
    owner: int | None = None
    why: str | None = None
    try:
        owner = int(expect(await desk.balance(call.caller.grant_id), Balance).balance_msat)
    except KitestringError as failure:
        if failure.reason is not Reason.UNAVAILABLE:
            raise
        why = failure.message
    accounts = await sub_accounts(desk)
    return {"balance_msat": owner, "unknown_because": why, "accounts": [show_account(account) for account in accounts]}


async def lookup(desk: Asking, params: LookupParams, call: Call) -> Result:
    """Show one payment or invoice, by its payment hash of 64 hexadecimal digits."""
    if _HASH.fullmatch(params.payment_hash) is None:
        raise KitestringError(Reason.MALFORMED, "a payment hash is 64 hexadecimal digits")
    asked = LookupInvoice(payment_hash=params.payment_hash.lower())
    found = expect(await desk.ask(call.caller.grant_id, asked), Found).transaction
    return show_transaction(found, await grant_of(desk, found.connection_id))


async def grant_of(desk: Reading, grant_id: str) -> Grant | None:
    """The grant of that id, None for the owner's own."""
    grant = await desk.store.grant(grant_id) if grant_id else None
    return None if grant is None or grant.wire == OWNER_WIRE else grant


async def info(desk: Asking, _params: NoParams, call: Call) -> Result:
    """Show the node behind the service, and the service's own counters."""
    node = expect(await desk.ask(call.caller.grant_id, GetInfo()), Info)
    totals = await desk.store.totals()
    return {
        "service_pubkey": desk.service_id,
        "relays": list(desk.relay_urls()),
        "alias": node.alias or None,
        "node_pubkey": node.node_pubkey or None,
        "network": node.network or None,
        "block_height": node.block_height,
        "spent_msat": int(totals.spent_msat),
        "sub_accounts_msat": int(totals.sub_accounts_msat),
        "pending_msat": int(totals.pending_msat),
        "service_fees_msat": int(totals.service_fees_msat),
        "spending_stopped": totals.spending_stopped or None,
    }


async def payment_resolve(desk: Operating, params: ResolveParams, _call: Call) -> Result:
    """Take the operator's word about a payment whose end nobody can tell: its reservation is released, with a note."""
    async with desk.one_at_a_time:  # of two words at once, the second finds the first
        return await _resolve(desk, params)


async def _resolve(desk: Operating, params: ResolveParams) -> Result:
    unknown = [payment for payment in await desk.store.open_payments() if payment.state is State.UNKNOWN]
    wanted = params.payment
    found = next((payment for payment in unknown if wanted in (payment.payment_id, payment.payment_hash)), None)
    if found is None:
        known = await desk.store.payment(wanted)
        if known is not None and known.state is State.RESOLVED:
            return _show_resolved(known)
        raise KitestringError(
            Reason.UNKNOWN_TARGET, "there is no payment of unknown outcome with this id or hash; nothing was changed"
        )
    await desk.resolve_payment(found.payment_id, one_line(params.note, MAX_NOTE_CHARS))
    return _show_resolved(found)


def _show_resolved(payment: Payment) -> Result:
    return {
        "payment_id": payment.payment_id,
        "payment_hash": payment.payment_hash,
        "amount_msat": int(payment.amount_msat),
        "state": State.RESOLVED.value,
    }


def show_transaction(transaction: Transaction, grant: Grant | None = None) -> Result:
    """One row as JSON; amounts are msat, times Unix seconds, what is missing is None. ``grant`` is the connection, or
    the debit grant or pointer, that it belongs to. ``price`` and ``rate`` are those of an offer with a price in another
    currency."""
    rate, is_outgoing = transaction.rate, transaction.type is Direction.OUTGOING
    return {
        "type": transaction.type.value,
        "state": transaction.state.value,
        "payment_hash": transaction.payment_hash,
        "amount_msat": int(transaction.amount_msat),
        "fee_msat": int(transaction.fee_msat),
        "service_fee_msat": int(transaction.service_fee_msat),
        "created_at": transaction.created_at,
        "settled_at": transaction.settled_at,
        "expires_at": transaction.expires_at,
        "settle_deadline": transaction.settle_deadline,
        "bolt11": transaction.bolt11 or None,
        "description": transaction.description or None,
        "description_hash": transaction.description_hash or None,
        "preimage": transaction.preimage or None,
        "internal": transaction.internal,
        "metadata": as_object(transaction.metadata),
        "offer_id": transaction.offer_id or None,
        "payer_data": as_object(transaction.payer_data),
        "price": None if rate is None else _price(rate, transaction.amount_msat),
        "rate": None if rate is None else show_rate_kept(rate),
        "account": transaction.account,
        "connection_id": of_others(transaction.connection_id),
        "connection": grant.name if grant is not None and grant.wire == NWC else None,
        "charged_to": grant.name if grant is not None and is_outgoing else None,
        "requestor": transaction.requestor or None,
        "npub": npub(transaction.requestor) if transaction.requestor else None,
    }


def as_object(text: str) -> Result | None:
    """The JSON object that is kept as a text, None where there is none."""
    return loads_object(text) if text else None


def _price(rate: ExchangeRate, amount_msat: Msat) -> str:
    return f"{show_amount(rate.paid_for(amount_msat), rate.currency)} at {show_rate(rate)}"


def show_rate_kept(rate: ExchangeRate) -> Result:
    """A rate as JSON: so many msat are so many minor units."""
    return {
        "currency": rate.currency,
        "msat": rate.msat,
        "minor": rate.minor,
        "told_at": rate.at,
        "sources": list(rate.sources),
    }


COMMANDS: Final[Commands] = (
    Spend("pay", PayParams, pay, results.PaidJson),
    Receive("invoice", InvoiceParams, invoice, results.TransactionJson),
    Read("balance", BalanceParams, balance, results.BalanceJson),
    Ask("lookup", LookupParams, lookup, results.TransactionJson),
    Ask("info", NoParams, info, results.NodeInfoJson),
    Operate("payment_resolve", ResolveParams, payment_resolve, results.ResolvedJson),
)
