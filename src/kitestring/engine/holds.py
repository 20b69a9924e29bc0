"""Hold invoices: made, settled and cancelled by their makers, and followed until they have ended. The owner's word that
an ordinary invoice is to be cancelled goes the same way: stored, carried out, and ended by the node."""

from __future__ import annotations

import asyncio
from typing import Final, assert_never

from kitestring.base.commands import OWNER_WIRE, CancelHold, CancelInvoice, MakeHoldInvoice, SettleHold
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind
from kitestring.base.grants import Grant
from kitestring.base.invoices import WAITING, Decision, InvoiceState
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, Settlement
from kitestring.base.outcomes import Canceled, HoldEnded, Refused
from kitestring.base.payments import OPEN, preimage_fits
from kitestring.base.records import OwnInvoice, Request
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Running, Stale
from kitestring.base.transactions.feed import Committed
from kitestring.base.transactions.invoices import DecideHold, HoldPayment
from kitestring.engine.answers import Answers, new_request
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.engine.grants import Grants
from kitestring.engine.hold_places import HoldPlaces
from kitestring.engine.hold_pursuit import HoldPursuit
from kitestring.engine.incoming import IncomingMoney
from kitestring.engine.invoices import Invoices
from kitestring.engine.node import NodeGate, reachable
from kitestring.engine.outcomes import canceled, hold_ended
from kitestring.engine.shares import full
from kitestring.policy.rules import refuse_caller

#: Rows read in one go at a start.
PAGE: Final = 200
_NEWS: Final = frozenset({EventKind.ACCEPTED, EventKind.CANCELED, EventKind.RECEIVED})
_UNPAID: Final = Refused(Reason.CONFLICT, "nobody has paid this hold invoice yet: there is nothing to settle")
_TOO_LITTLE: Final = Refused(
    Reason.CONFLICT, "the node has settled this hold invoice with less than was asked for: it is the owner's money"
)
#: What is told where the node can hold no payment of it any more.
_NOT_THERE: Final = {
    NodeInvoiceState.CANCELED: Refused(
        Reason.CONFLICT, "this hold invoice was cancelled or has expired at the node, and cannot be settled any more"
    ),
    NodeInvoiceState.UNKNOWN: Refused(
        Reason.CONFLICT, "the node does not know this hold invoice any more, so it cannot be settled; tell the owner"
    ),
}
_IS_SETTLED: Final = Refused(Reason.CONFLICT, "this hold invoice is being settled, and cannot be cancelled any more")
_IS_CANCELLED: Final = Refused(Reason.CONFLICT, "this hold invoice is being cancelled, and cannot be settled any more")
_NO_PREIMAGE: Final = Refused(Reason.MALFORMED, "the preimage of this hold invoice is not kept here: give it")
_WRONG_PREIMAGE: Final = Refused(Reason.MALFORMED, "this is not the preimage of the payment hash")
_NONE: Final = Refused(Reason.UNKNOWN_TARGET, "there is no such hold invoice on this connection")
_NO_INVOICE: Final = Refused(Reason.UNKNOWN_TARGET, "there is no such invoice of this service at this node")
_IS_HOLD: Final = Refused(
    Reason.CONFLICT, "this is a hold invoice, for which a payment may be held: `kitestring hold cancel HASH` ends it"
)
_CANNOT: Final = Refused(
    Reason.UNSUPPORTED, "the node, or the wallet in its place, cannot cancel an invoice: it stays open until it expires"
)

_Deciding = SettleHold | CancelHold | CancelInvoice
_Ended = HoldEnded | Canceled | Refused


