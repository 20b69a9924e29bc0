"""A wallet straight on a Lightning node, without a service between: the engine's rules of payments without a ledger.

The node's own record, by payment hash, is the only memory that outlives the program. The node must not be shared with a
running kitestring service, whose ledger would not know of these payments.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar, assert_never, cast

from msgspec.structs import replace

from kitestring.backend.registry import open_backend
from kitestring.base.commands import HOLD_BLOCKS, ListTransactions, PayInvoice
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import TABLE, CodecError, KitestringError, Reason
from kitestring.base.money import MAX_WHOLE, ZERO, Msat
from kitestring.base.node import (
    HashTakenError,
    HoldBackend,
    HoldOrder,
    InvoiceOrder,
    InvoiceStatus,
    NodeInvoiceState,
    NodePayment,
    NodePaymentState,
    PayOrder,
    SigningBackend,
)
from kitestring.base.outcomes import BudgetState, Direction, Info, Paid, Transaction, TransactionState
from kitestring.base.payments import Failed, FailureReason, LookupAnswer, NeverSeen, Settled, Unknown, booked_fee
from kitestring.client.net import Net
from kitestring.engine.node import proven
from kitestring.engine.outcomes import refusal
from kitestring.policy.fees import default_fee_cap
from kitestring.sdk.home import home_of
from kitestring.sdk.node_hearing import NodeHearing, incoming
from kitestring.sdk.open_payment import OpenPayment, ask_node
from kitestring.sdk.source import Hears

T = TypeVar("T")
_log: Final = logging.getLogger(__name__)

#: Seconds the node may search for a route, and seconds after that in which its answer may still come.
PAY_TIMEOUT_S: Final = 60
ANSWER_SLACK_S: Final = 5.0
#: Payments whose end is not proven yet: each is a task and a stream from the node, as many as a service carries out.
MAX_OPEN_PAYMENTS: Final = 1_000
#: Seconds for a list of the node, which gives it page by page.
LIST_TIMEOUT_S: Final = 60.0
#: Rows kept while the node's own lists are read; a longer history is a service's business.
MAX_ROWS: Final = 1_000

#: Advice about a proven failure, where its own sentence gives none.
_HINTS: Final = {FailureReason.FEE_LIMIT: ": allow a higher one with max_fee"}


class NodeSource:
    """``url`` is that of a backend (``lnd+https://…``, ``sandbox://``). Raises KitestringError for a bad one."""

    def __init__(self, url: str, net: Net, *, data_dir: Path | None, environment: Mapping[str, str]) -> None:
        self.relays: tuple[str, ...] = ()
        self._clock: Final = net.clock
        self._entropy: Final = net.entropy
        data_dir = home_of(data_dir)
        self._data_dir: Final = data_dir
        self._backend: Final = open_backend(
            url, clock=net.clock, entropy=net.entropy, data_dir=data_dir, environment=environment, proxies=net.proxies
        )
        self._open: Final[dict[str, OpenPayment]] = {}
        self._network = ""

    async def open(self) -> None:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await ask_node(self._backend.open())

    async def close(self) -> None:
        """Payments under way go on at the node."""
        await asyncio.gather(*(payment.stop() for payment in list(self._open.values())))
        await self._backend.close()

    # ------------------------------------------------------------ paying

    async def pay(self, command: PayInvoice, timeout_s: float | None) -> Paid:
        """Pay once per hash: what is settled is answered again, what is under way is joined.

        Raises KitestringError(INVOICE_TAKEN) where that was, or is, with another amount, and UNSUPPORTED for a keysend
        that the node cannot send.
        """
        if isinstance(command.destination, Keysend) and not self._backend.capabilities.keysend:
            raise KitestringError(Reason.UNSUPPORTED, "this node pays invoices only")
        limit_s = PAY_TIMEOUT_S if timeout_s is None else timeout_s
        payment = self._open.get(command.payment_hash) or self._begin(command, max(1, int(limit_s)))
        _same_amount(command, payment.order.amount_msat)
        end = await payment.end(limit_s + ANSWER_SLACK_S)
        if isinstance(end, Failed):
            refused = refusal(end)
            sentence = (refused.message or TABLE[refused.reason].sentence) + _HINTS.get(end.reason, "")
            raise KitestringError(refused.reason, sentence, payment_hash=command.payment_hash, evidence=end.evidence)
        named_by_us = not isinstance(command.destination, Bolt11) or command.destination.amountless
        if named_by_us and not payment.is_sent:
            _same_amount(command, await self._amount_paid(command.payment_hash, command.amount_msat))
        fee_msat = booked_fee(end.fee_msat, payment.order.fee_cap_msat)
        return Paid(command.payment_hash, end.preimage, command.amount_msat, fee_msat, is_old=payment.was_paid)

    async def pay_many(self, commands: Sequence[PayInvoice], timeout_s: float | None) -> list[Paid | KitestringError]:
        """All of them at the same time: a node takes one order for each."""
        found = await asyncio.gather(*(self.pay(one, timeout_s) for one in commands), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, KitestringError):
                raise one
        return [one for one in found if isinstance(one, Paid | KitestringError)]

    def _begin(self, command: PayInvoice, timeout_s: int) -> OpenPayment:
        if len(self._open) >= MAX_OPEN_PAYMENTS:
            text = "the end of too many payments is not known yet: look them up, then try again"
            raise KitestringError(Reason.RATE_LIMITED, text)
        payment_hash = command.payment_hash
        amount_msat, fee_cap_msat = command.amount_msat, command.max_fee_msat
        if fee_cap_msat is None:
            fee_cap_msat = default_fee_cap(amount_msat)
        order = PayOrder(command.destination, payment_hash, amount_msat, fee_cap_msat, timeout_s)
        ends_at = command.expires_at or self._clock.now() + timeout_s  # what has no end of its own is not sent later
        payment = OpenPayment(order, ends_at, self._backend, self._clock, lambda: self._open.pop(payment_hash, None))
        self._open[payment_hash] = payment
        return payment

    async def _amount_paid(self, payment_hash: str, asked_msat: Msat) -> Msat:
        """Of an invoice without amount that somebody has paid before: the node's list tells it, if anybody."""
        try:
            return (await self.lookup(payment_hash)).amount_msat or asked_msat
        except KitestringError as failure:
            _log.warning("payment %s is settled, its amount is not told: %s", payment_hash[:16], failure.message)
            return asked_msat

    # ------------------------------------------------------------ receiving and looking

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        preimage = self._entropy(32).hex() if self._backend.capabilities.own_preimage else ""
        order = InvoiceOrder(amount_msat, description, "", expiry_s, preimage)
        made = await ask_node(_writable(self._backend.make_invoice(order)))
        return incoming(
            InvoiceStatus(NodeInvoiceState.OPEN, made.bolt11, expires_at=made.expires_at), made.payment_hash
        )

    async def make_hold_invoice(
        self, payment_hash: str, amount_msat: Msat, description: str, expiry_s: int
    ) -> Transaction:
        """Nobody but this program watches the deadline: a service cancels what was forgotten, a node may close a
        channel."""
        order = HoldOrder(payment_hash, amount_msat, description, "", expiry_s, HOLD_BLOCKS)
        made = await ask_node(_writable(self._holding().make_hold_invoice(order)))
        status = InvoiceStatus(NodeInvoiceState.OPEN, made.bolt11, expires_at=made.expires_at)
        return incoming(status, made.payment_hash)

    async def settle_hold(self, preimage: str) -> None:
        _must_be(NodeInvoiceState.SETTLED, await ask_node(self._holding().settle_invoice(preimage)))

    async def cancel_hold(self, payment_hash: str) -> None:
        self._holding()
        _must_be(NodeInvoiceState.CANCELED, await ask_node(self._backend.cancel_invoice(payment_hash)))

    def _holding(self) -> HoldBackend:
        """Raises KitestringError(UNSUPPORTED) where the node cannot hold payments."""
        if not self._backend.capabilities.hold:
            raise KitestringError(Reason.UNSUPPORTED, "this node cannot hold a payment")
        return cast("HoldBackend", self._backend)

    async def sign_message(self, message: str) -> str:
        if not self._backend.capabilities.sign_message:
            raise KitestringError(Reason.UNSUPPORTED, "this node signs no texts")
        return await ask_node(cast("SigningBackend", self._backend).sign_message(message))

    async def balance(self) -> Msat:
        return (await ask_node(self._backend.balance())).spendable_msat

    async def budget(self) -> BudgetState:
        """Nothing bounds the node's owner."""
        return BudgetState()

    async def lookup(self, payment_hash: str) -> Transaction:
        """An outgoing payment's amount is looked for in the node's own list. Raises KitestringError(UNKNOWN_TARGET)."""
        status = await ask_node(self._backend.lookup_invoice(payment_hash))
        if status.state is not NodeInvoiceState.UNKNOWN:
            return incoming(status, payment_hash)
        answer = proven(await ask_node(self._backend.lookup_payment(payment_hash)), payment_hash)
        end = self._judge(payment_hash, answer)
        found = await ask_node(_find(self._backend.list_payments(), payment_hash), LIST_TIMEOUT_S)
        row = _outgoing(found or NodePayment(payment_hash, NodePaymentState.OPEN, ZERO, ZERO, ""))
        if isinstance(end, Settled):
            return replace(row, state=TransactionState.SETTLED, preimage=end.preimage, fee_msat=end.fee_msat)
        return replace(row, state=TransactionState.PENDING if end is None else TransactionState.FAILED, preimage="")

    def _judge(self, payment_hash: str, answer: LookupAnswer) -> Settled | Failed | None:
        """Judge a payment by the node's record; None = it may end either way. While one of our orders may be on
        its way, a failure or nothing at all is not yet its end."""
        payment = self._open.get(payment_hash)
        if payment is not None and payment.may_be_paid:
            return payment.look_at(answer)
        if isinstance(answer, Unknown):
            raise KitestringError(Reason.UNAVAILABLE, f"the node cannot say what became of it: {answer.why}")
        if isinstance(answer, NeverSeen):
            raise KitestringError(Reason.UNKNOWN_TARGET, "the node knows no payment and no invoice with this hash")
        return answer if isinstance(answer, Settled | Failed) else None

    def _row(self, listed: NodePayment) -> Transaction:
        """As the node lists it, except that nothing has failed while one of our orders may be on its way."""
        row, payment = _outgoing(listed), self._open.get(listed.payment_hash)
        is_open = row.state is TransactionState.FAILED and payment is not None and payment.may_be_paid
        return replace(row, state=TransactionState.PENDING) if is_open else row

    async def transactions(self, query: ListTransactions) -> tuple[Transaction, ...]:
        """First the outgoing, then the incoming, each the newest first. Nodes' lists of payments carry no times here:
        ``created_at`` of outgoing ones is 0, and ``from_`` and ``until`` choose among the incoming only."""
        found: list[Transaction] = []
        if query.direction != "incoming":
            payments = await ask_node(_last(self._backend.list_payments()), LIST_TIMEOUT_S)
            found += [
                self._row(row) for row in payments if query.unpaid_outgoing or row.state is NodePaymentState.SETTLED
            ]
        if query.direction != "outgoing":
            invoices = await ask_node(_last(self._backend.list_invoices()), LIST_TIMEOUT_S)
            rows = [incoming(status, payment_hash) for payment_hash, status in invoices]
            wanted = [row for row in rows if query.unpaid_incoming or row.state is TransactionState.SETTLED]
            until = query.until or MAX_WHOLE
            found += [row for row in wanted if query.from_ <= row.created_at <= until]
        return tuple(islice(found, query.offset, query.offset + query.limit))

    def hearing(self, since: int) -> Hears:
        return NodeHearing(self._backend, self._clock, since)

    async def info(self) -> Info:
        node = await ask_node(self._backend.info())
        return Info(node.alias, node.color, node.node_id, node.network, node.block_height, node.block_hash)

    async def network(self) -> str:
        if not self._network:
            self._network = (await ask_node(self._backend.info())).network
        return self._network


#: Of a hold invoice that has not ended as it should have.
_UNENDED: Final = {
    NodeInvoiceState.UNKNOWN: (Reason.UNKNOWN_TARGET, "the node has no hold invoice of this hash"),
    NodeInvoiceState.OPEN: (Reason.CONFLICT, "nobody has paid this hold invoice yet: there is nothing to settle"),
    NodeInvoiceState.CANCELED: (Reason.CONFLICT, "this hold invoice was cancelled or has expired"),
    NodeInvoiceState.SETTLED: (Reason.CONFLICT, "this hold invoice was settled, and cannot be cancelled any more"),
}


def _must_be(wanted: NodeInvoiceState, status: InvoiceStatus) -> None:
    if status.state is not wanted:
        raise KitestringError(*_UNENDED[status.state])


async def _writable(call: Awaitable[T]) -> T:
    try:
        return await call
    except HashTakenError as error:
        raise KitestringError(Reason.INVOICE_TAKEN, "the node has an invoice of this payment hash already") from error
    except CodecError as error:  # the node is well, the invoice cannot be written
        raise KitestringError(Reason.MALFORMED, str(error)) from error


async def _find(rows: AsyncIterator[NodePayment], payment_hash: str) -> NodePayment | None:
    async for row in rows:
        if row.payment_hash == payment_hash:
            return row
    return None


async def _last(rows: AsyncIterator[T]) -> list[T]:
    """The last rows of the node's list, the newest first."""
    kept: deque[T] = deque(maxlen=MAX_ROWS)
    async for row in rows:
        kept.appendleft(row)
    return list(kept)


def _outgoing(row: NodePayment) -> Transaction:
    return Transaction(
        Direction.OUTGOING, _payment_state(row.state), row.payment_hash, row.amount_msat, row.fee_msat, 0,
        preimage=row.preimage,
    )  # fmt: skip


def _payment_state(state: NodePaymentState) -> TransactionState:
    match state:
        case NodePaymentState.OPEN:
            return TransactionState.PENDING
        case NodePaymentState.SETTLED:
            return TransactionState.SETTLED
        case NodePaymentState.FAILED:
            return TransactionState.FAILED
        case _:
            assert_never(state)


def _same_amount(command: PayInvoice, paid_msat: Msat) -> None:
    if paid_msat == command.amount_msat:
        return
    raise KitestringError(
        Reason.INVOICE_TAKEN,
        f"this invoice was paid, or is being paid, with {int(paid_msat)} msat and not with {int(command.amount_msat)}",
        payment_hash=command.payment_hash,
        amount_msat=int(paid_msat),
    )
