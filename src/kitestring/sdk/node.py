"""A wallet straight on a Lightning node, without a service between: the rules of payments in their shortest form.

The node's own record, by payment hash, is the only memory. It must not be shared with a running kitestring service,
whose ledger would not know of these payments.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from itertools import islice
from typing import Final, TypeVar

from kitestring.backend.registry import open_backend
from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.node import InvoiceOrder, InvoiceStatus, NodePayment, NodeUnreachableError, PayOrder
from kitestring.base.outcomes import Info, Paid, Transaction
from kitestring.base.payments import Failed, LookupAnswer, NeverSeen, Settled, Unknown, preimage_fits
from kitestring.client.nwc import in_flight
from kitestring.codec import bolt11
from kitestring.sdk.setting import Setting

T = TypeVar("T")

#: The routing fee is capped at the larger of this part of the amount and this floor, unless the caller says.
FEE_PART: Final = 100
FEE_FLOOR: Final = sat(10)
#: Seconds the node may search for a route, and seconds after that in which its answer may still come.
PAY_TIMEOUT_S: Final = 60
ANSWER_SLACK_S: Final = 5.0
#: Seconds for a question without money in it.
READ_TIMEOUT_S: Final = 15.0
#: Pause between two looks at a payment under way, for nodes whose ``track`` returns at once.
LOOK_AGAIN_S: Final = 1.0
#: Rows kept while the node's own lists are read; a longer history is a service's business.
MAX_ROWS: Final = 1_000

_FAILURES: Final = {
    "fee_limit": (Reason.FEE_LIMIT, "no route within the fee limit was found: allow a higher one with max_fee"),
    "insufficient_funds": (Reason.INSUFFICIENT_FUNDS, "the node's channels cannot send this amount now"),
    "no_route": (Reason.PAYMENT_FAILED, "no route to the payee was found"),
    "expired": (Reason.PAYMENT_FAILED, "the invoice has expired"),
    "refused": (Reason.PAYMENT_FAILED, "the payee or the node refused the payment"),
}
_STATES: Final = {"settled": "settled", "failed": "failed", "open": "pending"}
_INVOICE_STATES: Final = {"open": "pending", "settled": "settled", "canceled": "expired"}


def default_fee_cap(amount_msat: Msat) -> Msat:
    """1 % of the amount, rounded up, at least 10 sat."""
    return max(Msat(-(-int(amount_msat) // FEE_PART)), FEE_FLOOR)


class NodePurse:
    """``url`` is that of a backend (``lnd+https://…``, ``sandbox://``). Raises KitestringError for a bad one."""

    def __init__(self, url: str, setting: Setting) -> None:
        self.relays: tuple[str, ...] = ()
        self._clock: Final = setting.clock
        self._entropy: Final = setting.entropy
        data_dir = setting.data_dir
        if data_dir is None:
            from platformdirs import user_data_path  # noqa: PLC0415 - not needed where the directory is named

            data_dir = user_data_path("kitestring", appauthor=False)
        self._data_dir: Final = data_dir
        self._backend: Final = open_backend(
            url, clock=setting.clock, entropy=setting.entropy, data_dir=data_dir, environment=setting.environment
        )
        self._sending: Final[dict[str, asyncio.Task[LookupAnswer]]] = {}
        self._network = ""

    async def open(self) -> None:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._reach(self._backend.open())

    async def close(self) -> None:
        """Payments under way go on at the node."""
        for task in self._sending.values():
            task.cancel()
        await asyncio.gather(*self._sending.values(), return_exceptions=True)
        await self._backend.close()

    # ------------------------------------------------------------ paying

    async def pay(self, command: PayInvoice, timeout_s: float | None) -> Paid:
        """What the node knows of the hash comes first: settled is answered again, under way is joined."""
        limit_s = PAY_TIMEOUT_S if timeout_s is None else timeout_s
        deadline = self._clock.monotonic() + limit_s + ANSWER_SLACK_S
        answer: LookupAnswer | None = None
        if command.payment_hash not in self._sending:
            answer = await self._reach(self._backend.lookup_payment(command.payment_hash))
        if isinstance(answer, Unknown):
            text = f"the node cannot say whether this invoice is paid ({answer.why}); nothing was sent, try again"
            raise KitestringError(Reason.UNAVAILABLE, text, payment_hash=command.payment_hash)
        earlier = answer
        if answer is None or isinstance(answer, Failed | NeverSeen):
            answer = await self._send(command, max(1, int(limit_s)), deadline)
        end = await self._follow(command.payment_hash, answer, deadline, earlier)
        if isinstance(end, Settled):
            return Paid(command.payment_hash, end.preimage, command.amount_msat, end.fee_msat)
        reason, sentence = _FAILURES.get(end.reason, (Reason.PAYMENT_FAILED, "the node could not pay it"))
        raise KitestringError(reason, sentence, payment_hash=command.payment_hash, evidence=end.evidence)

    async def _send(self, command: PayInvoice, timeout_s: int, deadline: float) -> LookupAnswer:
        """One call to the node per hash, which goes on when nobody waits for it any more."""
        task = self._sending.get(command.payment_hash)
        if task is None:
            fee_cap = command.max_fee_msat
            order = PayOrder(
                bolt11=command.bolt11,
                payment_hash=command.payment_hash,
                amount_msat=command.amount_msat,
                amountless=command.amountless,
                fee_cap_msat=default_fee_cap(command.amount_msat) if fee_cap is None else fee_cap,
                timeout_s=timeout_s,
            )
            task = asyncio.create_task(_ask_to_pay(self._backend.pay(order)))
            self._sending[command.payment_hash] = task
            task.add_done_callback(lambda done: self._sent(command.payment_hash, done))
        await self._within(task, deadline)
        return task.result() if task.done() else Unknown("the node has not answered in time")

    def _sent(self, payment_hash: str, task: asyncio.Task[LookupAnswer]) -> None:
        self._sending.pop(payment_hash, None)
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits for it any more

    async def _follow(
        self, payment_hash: str, answer: LookupAnswer, deadline: float, earlier: LookupAnswer | None
    ) -> Settled | Failed:
        """Wait for the end. Raises KitestringError(PAYMENT_IN_FLIGHT) when the time is up.

        Once an answer was lost, the node's record of an ``earlier`` attempt proves nothing about this one; its
        ``attempt_at`` tells two failures of the same kind apart.
        """
        answer = _proven(answer, payment_hash)
        stale = earlier if isinstance(answer, Unknown) else None
        while not isinstance(answer, Settled | Failed):
            if self._clock.monotonic() >= deadline:
                raise in_flight(payment_hash, answer.why if isinstance(answer, Unknown) else "it is still under way")
            answer = _proven(await self._track(payment_hash, deadline), payment_hash)
            if answer == stale:
                answer = Unknown("the node shows only an earlier attempt")
            if not isinstance(answer, Settled | Failed):  # some nodes answer at once
                await self._clock.sleep(max(0.0, min(LOOK_AGAIN_S, deadline - self._clock.monotonic())))
        return answer

    async def _track(self, payment_hash: str, deadline: float) -> LookupAnswer:
        task = asyncio.create_task(_ask_about(self._backend.track(payment_hash)))
        try:
            await self._within(task, deadline)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return Unknown("the node has not answered in time") if task.cancelled() else task.result()

    async def _within(self, task: asyncio.Future[T], deadline: float) -> None:
        """Wait for the task, but not beyond the deadline; never cancels it."""
        limit = asyncio.create_task(self._clock.sleep(max(0.0, deadline - self._clock.monotonic())))
        try:
            await asyncio.wait((task, limit), return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()
            await asyncio.gather(limit, return_exceptions=True)

    # ------------------------------------------------------------ receiving and looking

    async def make_invoice(self, amount_msat: Msat | None, description: str, expiry_s: int) -> Transaction:
        preimage = self._entropy(32).hex() if self._backend.capabilities.own_preimage else ""
        made = await self._reach(
            self._backend.make_invoice(InvoiceOrder(amount_msat, description, "", expiry_s, preimage))
        )
        return _incoming(InvoiceStatus("open", made.bolt11, expires_at=made.expires_at), made.payment_hash)

    async def balance(self) -> Msat:
        return (await self._reach(self._backend.balance())).spendable_msat

    async def lookup(self, payment_hash: str) -> Transaction:
        """An outgoing payment's amount is looked for in the node's own list. Raises KitestringError(UNKNOWN_TARGET)."""
        status = await self._reach(self._backend.lookup_invoice(payment_hash))
        if status.state != "unknown":
            return _incoming(status, payment_hash)
        answer = _proven(await self._reach(self._backend.lookup_payment(payment_hash)), payment_hash)
        if isinstance(answer, Unknown):
            raise KitestringError(Reason.UNAVAILABLE, f"the node cannot say what became of it: {answer.why}")
        if isinstance(answer, NeverSeen):
            raise KitestringError(Reason.UNKNOWN_TARGET, "the node knows no payment and no invoice with this hash")
        async for row in self._backend.list_payments():
            if row.payment_hash == payment_hash:
                return _outgoing(row)
        state = "settled" if isinstance(answer, Settled) else "failed" if isinstance(answer, Failed) else "pending"
        return _outgoing(NodePayment(payment_hash, {"pending": "open"}.get(state, state), ZERO, ZERO, ""))

    async def transactions(self, query: ListTransactions) -> tuple[Transaction, ...]:
        """First the outgoing, then the incoming, each the newest first. Nodes' lists of payments carry no times here:
        ``created_at`` of outgoing ones is 0, and ``from_`` and ``until`` choose among the incoming only."""
        found: list[Transaction] = []
        if query.direction != "incoming":
            payments = await self._reach(_last(self._backend.list_payments()))
            found += [_outgoing(row) for row in payments if query.unpaid_outgoing or row.state == "settled"]
        if query.direction != "outgoing":
            invoices = await self._reach(_last(self._backend.list_invoices()))
            rows = [_incoming(status, payment_hash) for payment_hash, status in invoices]
            wanted = [row for row in rows if query.unpaid_incoming or row.state == "settled"]
            until = query.until or bolt11.MAX_INTEGER
            found += [row for row in wanted if query.from_ <= row.created_at <= until]
        return tuple(islice(found, query.offset, query.offset + query.limit))

    async def info(self) -> Info:
        node = await self._reach(self._backend.info())
        return Info(node.alias, node.color, node.node_id, node.network, node.block_height, node.block_hash)

    async def network(self) -> str:
        if not self._network:
            self._network = (await self._reach(self._backend.info())).network
        return self._network

    async def _reach(self, call: Awaitable[T]) -> T:
        """A question without money in it, for a limited time."""
        task = asyncio.ensure_future(call)
        try:
            await self._within(task, self._clock.monotonic() + READ_TIMEOUT_S)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return _told(task)


def _told(task: asyncio.Future[T]) -> T:
    """The answer; every failure is "cannot be reached", said in one sentence."""
    if task.cancelled():
        raise KitestringError(Reason.UNAVAILABLE, f"the Lightning node did not answer in {READ_TIMEOUT_S:g} s")
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, KitestringError):
        raise error
    if isinstance(error, CodecError):
        raise KitestringError(Reason.MALFORMED, str(error)) from error
    text = f"the Lightning node cannot be reached: {error or type(error).__name__}; check that it runs"
    raise KitestringError(Reason.UNAVAILABLE, text) from error


async def _ask_to_pay(call: Awaitable[LookupAnswer]) -> LookupAnswer:
    """The node's word. "Could not connect at all" alone proves that it was never asked; any other error is Unknown."""
    try:
        return await call
    except NodeUnreachableError as error:
        raise KitestringError(
            Reason.UNAVAILABLE, f"the Lightning node cannot be reached: {error}; nothing was sent"
        ) from error
    except Exception as error:  # noqa: BLE001 - this is where "I don't know" gets its name
        return Unknown(f"the node's answer got lost ({type(error).__name__})")


async def _ask_about(call: Awaitable[LookupAnswer]) -> LookupAnswer:
    """The node's word about a payment that was sent. A failed look-up proves nothing, and nor does NeverSeen: the order
    may still be on its way to the node."""
    try:
        answer = await call
    except Exception as error:  # noqa: BLE001 - as above
        return Unknown(f"the node cannot be asked now ({type(error).__name__})")
    return Unknown("the node does not know it (yet)") if isinstance(answer, NeverSeen) else answer


def _proven(answer: LookupAnswer, payment_hash: str) -> LookupAnswer:
    if isinstance(answer, Settled) and not preimage_fits(answer.preimage, payment_hash):
        return Unknown("the node says settled, with a preimage that is not that of the invoice")
    return answer


async def _last(rows: AsyncIterator[T]) -> list[T]:
    """The last rows of the node's list, the newest first."""
    kept: deque[T] = deque(maxlen=MAX_ROWS)
    async for row in rows:
        kept.appendleft(row)
    return list(kept)


def _outgoing(row: NodePayment) -> Transaction:
    return Transaction(
        "outgoing", _STATES[row.state], row.payment_hash, row.amount_msat, row.fee_msat, 0, preimage=row.preimage
    )


def _incoming(status: InvoiceStatus, payment_hash: str) -> Transaction:
    invoice = bolt11.decode(status.bolt11, recover=False)
    settled = status.state == "settled"
    return Transaction(
        "incoming", _INVOICE_STATES[status.state], payment_hash,
        status.received_msat if settled else invoice.amount_msat or ZERO, ZERO, invoice.timestamp,
        settled_at=status.settled_at if settled else None, expires_at=invoice.expires_at, bolt11=status.bolt11,
        description=invoice.description or "", preimage=status.preimage if settled else "",
    )  # fmt: skip
