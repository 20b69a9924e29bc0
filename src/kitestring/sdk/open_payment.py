"""One payment at a node that is asked directly, from the look before its order to its proven end.

An order goes to the node, and its answer may get lost. From then on only the engine's rules of evidence
(:mod:`kitestring.engine.orders`) say when a failure is the end, and when the same order may be sent again. They need to
know which orders may still be on their way: a service reads that in its ledger, here it is kept in memory, by hash,
until the end is proven or the program ends.

The risk that stays is that of a second program. It looks before it sends and joins what it sees under way, but an order
that the first one lost, and that the node has not received yet, is seen by nobody: it may be paid after the second
program was told that its own order failed. Whoever cannot live with that runs a service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeGuard, TypeVar

from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import Backend, PayOrder
from kitestring.base.payments import Failed, FailureReason, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.base.ports import Clock
from kitestring.client.in_flight import as_words, in_flight
from kitestring.engine.node import ask_about, ask_to_pay, proven, reachable
from kitestring.engine.orders import Orders

T = TypeVar("T")

#: Seconds for a question without money in it: a person waits for the answer.
READ_TIMEOUT_S: Final = 15.0
#: Pause between two looks at a payment under way, for nodes whose ``track`` returns at once.
LOOK_AGAIN_S: Final = 1.0

End = Settled | Failed


async def ask_node(call: Awaitable[T], limit_s: float = READ_TIMEOUT_S) -> T:
    """The answer to a question without money in it. A failure is told in the node's own words: who asks owns it."""
    try:
        return await reachable(call, limit_s)
    except KitestringError as failure:
        if not failure.private:
            raise
        text = f"the Lightning node cannot be used: {failure.private}; check that it runs and that its address is right"
        raise KitestringError(failure.reason, text, private=failure.private, **failure.details) from failure


