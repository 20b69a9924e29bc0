"""Money that arrives: the node's settled stream, and a look at every open invoice at each connect."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar, assert_never

from kitestring.base.errors import KitestringError, in_plain_words
from kitestring.base.invoices import KEEP_UNPAID_S, Decision, InvoiceState
from kitestring.base.money import Msat, is_amount
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, Settlement
from kitestring.base.outcomes import Received
from kitestring.base.records import Message, OwnInvoice
from kitestring.base.transactions.answers import More
from kitestring.base.transactions.invoices import Credit, ExpireInvoices, LeaveInvoices, ParkSettlement
from kitestring.engine.answers import Answers
from kitestring.engine.context import LOOK_AGAIN_S, Context, pauses
from kitestring.engine.drift import Drift
from kitestring.engine.node import reachable
from kitestring.engine.outcomes import hold_outcome

T = TypeVar("T")
log = logging.getLogger("kitestring.engine")

#: Housekeeping of invoices: how often, and how long an unpaid invoice of an offer stays after its expiry.
HOUSEKEEPING_S: Final = 60
KEEP_UNPAID_OFFER_INVOICES_S: Final = 86_400
#: Seconds after the expiry of an invoice of another node: until then the service may well stand there again.
LEAVE_AFTER_S: Final = 86_400
#: The node is asked about an unpaid invoice so long after its expiry: before, it would call it open in vain.
EXPIRY_GRACE_S: Final = 60
#: After so many invoices that the node stumbles over, a round of housekeeping ends: then it is the node that is ill,
#: and each look-up may take a minute.
MAX_SICK: Final = 500
#: Invoices that the node is asked about at once: ten thousand at a start do not wait for a round trip each, and the
#: node is not flooded.
AT_ONCE: Final = 16
#: Waits before a settlement that the ledger refuses is tried again. One that it refuses every time, while it takes
#: something else, is parked: what has settled behind it must not wait for it.
TRY_AGAIN_S: Final = (0.2, 0.5, 1, 2, 5)
#: Parked settlements of which the alarm is not repeated while this process lives.
MAX_PARKED: Final = 1_000
#: Open invoices read in one go, a few milliseconds: payments do not wait until thousands of them are read.
PAGE: Final = 200


class IncomingMoney:
    """Credits what the node has confirmed, once, with the receipt in the same commit."""

    def __init__(self, context: Context, answers: Answers, drift: Drift) -> None:
        self._context = context
        self._drift = drift
        self._answers = answers
        self._parked: deque[str] = deque(maxlen=MAX_PARKED)
        self._at_connect: list[Callable[[], Awaitable[None]]] = []

    def at_connect(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have ``work`` done at each connect to the node, as soon as its invoices are among the open ones again."""
        self._at_connect.append(work)

    async def listen(self) -> None:
        """Forever: follow the stream from the stored cursor, with a sweep beside it; again after every break."""
        delays = iter(LOOK_AGAIN_S)
        while True:
            try:
                await self._drift.confirm_node()
                await self._leave()
                for work in self._at_connect:
                    await work()
                async with asyncio.TaskGroup() as both:  # a long sweep must not keep what is paid now waiting
                    both.create_task(self.sweep())
                    async for settlement in self._context.backend.settlements(await self._cursor()):
                        await self.credit(settlement)
                        delays = iter(LOOK_AGAIN_S)
            except Exception as broken:  # noqa: BLE001 - a broken stream is followed again, whatever broke it
                cause = broken.exceptions[0] if isinstance(broken, ExceptionGroup) else broken
                log.warning("the stream of settled invoices broke: %s", in_plain_words(cause))
            await self._context.clock.sleep(next(delays, LOOK_AGAIN_S[-1]))

    async def _cursor(self) -> bytes:
        node = await self._context.store.node(self._context.node.node_id)
        return node.cursor if node else b""

    async def sweep(self) -> None:
        """Look up every open invoice of ours by hash: a stream proves nothing about what it did not say."""
        waiting = [invoice.payment_hash for invoice in await self._open()]
        for pause_s in pauses():
            asked, waiting = waiting, []
            for part in _parts(asked):
                seen = await self._looked_at_all(part)
                waiting += [payment_hash for payment_hash, status in seen if status is None]
            if not waiting:
                return
            await self._context.clock.sleep(pause_s)

    async def _open(self, expires_before: int = 0) -> list[OwnInvoice]:
        """Our open invoices at this node, ordered by expiry, earliest first; others get a turn after each page."""
        found: list[OwnInvoice] = []
        store, after = self._context.store, None
        while page := await store.invoices(InvoiceState.OPEN, after=after, limit=PAGE, expires_before=expires_before):
            found += [invoice for invoice in page if invoice.node_id == self._context.node.node_id]
            after = page[-1]
            await asyncio.sleep(0)
        return found

    async def _looked_at_all(self, hashes: Sequence[str]) -> list[tuple[str, InvoiceStatus | None]]:
        """Look at all of them at once; each with what the node says, None where it must be looked at again."""
        statuses = await asyncio.gather(*(self._looked_at(payment_hash) for payment_hash in hashes))
        return list(zip(hashes, statuses, strict=True))

    async def _looked_at(self, payment_hash: str) -> InvoiceStatus | None:
        """Look at one invoice, None if that failed: a failure must not keep the others from being looked at."""
        try:
            return await self._look_at(payment_hash)
        except Exception as failure:  # noqa: BLE001 - it is looked at again, whatever went wrong
            log.warning("invoice %s: not looked at: %s", payment_hash[:16], in_plain_words(failure))
            return None

    async def _look_at(self, payment_hash: str) -> InvoiceStatus:
        status = await reachable(self._context.backend.lookup_invoice(payment_hash))
        match status.state:
            case NodeInvoiceState.SETTLED:
                paid = Settlement(payment_hash, status.received_msat, status.settled_at, status.preimage, b"")
                await self.credit(paid)
            case NodeInvoiceState.OPEN | NodeInvoiceState.ACCEPTED | NodeInvoiceState.CANCELED:
                pass
            case NodeInvoiceState.UNKNOWN:
                pass
            case _:
                assert_never(status.state)
        return status

    async def credit(self, settlement: Settlement) -> None:
        """Credit a settlement, even if the caller is cancelled meanwhile."""
        await asyncio.shield(self._context.spawn(self._credit(settlement)))

    async def _credit(self, settlement: Settlement) -> None:
        """Book it, or park what cannot be booked. Raises KitestringError when the ledger takes neither."""
        for pause_s in TRY_AGAIN_S:
            try:
                await self._book(settlement)
            except KitestringError as failure:
                log.warning("a settlement is not booked yet: %s", failure.message)
                await self._context.clock.sleep(pause_s)
            else:
                return
        try:
            await self._book(settlement)
        except KitestringError as failure:
            await self._park(settlement, failure.message)

    async def _park(self, settlement: Settlement, why: str) -> None:
        payment_hash, is_told = settlement.payment_hash, settlement.payment_hash in self._parked
        alarm = f"a settlement of {int(settlement.received_msat)} msat cannot be booked: {why}; hash {payment_hash}"
        park = ParkSettlement(
            self._context.node.node_id, payment_hash, settlement.cursor, "" if is_told else alarm,
            self._context.clock.now(),
        )  # fmt: skip
        if settlement.cursor or not is_told:
            await self._context.store.apply(park)
        if not is_told:
            self._parked.append(payment_hash)

    async def _book(self, settlement: Settlement) -> None:
        messages = (*await self._receipt(settlement), *await self._to_deciders(settlement))
        credit = Credit(
            self._context.node.node_id,
            settlement.payment_hash,
            settlement.received_msat,
            settlement.settled_at or self._context.clock.now(),
            settlement.preimage,
            settlement.cursor,
            messages,
        )
        await self._context.store.apply(credit)

    async def _receipt(self, settlement: Settlement) -> tuple[Message, ...]:
        """The receipt of the invoice that this settles; what settles none (too little, a surplus, an amount that cannot
        be) tells nobody."""
        if not is_amount(settlement.received_msat):
            return ()
        invoice = await self._context.store.invoice_by_hash(self._context.node.node_id, settlement.payment_hash)
        if invoice is None or invoice.state is InvoiceState.SETTLED:
            return ()
        received = Received(settlement.payment_hash, Msat(settlement.received_msat), settlement.preimage)
        return await self._answers.receipt(invoice, received)

    async def _to_deciders(self, settlement: Settlement) -> tuple[Message, ...]:
        """The answers to those who wait for the end of the hold invoice that this settles."""
        store, payment_hash = self._context.store, settlement.payment_hash
        invoice = await store.invoice_by_hash(self._context.node.node_id, payment_hash)
        if invoice is None or invoice.decision is Decision.NONE or not is_amount(settlement.received_msat):
            return ()
        waiting = await store.waiting(invoice.invoice_id)
        told = [hold_outcome(request, invoice, InvoiceState.SETTLED) for request in waiting]
        return self._answers.replies(waiting, told)

    async def housekeeping(self) -> None:
        """Forever: ask the node about unpaid invoices past their expiry."""
        while True:
            await self._context.clock.sleep(HOUSEKEEPING_S)
            try:
                await self.expire()
            except Exception as failure:  # noqa: BLE001 - housekeeping goes on at the next round
                log.warning("housekeeping stopped early: %s", in_plain_words(failure))

    async def expire(self) -> None:
        """Call those invoices expired that the node itself calls ended. What it calls open stays open, whatever our
        clock says: a payment of it may be on its way, or held."""
        await self._leave()
        now = self._context.clock.now()
        sick, ended = 0, list[str]()
        for part in _parts(await self._open(now - EXPIRY_GRACE_S)):
            seen = await self._looked_at_all([invoice.payment_hash for invoice in part])
            ended += [payment_hash for payment_hash, status in seen if status is not None and _has_ended(status)]
            sick += sum(status is None for _, status in seen)
            if sick >= MAX_SICK:
                break
            if len(ended) >= PAGE:
                await self._expire(ended, now)
                ended = []
        await self._expire(ended, now)

    async def _leave(self) -> None:
        """Leave aside what can be asked of no node any more, and take back what this one can be asked about again: a
        sweep follows."""
        leave = LeaveInvoices(self._context.node.node_id, self._context.clock.now() - LEAVE_AFTER_S)
        while isinstance(await self._context.store.apply(leave), More):
            pass  # payments went in between

    async def _expire(self, ended: Sequence[str], now: int) -> None:
        drop_before = now - KEEP_UNPAID_OFFER_INVOICES_S
        expire = ExpireInvoices(tuple(ended), drop_before, self._context.node.node_id, now, now - KEEP_UNPAID_S)
        while isinstance(await self._context.store.apply(expire), More):
            pass  # payments went in between


def _has_ended(status: InvoiceStatus) -> bool:
    """Whether the node has said that nobody can pay it any more."""
    return status.state in {NodeInvoiceState.CANCELED, NodeInvoiceState.UNKNOWN}


def _parts(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    return (whole[start : start + AT_ONCE] for start in range(0, len(whole), AT_ONCE))
