"""Making an invoice: decide, ask the node, store the invoice with its request and its reply.

Nobody sees the text before it is stored. So what a crash or a refusal leaves behind at the node can be paid by nobody,
and the same request, asked again, is answered with another invoice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from typing import Final, assert_never

import msgspec

from kitestring.base.commands import (
    HOLD_BLOCKS,
    MIN_EXPIRY_S,
    MIN_HOLD_BLOCKS,
    OWNER_WIRE,
    AskOffer,
    MakeHoldInvoice,
    MakeInvoice,
)
from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant, Offer
from kitestring.base.invoices import holders
from kitestring.base.money import ZERO
from kitestring.base.node import HashTakenError, HoldOrder, InvoiceOrder, NodeInvoice
from kitestring.base.outcomes import Direction, Invoiced, Refused, Transaction, TransactionState
from kitestring.base.payments import preimage_fits
from kitestring.base.records import OwnInvoice
from kitestring.base.shares import have_room
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Running, Stale
from kitestring.base.transactions.invoices import RecordInvoice
from kitestring.engine.answers import Answers, new_request
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.engine.grants import Grants
from kitestring.engine.node import NodeGate, reachable
from kitestring.engine.quoted import QuotedRates
from kitestring.engine.shares import ShareTable, full
from kitestring.policy.prices import Market, price
from kitestring.policy.rules import refuse_invoice

log = logging.getLogger("kitestring.engine")

#: Hex digits that tell the payers of one offer apart: of a hash, so that no row says who somebody was.
PAYER_DIGITS: Final = 16

_HASH_TAKEN: Final = Refused(
    Reason.INVOICE_TAKEN, "there is an invoice of this payment hash already: a hold invoice needs a new one"
)

_GrantOf = Callable[[str], Awaitable[Grant | None]]


class _Terms(msgspec.Struct, frozen=True, gc=False):
    """The invoice to make, where the money goes, and what says so: the version of the grant (0: there is none), or the
    offer as it stands and the rates that it was priced with."""

    command: MakeInvoice
    account_id: str
    version: int
    offer: Offer | None = None
    rates: tuple[ExchangeRate, ...] = ()


class Invoices:
    """Invoices into the account of a grant, or of an offer (then the caller is a stranger)."""

    def __init__(self, context: Context, answers: Answers, grants: Grants, gate: NodeGate, shares: ShareTable) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants
        self._gate = gate
        self._shares = shares
        self._quoted = QuotedRates(context.rates, context.clock)

    async def handle(self, incoming: Incoming, command: MakeInvoice | AskOffer) -> Refused | None:
        """Have the invoice made and store it with its answer; returns when that is done. That an offer sells nothing is
        returned and stored nowhere.

        Raises KitestringError when the ledger cannot be read or written; then nothing was said.
        """
        refused = await self._carry_out(incoming, command)
        if refused is None or isinstance(command, AskOffer):
            return refused
        await self._answers.refuse(incoming, refused)
        return None

    async def _carry_out(self, incoming: Incoming, command: MakeInvoice | AskOffer) -> Refused | None:
        terms = await self._terms(incoming, command, self._grants.get)
        if isinstance(terms, Refused):
            return terms
        node_id, names, store = self._context.node.node_id, _holders(incoming, terms), self._context.store
        is_known, numbers = await store.before_invoice(incoming.request_id, node_id, names)
        if is_known:
            await self._answers.known(incoming.request_id)
            return None
        if not have_room(self._shares.invoices(names), numbers):
            return self._refusal(Denied(Reason.RATE_LIMITED))
        return await self._make(incoming, command, terms)

    async def _terms(
        self,
        incoming: Incoming,
        command: MakeInvoice | AskOffer,
        grant_of: _GrantOf,
        rates: tuple[ExchangeRate, ...] = (),
    ) -> _Terms | Refused:
        if isinstance(command, AskOffer):
            return await self._priced(command, rates)
        return self._granted(command, await grant_of(incoming.grant_id))

    def _granted(self, command: MakeInvoice, grant: Grant | None) -> _Terms | Refused:
        now = self._context.clock.now()
        refusal = refuse_invoice(command, grant, self._context.backend.capabilities, now=now)
        if refusal is not None or grant is None:
            return refusal or Refused(Reason.CONNECTION_ENDED)
        if command.account_id and grant.wire != OWNER_WIRE:
            return Refused(Reason.NOT_PERMITTED)
        return _Terms(command, command.account_id or grant.account_id, grant.version)

    async def _priced(self, ask: AskOffer, rates: tuple[ExchangeRate, ...] = ()) -> _Terms | Refused:
        """The terms of an offer, at ``rates`` or at those of now. The node is asked first, so that the offer is read as
        it stands when the invoice is made. Strangers' invoices have a bound whatever the owner allows."""
        try:
            receivable_msat = await self._gate.receivable()
            offer = await self._context.store.offer(ask.offer_id)
        except KitestringError as failure:
            return Refused.of(failure)
        if not rates and offer is not None and offer.currency and offer.is_open(self._context.clock.now()):
            rates = await self._rates_of(offer.currency)
        market = Market(
            receivable_msat, self._context.clock.now(), rates, self._context.backend.capabilities.amountless
        )
        sale = price(offer, ask, market)
        return sale if isinstance(sale, Refused) else _Terms(sale.command, sale.account_id, 0, offer, rates)

    async def _rates_of(self, currency: str) -> tuple[ExchangeRate, ...]:
        """The rates of a currency; none where nothing can be priced in it, which the doctor explains."""
        try:
            return await self._quoted.of(currency)
        except KitestringError as failure:
            log.debug("nothing is sold in %s: %s", currency, failure.message)
            return ()

    async def _make(self, incoming: Incoming, asked: MakeInvoice | AskOffer, terms: _Terms) -> Refused | None:
        command = terms.command
        if isinstance(command, MakeHoldInvoice):
            return await self._hold(incoming, command, terms)
        own_preimage = self._context.backend.capabilities.own_preimage
        preimage = self._context.entropy(32).hex() if own_preimage else ""
        order = InvoiceOrder(
            command.amount_msat,
            command.description,
            command.description_hash,
            max(MIN_EXPIRY_S, command.expiry_s),
            preimage,
        )
        try:
            made = await reachable(self._context.backend.make_invoice(order))
        except KitestringError as unavailable:
            return Refused.of(unavailable)
        if preimage and not preimage_fits(preimage, made.payment_hash):
            log.error("the node has made an invoice of another hash than it was asked for: nobody is shown it")
            return Refused(Reason.INTERNAL, "the node has made another invoice")
        return await self._store(incoming, asked, terms, made, preimage)

    async def _hold(self, incoming: Incoming, command: MakeHoldInvoice, terms: _Terms) -> Refused | None:
        """The hash is somebody else's, and so may be an invoice that the node has of it already: that is never taken
        over, not even one of ours that a crash has kept from being stored."""
        node, amount_msat, payment_hash = self._context.same_node, command.amount_msat, command.payment_hash
        assert amount_msat is not None, "refused before"  # noqa: S101 - of this very room
        if await self._context.store.invoice_by_hash(self._context.node.node_id, payment_hash) is not None:
            return _HASH_TAKEN
        order = HoldOrder(
            payment_hash, amount_msat, command.description, command.description_hash,
            max(MIN_EXPIRY_S, command.expiry_s), _hold_blocks(command),
        )  # fmt: skip
        try:
            made = await reachable(_or_taken(node.make_hold_invoice(order)))
        except KitestringError as failure:
            return Refused.of(failure)
        refused = await self._store(incoming, command, terms, made, command.preimage)
        if refused is not None:  # nobody has seen it: it goes, so that nothing is ever held for it
            self._context.spawn(self._discard(payment_hash))
        return refused

    async def _discard(self, payment_hash: str) -> None:
        with suppress(KitestringError):
            await reachable(self._context.backend.cancel_invoice(payment_hash))

    async def _store(
        self, incoming: Incoming, asked: MakeInvoice | AskOffer, first: _Terms, made: NodeInvoice, preimage: str
    ) -> Refused | None:
        """Store the invoice, however often the grant or the offer changes meanwhile: under the newest version or not at
        all. An offer is priced again at the rates of the first time: one that moves meanwhile changes nothing."""
        terms: _Terms | Refused = first
        for _ in range(MAX_STALE_ROUNDS):
            if isinstance(terms, Refused):
                return terms
            if terms.command != first.command:
                return Refused(Reason.BUSY, "the offer has changed just now; try again")
            answer = await self._context.store.apply(self._record(incoming, terms, made, preimage))
            match answer:
                case Claimed() | Running():
                    return None
                case Finished():
                    self._context.deliver(answer.messages)
                    return None
                case Denied():
                    return self._refusal(answer)
                case Stale():
                    terms = await self._terms(incoming, asked, self._grants.reload, first.rates)
                case _:
                    assert_never(answer)
        return Refused(Reason.BUSY, "the connection keeps changing; try again")

    def _record(self, incoming: Incoming, terms: _Terms, made: NodeInvoice, preimage: str) -> RecordInvoice:
        """The transaction that stores it. The row keeps the command of the invoice that was made, also where an offer
        was asked: of a stranger's words only those that the offer asks for are stored."""
        now, command = self._context.clock.now(), terms.command
        invoice = OwnInvoice(
            invoice_id=self._context.new_id(now),
            node_id=self._context.node.node_id,
            epoch=self._context.node.epoch,
            account_id=terms.account_id,
            grant_id=incoming.grant_id,
            payment_hash=made.payment_hash,
            bolt11=made.bolt11,
            amount_msat=command.amount_msat,
            created_at=now,
            expires_at=made.expires_at,
            preimage=preimage,
            description=command.description,
            description_hash=command.description_hash,
            metadata=command.metadata,
            offer_id=command.offer_id,
            payer_data=msgspec.json.encode(command.payer_data).decode() if command.payer_data else "",
            zap=command.zap,
            rate=command.rate,
            request_id=incoming.request_id,
            payer=_payer(incoming, command.offer_id),
            hold_blocks=_hold_blocks(command) if isinstance(command, MakeHoldInvoice) else 0,
        )
        if incoming.command is not command:
            incoming = msgspec.structs.replace(incoming, command=command)
        request = new_request(incoming, now)
        messages = self._answers.replies((request,), (Invoiced(_transaction(invoice)),))
        shares = self._shares.invoices(invoice.holders)
        return RecordInvoice(request, terms.version, invoice, messages, now, shares, terms.offer)

    def _refusal(self, denied: Denied) -> Refused:
        if denied.reason is Reason.INVOICE_TAKEN:
            return _HASH_TAKEN
        if denied.reason is not Reason.RATE_LIMITED:
            return Refused(denied.reason)
        text = "too many unpaid invoices are open: pay one, or wait until one expires"
        return full(text, self._context.clock.now())