class OpenPayment:
    """Carried out by one task, whoever waits for it, so that one hash has one order at a time.

    ``forget`` is called when nothing has to be remembered any more. ``expires_at`` (Unix seconds) is the invoice's; a
    keysend is not sent any more after it.
    """

    def __init__(
        self, order: PayOrder, expires_at: int, backend: Backend, clock: Clock, forget: Callable[[], object]
    ) -> None:
        self.order: Final = order
        #: Whether an order of ours has gone to the node.
        self.is_sent = False
        #: Whether the node had it paid before it was asked for the first time.
        self.was_paid = False
        self._expires_at: Final = expires_at
        self._backend: Final = backend
        self._clock: Final = clock
        self._forget: Final = forget
        self._orders: Orders | None = None  # those that may still be on their way, once an answer was lost
        self._last: LookupAnswer = InFlight()
        self._waiting = 0
        self._task: asyncio.Task[End | None] | None = None

    # ------------------------------------------------------------ who waits

    async def end(self, limit_s: float) -> End:
        """Wait for the proven end. Raises KitestringError: PAYMENT_IN_FLIGHT when nobody can say within ``limit_s``
        seconds; UNAVAILABLE when nothing was sent, because it is not known whether it is paid already."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._carry())
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen, whoever went away
        task = self._task
        self._waiting += 1
        try:
            await _wait(task, self._clock.sleep(limit_s))
        finally:
            self._waiting -= 1
        end = task.result() if task.done() and not task.cancelled() else None
        if end is not None:
            return end
        if self.may_be_paid or self._waiting:
            is_keysend = isinstance(self.order.destination, Keysend)
            raise in_flight(self.order.payment_hash, as_words(self._last), is_keysend=is_keysend)
        raise self._unsure("it took too long")

    @property
    def may_be_paid(self) -> bool:
        """Whether an order may be at the node, or on its way to it."""
        return self.is_sent or self._orders is not None

    def look_at(self, answer: LookupAnswer) -> End | None:
        """The end that somebody's look-up proves, if it proves one."""
        end = self._judge(answer)
        if end is not None and (self._task is None or self._task.done()):
            self._forget()
        return end

    def _judge(self, answer: LookupAnswer) -> End | None:
        if isinstance(answer, Settled):
            return answer
        if self._orders is None:  # what a call under way will say comes first
            return None
        now_s, is_authoritative = self._clock.monotonic(), self._backend.capabilities.authoritative_lookup
        end = self._orders.end(answer, now_s, is_authoritative=is_authoritative)
        may_end = self._is_repeatable(answer) and not self._orders.has_lost(answer)
        if end is None and may_end and self._has_expired() and self._orders.is_over(now_s):
            is_invoice = isinstance(self.order.destination, Bolt11)
            reason = FailureReason.EXPIRED if is_invoice else FailureReason.TOO_LATE
            return Failed("the node shows no order that may still be carried out", reason)
        return end

    async def stop(self) -> None:
        """The payment goes on at the node."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # ------------------------------------------------------------ what is done

    async def _carry(self) -> End | None:
        """None when nobody waits any more; what is known is kept for the next one who does."""
        end: End | None = None
        try:
            end = await (self._go_on() if self.may_be_paid else self._begin())
        finally:
            if end is not None or not self.may_be_paid:
                self._forget()
        return end

    async def _begin(self) -> End | None:
        """Ask the node before sending: a settled payment is answered again, one under way is joined."""
        seen = await ask_node(self._backend.lookup_payment(self.order.payment_hash))
        self.was_paid = isinstance(seen, Settled)
        if isinstance(seen, Unknown):
            raise self._unsure(seen.why)
        if not self._waiting:
            return None
        if not isinstance(seen, Failed | NeverSeen):
            self._orders = Orders.of_others(self._clock.monotonic())
            return await self._follow(self._orders, proven(seen, self.order.payment_hash))
        self.is_sent, sent_at = True, self._clock.now()
        answer = await ask_to_pay(self._backend.pay(self.order), self.order.payment_hash)
        if isinstance(answer, Settled | Failed):  # of the only order there ever was
            return answer
        # Where the node had no attempt of this hash for certain, a failure that it dates after our order is of it.
        is_first = isinstance(seen, NeverSeen) and self._backend.capabilities.authoritative_lookup
        self._orders = Orders.lost(self._clock.monotonic(), sent_at if is_first else None)
        self._judge(seen)  # a failure from before is known as such when it is seen again
        return await self._follow(self._orders, answer)

    async def _go_on(self) -> End | None:
        self._orders = self._orders or Orders.of_others(self._clock.monotonic())
        return await self._follow(self._orders, await self._look())

    async def _follow(self, orders: Orders, answer: LookupAnswer) -> End | None:
        while (end := self._judge(answer)) is None and self._waiting:
            self._last = answer
            if self._may_send_again(orders, answer):
                # Not `ask_to_pay`: a node that cannot be reached now may have been reached before.
                answer = await ask_about(self._backend.pay(self.order), self.order.payment_hash)
                orders.sent(answer, self._clock.monotonic())
            else:
                await self._clock.sleep(LOOK_AGAIN_S)
                answer = await self._look()
        return end

    def _is_repeatable(self, seen: LookupAnswer) -> TypeGuard[NeverSeen | Failed]:
        """Whether the node certainly is not at work on it, and would pay it once however often it is ordered."""
        return isinstance(seen, NeverSeen | Failed) and self._backend.capabilities.repeats_safely

    def _may_send_again(self, orders: Orders, seen: LookupAnswer) -> bool:
        may_repeat = self._is_repeatable(seen) and orders.may_send(seen, self._clock.monotonic())
        return may_repeat and not self._has_expired()

    def _has_expired(self) -> bool:
        return self._clock.now() >= self._expires_at

    async def _look(self) -> LookupAnswer:
        return await ask_about(self._backend.track(self.order.payment_hash), self.order.payment_hash)

    def _unsure(self, why: str) -> KitestringError:
        return KitestringError(
            Reason.UNAVAILABLE,
            f"the node cannot say whether this invoice is paid ({why}); nothing was sent, try again",
            payment_hash=self.order.payment_hash,
        )


async def _wait(task: asyncio.Task[Any], limit: Awaitable[None]) -> None:
    """Wait for the task, but not beyond the limit; never cancels it."""
    until = asyncio.ensure_future(limit)
    try:
        await asyncio.wait((task, until), return_when=asyncio.FIRST_COMPLETED)
    finally:
        until.cancel()
        await asyncio.gather(until, return_exceptions=True)
