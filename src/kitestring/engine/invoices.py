"""Making an invoice: claim, ask the node, record, reply. A crash in between makes the same invoice again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, assert_never

from kitestring.base.commands import OWNER_ACCOUNT, MakeInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant, OfferState
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import ZERO
from kitestring.base.node import InvoiceOrder, NodeInvoice
from kitestring.base.outcomes import Invoiced, Refused, Transaction
from kitestring.base.records import Invoice, Request
from kitestring.base.transactions import (
    Claimed,
    ClaimInvoice,
    Denied,
    DropInvoice,
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


class Invoices:
    """Invoices into the account of a grant, or of an offer (then the caller is a stranger)."""

    def __init__(self, context: Context, answers: Answers, grants: Grants) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants

    async def handle(self, incoming: Incoming, command: MakeInvoice) -> None:
        """Decide, claim and make the invoice; returns when the answer is stored."""
        answer = await self._claim(incoming, command, self._grants.get)
        for _ in range(MAX_STALE_ROUNDS - 1):
            if not isinstance(answer, Stale):
                break
            answer = await self._claim(incoming, command, self._grants.reload)
        match answer:
            case Invoice():
                await self._make(answer, new_request(incoming, self._context.clock.now()))
            case Finished():
                self._context.deliver(answer.messages)
            case Running():
                pass
            case Refused():
                await self._answers.refuse(incoming, answer)
            case Denied():
                await self._answers.refuse(incoming, self._refusal(answer))
            case Stale():
                await self._answers.refuse(incoming, Refused(Reason.BUSY, "the connection keeps changing; try again"))
            case _:
                assert_never(answer)

    async def _claim(
        self, incoming: Incoming, command: MakeInvoice, grant_of: Callable[[str], Awaitable[Grant | None]]
    ) -> Invoice | Finished | Running | Stale | Denied | Refused:
        now = self._context.clock.now()
        account_id, version = OWNER_ACCOUNT, 0
        if incoming.grant_id:
            grant = await grant_of(incoming.grant_id)
            refusal = refuse_invoice(command, grant, self._context.backend.capabilities, now=now)
            if refusal is not None or grant is None:
                return refusal or Refused(Reason.CONNECTION_ENDED)
            account_id, version = grant.account_id, grant.version
        elif command.offer_id:
            offer = await self._context.store.offer(command.offer_id)
            if offer is None or offer.state is not OfferState.OPEN:
                return Refused(Reason.UNKNOWN_TARGET, "there is no such offer here")
            account_id = offer.account_id
        invoice = self._new_invoice(incoming, command, account_id, now)
        claim = ClaimInvoice(new_request(incoming, now), version, invoice, self._max_open(incoming))
        answer = await self._context.store.apply(claim)
        return invoice if isinstance(answer, Claimed) else answer

    def _max_open(self, incoming: Incoming) -> int:
        """Of the grant, or of the offer: strangers' invoices need a bound whatever the owner allows his apps."""
        if incoming.grant_id:
            return self._context.limits.open_invoices
        return MAX_OPEN_PER_OFFER if isinstance(incoming.command, MakeInvoice) and incoming.command.offer_id else 0

    def _refusal(self, denied: Denied) -> Refused:
        if denied.reason is not Reason.RATE_LIMITED:
            return Refused(denied.reason)
        retry_after = self._context.clock.now() + OPEN_RETRY_S
        text = "too many unpaid invoices are open: pay one, or wait until one expires"
        return Refused(Reason.RATE_LIMITED, text, {"retry_after": retry_after})

    def _new_invoice(self, incoming: Incoming, command: MakeInvoice, account_id: str, now: int) -> Invoice:
        preimage = self._context.entropy(32) if self._context.backend.capabilities.own_preimage else b""
        return Invoice(
            invoice_id=self._context.new_id(now),
            node_id=self._context.node.node_id,
            epoch=self._context.node.epoch,
            account_id=account_id,
            grant_id=incoming.grant_id,
            payment_hash=hashlib.sha256(preimage).hexdigest() if preimage else "",
            bolt11="",
            amount_msat=command.amount_msat,
            created_at=now,
            expires_at=now + command.expiry_s,
            state=InvoiceState.CREATING,
            preimage=preimage.hex(),
            description=command.description,
            description_hash=command.description_hash,
            metadata=command.metadata,
            offer_id=command.offer_id,
            payer_data=command.payer_data,
            request_id=incoming.request_id,
        )

    async def _make(self, invoice: Invoice, request: Request) -> None:
        order = InvoiceOrder(
            invoice.amount_msat,
            invoice.description,
            invoice.description_hash,
            max(60, invoice.expires_at - self._context.clock.now()),
            invoice.preimage,
        )
        try:
            made = await reachable(self._context.backend.make_invoice(order))
        except KitestringError as unavailable:
            # Nobody has ever seen this invoice's text, so nobody can pay it: dropping it loses nothing.
            refusal = Refused(unavailable.reason, unavailable.message, dict(unavailable.details))
            await self._drop(invoice, request, refusal)
            return
        await self._record(invoice, request, made)

    async def _record(self, invoice: Invoice, request: Request, made: NodeInvoice) -> None:
        messages = self._answers.replies((request,), (Invoiced(_transaction(invoice, made)),))
        now = self._context.clock.now()
        await self._context.record(
            RecordInvoice(invoice.invoice_id, made.bolt11, made.payment_hash, made.expires_at, now, messages)
        )

    async def _drop(self, invoice: Invoice, request: Request, refusal: Refused) -> None:
        messages = self._answers.replies((request,), (refusal,))
        await self._context.record(DropInvoice(invoice.invoice_id, self._context.clock.now(), messages))

    async def resume(self, invoice: Invoice) -> None:
        """After a crash: make the invoice again (with our own preimage it is the same one) and answer."""
        request = await self._context.store.request(invoice.request_id)
        if request is None:
            return
        if invoice.node_id != self._context.node.node_id:
            refusal = Refused(Reason.UNAVAILABLE, "the service stands on another node now: ask for a new invoice")
            await self._drop(invoice, request, refusal)
            return
        await self._make(invoice, request)


def _transaction(invoice: Invoice, made: NodeInvoice) -> Transaction:
    return Transaction(
        type="incoming",
        state="pending",
        payment_hash=made.payment_hash,
        amount_msat=invoice.amount_msat or ZERO,
        fee_msat=ZERO,
        created_at=invoice.created_at,
        expires_at=made.expires_at,
        bolt11=made.bolt11,
        description=invoice.description,
        description_hash=invoice.description_hash,
        metadata=invoice.metadata,
        offer_id=invoice.offer_id,
        payer_data=invoice.payer_data,
        account_id=invoice.account_id,
        grant_id=invoice.grant_id,
    )