class Holds:
    """The hold invoices of one service."""

    def __init__(
        self, context: Context, answers: Answers, grants: Grants, gate: NodeGate, invoices: Invoices,
        incoming: IncomingMoney,
    ) -> None:  # fmt: skip
        self._context = context
        self._answers = answers
        self._grants = grants
        self._gate = gate
        self._invoices = invoices
        self._incoming = incoming
        self._places = HoldPlaces(context.holds.tell)
        self._pursuits: dict[str, HoldPursuit] = {}
        context.store.subscribe(self._hear)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """Tasks that wait for payers and decisions: a stop does not wait for them."""
        return {pursuit.task for pursuit in self._pursuits.values() if pursuit.task is not None}

    # ------------------------------------------------------------ made and decided

    async def make(self, incoming: Incoming, command: MakeHoldInvoice) -> Refused | None:
        """As :meth:`Invoices.handle`; then the invoice is followed."""
        refused = await self._invoices.handle(incoming, command)
        made = await self._context.store.invoice_by_hash(self._context.node.node_id, command.payment_hash)
        if made is not None and made.is_hold and made.state in WAITING:
            self.follow(made.invoice_id)
        return refused

    async def decide(self, incoming: Incoming, command: _Deciding) -> Refused | None:
        """Store the decision and carry it out. The answer comes when the node has said that the invoice has ended.

        Raises KitestringError when the ledger cannot be read or written; then nothing was said.
        """
        answer = await self._decide(incoming, command)
        if isinstance(answer, Refused):
            await self._answers.refuse(incoming, answer)
        elif answer is not None:
            await self._answers.confirm(incoming, answer)
        return None

    async def _decide(self, incoming: Incoming, command: _Deciding) -> _Ended | None:
        """None where the request is claimed, and is answered by whoever carries the decision out."""
        grant = await self._grants.get(incoming.grant_id)
        for _ in range(MAX_STALE_ROUNDS):
            refused = refuse_caller(grant, self._context.clock.now(), command)
            if refused is not None or grant is None:
                return refused or Refused(Reason.CONNECTION_ENDED)
            if await self._answers.known(incoming.request_id):
                return None
            decided = await self._found(grant, command)
            if not isinstance(decided, DecideHold):
                return decided
            answer = await self._apply(incoming, grant, decided)
            if not isinstance(answer, Stale):
                return answer
            grant = await self._grants.reload(grant.grant_id)
        return Refused(Reason.BUSY, "the invoice or the connection keeps changing; try again")

    async def _apply(self, incoming: Incoming, grant: Grant, decided: DecideHold) -> Refused | Stale | None:
        request = new_request(incoming, decided.now, decided.invoice_id)
        answer = await self._context.store.apply(
            DecideHold(decided.invoice_id, decided.decision, decided.now, request, grant.version, decided.preimage)
        )
        match answer:
            case Claimed() | Running():
                self.follow(decided.invoice_id)
                self._context.holds.tell(decided.invoice_id)
                return None
            case Finished():
                self._context.deliver(answer.messages)
                return None
            case Denied():
                if answer.reason is not Reason.RATE_LIMITED:
                    return Refused(answer.reason)
                words = "too many requests wait for the end of this invoice"
                return full(words, self._context.clock.now())
            case Stale():
                return answer
        assert_never(answer)

    async def _found(self, grant: Grant, command: _Deciding) -> _Ended | DecideHold:
        """The verdict on the invoice that is meant. Nobody but its maker, and the owner, decides about it, whoever sees
        it; the owner alone cancels an ordinary one."""
        found = await self._context.store.invoice_by_hash(self._context.node.node_id, command.payment_hash)
        is_owner = grant.wire == OWNER_WIRE
        if isinstance(command, CancelInvoice):
            return self._ordinary(found) if found is not None and is_owner else _NO_INVOICE
        if found is None or not found.is_hold or not (is_owner or found.grant_id == grant.grant_id):
            return _NONE
        return await self._verdict(found, command)

    def _ordinary(self, invoice: OwnInvoice) -> _Ended | DecideHold:
        """The verdict on an ordinary invoice that is to be cancelled: only the node's word will end it."""
        if invoice.is_hold:
            return _IS_HOLD
        if invoice.state is not InvoiceState.OPEN:
            return canceled(invoice, invoice.state)
        if not self._context.backend.capabilities.cancel:
            return _CANNOT
        return DecideHold(invoice.invoice_id, Decision.CANCEL, self._context.clock.now())

    async def _verdict(self, invoice: OwnInvoice, command: SettleHold | CancelHold) -> _Ended | DecideHold:
        is_settle = isinstance(command, SettleHold)
        preimage = ""
        if isinstance(command, SettleHold):
            preimage = command.preimage or invoice.preimage
            if not preimage:
                return _NO_PREIMAGE
            if not preimage_fits(preimage, invoice.payment_hash):
                return _WRONG_PREIMAGE
        if invoice.state not in WAITING:
            return hold_ended(command, invoice, invoice.state)
        wanted = Decision.SETTLE if is_settle else Decision.CANCEL
        if invoice.decision not in {Decision.NONE, wanted}:
            return _IS_CANCELLED if is_settle else _IS_SETTLED
        if isinstance(command, SettleHold) and invoice.state is InvoiceState.OPEN:
            answer = await self._not_held(invoice, command)
            if answer is not None:
                return answer
        return DecideHold(invoice.invoice_id, wanted, self._context.clock.now(), preimage=preimage)

    async def _not_held(self, invoice: OwnInvoice, command: SettleHold) -> HoldEnded | Refused | None:
        """Ask the node about an invoice of which nothing was heard yet: an app may have heard it from its payer. None
        where its payment is held."""
        try:
            status = await reachable(self._context.backend.lookup_invoice(invoice.payment_hash))
        except KitestringError as unavailable:
            return Refused.of(unavailable)
        match status.state:
            case NodeInvoiceState.ACCEPTED:
                held = (status.received_msat, status.settle_deadline, self._context.clock.now())
                await self._context.store.apply(HoldPayment(invoice.node_id, invoice.payment_hash, *held))
                return None
            case NodeInvoiceState.SETTLED:
                return await self._settled_there(invoice, command, status)
            case NodeInvoiceState.OPEN:
                return _UNPAID
            case NodeInvoiceState.CANCELED | NodeInvoiceState.UNKNOWN:
                return _UNPAID if await self._is_being_paid(invoice) else _NOT_THERE[status.state]
        assert_never(status.state)

    async def _settled_there(
        self, invoice: OwnInvoice, command: SettleHold, status: InvoiceStatus
    ) -> HoldEnded | Refused:
        """The node has settled it before it was told to, by the owner's own hand for example."""
        settled = (status.received_msat, status.settled_at, status.preimage)
        await self._incoming.credit(Settlement(invoice.payment_hash, *settled, b""))
        found = await self._context.store.invoice(invoice.invoice_id)
        if found is None or found.state is not InvoiceState.SETTLED:
            return _TOO_LITTLE
        return hold_ended(command, found, found.state)

    async def _is_being_paid(self, invoice: OwnInvoice) -> bool:
        """Whether somebody in this service pays it: then it was cancelled at the node for this payer's sake."""
        payment = await self._context.store.payment_by_hash(invoice.node_id, invoice.payment_hash)
        return payment is not None and payment.internal and payment.state in OPEN

    # ------------------------------------------------------------ under way

    def follow(self, invoice_id: str) -> None:
        """Follow a hold invoice, or one that is to be cancelled, until it has ended; one that is followed already, is
        looked at once more."""
        known = self._pursuits.get(invoice_id)
        if known is not None and known.task is not None and not known.task.done():
            known.look_again()
            return
        pursuit = HoldPursuit(self._context, self._answers, self._gate, self._incoming, self._places, invoice_id)
        self._pursuits[invoice_id] = pursuit
        pursuit.task = self._context.spawn(pursuit.run())
        pursuit.task.add_done_callback(lambda _: self._ended(pursuit, invoice_id))

    def _ended(self, pursuit: HoldPursuit, invoice_id: str) -> None:
        if self._pursuits.get(invoice_id) is pursuit:
            del self._pursuits[invoice_id]

    async def recover(self) -> None:
        """Follow all that a crash or a stop has left, or that a node has brought back, and nobody follows yet."""
        for listed in (self._context.store.holds, self._context.store.to_cancel):
            after = ""
            while page := await listed(after=after, limit=PAGE):
                for invoice in page:
                    if invoice.invoice_id not in self._pursuits:
                        self.follow(invoice.invoice_id)
                after = page[-1].invoice_id

    async def answer_orphan(self, request: Request) -> None:
        """Answer a request whose invoice had ended before the crash that kept the answer from being stored."""
        if request.payment_id and await self._context.store.invoice(request.payment_id) is not None:
            self.follow(request.payment_id)

    def _hear(self, news: Committed) -> None:
        for event in news.events:
            if event.kind in _NEWS:
                self._context.holds.tell(event.subject)
            if event.kind is EventKind.ACCEPTED:
                self.follow(event.subject)