def _hold_blocks(command: MakeHoldInvoice) -> int:
    return max(MIN_HOLD_BLOCKS, command.min_cltv_delta or HOLD_BLOCKS)


async def _or_taken(made: Awaitable[NodeInvoice]) -> NodeInvoice:
    try:
        return await made
    except HashTakenError as taken:
        raise KitestringError(_HASH_TAKEN.reason, _HASH_TAKEN.message) from taken


def _payer(incoming: Incoming, offer_id: str) -> str:
    if not incoming.author:
        return ""
    return sha256(f"{offer_id} {incoming.author}".encode()).hexdigest()[:PAYER_DIGITS]


def _holders(incoming: Incoming, terms: _Terms) -> tuple[str, ...]:
    offer_id = terms.command.offer_id
    return holders(incoming.grant_id, offer_id, _payer(incoming, offer_id))


def _transaction(invoice: OwnInvoice) -> Transaction:
    return Transaction(
        type=Direction.INCOMING,
        state=TransactionState.PENDING,
        payment_hash=invoice.payment_hash,
        amount_msat=invoice.amount_msat or ZERO,
        fee_msat=ZERO,
        created_at=invoice.created_at,
        expires_at=invoice.expires_at,
        bolt11=invoice.bolt11,
        description=invoice.description,
        description_hash=invoice.description_hash,
        metadata=invoice.metadata,
        offer_id=invoice.offer_id,
        payer_data=invoice.payer_data,
        rate=invoice.rate,
        account=invoice.account_id,
        connection_id=invoice.grant_id,
    )
