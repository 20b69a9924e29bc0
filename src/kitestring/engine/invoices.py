"""Making an invoice: decide, ask the node, store the invoice with its request and its reply.

Nobody sees the text before it is stored. So what a crash or a refusal leaves behind at the node can be paid by nobody,
and the same request, asked again, is answered with another invoice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, assert_never

import msgspec

from kitestring.base.commands import OWNER_ACCOUNT, MakeInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant, OfferState
from kitestring.base.money import ZERO
from kitestring.base.node import InvoiceOrder, NodeInvoice
from kitestring.base.outcomes import Invoiced, Refused, Transaction
from kitestring.base.payments import preimage_fits
from kitestring.base.records import Invoice
from kitestring.base.transactions import (
    Claimed,
    Denied,
    Finished,
    RecordInvoice,
    Running,
    Stale,
)
from kitestring.engine.answers import Answers, new_request
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.engine.grants import Grants
from kitestring.engine.node import reachable
from kitestring.policy.rules import refuse_invoice

log = logging.getLogger("kitestring.engine")

#: Unpaid invoices of one offer at the same time (each a row of about 1 kB, looked at once a minute): far more payers
#: than stand at one till within an hour, and strangers cannot fill the disk.
MAX_OPEN_PER_OFFER: Final = 1_000
#: Seconds after which one has probably expired: they are looked through once a minute.
OPEN_RETRY_S: Final = 60


class _Account(msgspec.Struct, frozen=True, gc=False):
    """Where the money goes, and the version of the grant that says so."""

    account_id: str
    version: int = 0


class Invoices:
    """Invoices into the account of a grant, or of an offer (then the caller is a stranger)."""

    def __init__(self, context: Context, answers: Answers, grants: Grants) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants

    async def handle(self, incoming: Incoming, command: MakeInvoice) -> None:
        """Have the invoice made and store it with its answer; returns when that is done.

        Raises KitestringError when the ledger cannot be read or written; then nothing was said.
        """
        account = await self._account(incoming, command, self._grants.get)
        if isinstance(account, Refused):
            await self._answers.refuse(incoming, account)
            return
        offer_id, max_open = command.offer_id, self._max_open(incoming, command)
        is_known, number = await self._context.store.before_invoice(incoming.request_id, incoming.grant_id, offer_id)
        if is_known:
            await self._answers.known(incoming.request_id)
        elif 0 < max_open <= number:
            await self._answers.refuse(incoming, self._refusal(Denied(Reason.RATE_LIMITED)))
        else:
            await self._make(incoming, command, account)

    async def _account(
        self, incoming: Incoming, command: MakeInvoice, grant_of: Callable[[str], Awaitable[Grant | None]]
    ) -> _Account | Refused:
        if incoming.grant_id:
            grant, now = await grant_of(incoming.grant_id), self._context.clock.now()
            refusal = refuse_invoice(command, grant, self._context.backend.capabilities, now=now)
            if refusal is not None or grant is None:
                return refusal or Refused(Reason.CONNECTION_ENDED)
            return _Account(grant.account_id, grant.version)
        if not command.offer_id:
            return _Account(OWNER_ACCOUNT)
        offer = await self._context.store.offer(command.offer_id)
        if offer is None or offer.state is not OfferState.OPEN:
            return Refused(Reason.UNKNOWN_TARGET, "there is no such offer here")
        return _Account(offer.account_id)

    def _max_open(self, incoming: Incoming, command: MakeInvoice) -> int:
        """Of the grant, or of the offer: strangers' invoices need a bound whatever the owner allows his apps."""
        if incoming.grant_id:
            return self._context.limits.open_invoices
        return MAX_OPEN_PER_OFFER if command.offer_id else 0

    async def _make(self, incoming: Incoming, command: MakeInvoice, account: _Account) -> None:
        own_preimage = self._context.backend.capabilities.own_preimage
        preimage = self._context.entropy(32).hex() if own_preimage else ""
        order = InvoiceOrder(
            command.amount_msat, command.description, command.description_hash, max(60, command.expiry_s), preimage
        )
        try:
            made = await reachable(self._context.backend.make_invoice(order))
        except KitestringError as unavailable:
            await self._answers.refuse(incoming, Refused.of(unavailable))
            return
        if preimage and not preimage_fits(preimage, made.payment_hash):
            log.error("the node has made an invoice of another hash than it was asked for: nobody is shown it")
            await self._answers.refuse(incoming, Refused(Reason.INTERNAL, "the node has made another invoice"))
            return
        await self._store(incoming, command, account, made, preimage)

    async def _store(
        self, incoming: Incoming, command: MakeInvoice, account: _Account | Refused, made: NodeInvoice, preimage: str
    ) -> None:
        """However often the grant changes meanwhile; what was made is stored under the newest or not at all."""
        for _ in range(MAX_STALE_ROUNDS):
            if isinstance(account, Refused):
                await self._answers.refuse(incoming, account)
                return
            answer = await self._context.store.apply(self._record(incoming, command, account, made, preimage))
            match answer:
                case Claimed() | Running():
                    return
                case Finished():
                    self._context.deliver(answer.messages)
                    return
                case Denied():
                    await self._answers.refuse(incoming, self._refusal(answer))
                    return
                case Stale():
                    account = await self._account(incoming, command, self._grants.reload)
                case _:
                    assert_never(answer)
        await self._answers.refuse(incoming, Refused(Reason.BUSY, "the connection keeps changing; try again"))

    def _record(
        self, incoming: Incoming, command: MakeInvoice, account: _Account, made: NodeInvoice, preimage: str
    ) -> RecordInvoice:
        now = self._context.clock.now()
        invoice = Invoice(
            invoice_id=self._context.new_id(now),
            node_id=self._context.node.node_id,
            epoch=self._context.node.epoch,
            account_id=account.account_id,
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
            payer_data=command.payer_data,
            request_id=incoming.request_id,
        )
        request = new_request(incoming, now)
        messages = self._answers.replies((request,), (Invoiced(_transaction(invoice)),))
        return RecordInvoice(request, account.version, invoice, messages, now, self._max_open(incoming, command))

    def _refusal(self, denied: Denied) -> Refused:
        if denied.reason is not Reason.RATE_LIMITED:
            return Refused(denied.reason)
        retry_after = self._context.clock.now() + OPEN_RETRY_S
        text = "too many unpaid invoices are open: pay one, or wait until one expires"
        return Refused(Reason.RATE_LIMITED, text, {"retry_after": retry_after})


def _transaction(invoice: Invoice) -> Transaction:
    return Transaction(
        type="incoming",
        state="pending",
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
        account_id=invoice.account_id,
        grant_id=invoice.grant_id,
    )
