"""The gate to the Lightning node: the one place where an exception becomes a word about money."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final, TypeVar

from kitestring.base.errors import KitestringError, Reason, in_plain_words
from kitestring.base.money import ZERO, Msat
from kitestring.base.node import NodeBalance, NodeInfo, NodeUnreachableError
from kitestring.base.payments import (
    Failed,
    FailureReason,
    LookupAnswer,
    Settled,
    Unknown,
    preimage_fits,
)
from kitestring.base.records import NodeView
from kitestring.engine.context import Context

T = TypeVar("T")
log = logging.getLogger("kitestring.engine")

#: get_info is asked often by clients; the block height may be this old.
INFO_AGE_S: Final = 15.0
#: A call about a payment that is silent for so long is given up: unknown, and looked at again. Adapters have shorter
#: limits of their own; a connection that is dead without a sign must not hold a payment until the next start.
ANSWER_LIMIT_S: Final = 300.0
#: A question that decides about no money in flight is given up sooner: the caller can ask again.
QUESTION_LIMIT_S: Final = 60.0
#: A failed question about the balance is not repeated sooner.
FAILURE_AGE_S: Final = 2.0
#: Characters of the node's own words about a failure.
MAX_WORDS_CHARS: Final = 300
_AWAY: Final = "the Lightning node cannot be reached; check that it runs, then try again"
_REFUSED: Final = "the Lightning node answers, but with an error; its words are in the log of the service"
#: Strangers ask offers for invoices; the node's balance is not asked for each of them.
RECEIVABLE_AGE_S: Final = 5.0


async def ask_to_pay(call: Awaitable[LookupAnswer], payment_hash: str) -> LookupAnswer:
    """The node's word about a payment that is being sent now. "Could not connect at all" is the only exception that
    proves the node was never asked; every other one is Unknown."""
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            return proven(await call, payment_hash)
    except NodeUnreachableError as unreachable:
        return Failed(f"the node was never reached: {unreachable}", FailureReason.UNREACHABLE)
    except Exception as unclear:  # noqa: BLE001 - this is the place where "I don't know" gets its name
        return _unknown(unclear, payment_hash)


async def ask_about(call: Awaitable[LookupAnswer], payment_hash: str) -> LookupAnswer:
    """The node's word about a payment that may have been sent before. A failed look-up proves nothing."""
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            return proven(await call, payment_hash)
    except Exception as unclear:  # noqa: BLE001 - as above
        return _unknown(unclear, payment_hash)


def _unknown(unclear: Exception, payment_hash: str) -> Unknown:
    log.warning("payment %s: no answer from the node (%s)", payment_hash[:16], in_plain_words(unclear))
    return Unknown(in_plain_words(unclear)[:500])


def proven(answer: LookupAnswer, payment_hash: str) -> LookupAnswer:
    """The answer, Unknown in place of a Settled whose preimage proves nothing."""
    if isinstance(answer, Settled) and not preimage_fits(answer.preimage, payment_hash):
        return Unknown("the node said settled with a preimage that does not hash to the payment hash")
    return answer


class NodeGate:
    """The node's facts with a named age, and its spendable balance with the mark that keeps it honest."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._view: NodeView | None = None
        self._balance = NodeBalance(ZERO, ZERO, ZERO)
        self._view_at = 0.0
        self._question: asyncio.Task[None] | None = None
        self._failure: KitestringError | None = None
        self._failed_at = 0.0
        self._info: NodeInfo | None = None
        self._info_at = 0.0

    async def view(self, max_age_s: float) -> NodeView:
        """The node's spendable balance, not older than ``max_age_s``, and its count of payments, if it has one. Raises
        KitestringError(UNAVAILABLE).

        All who wait share one question and its answer. A failure answers all of them, and whoever comes within the
        next :data:`FAILURE_AGE_S`: asking in turn, the last of many would wait for hours.
        """
        oldest = self._context.clock.monotonic() - max(0.0, max_age_s)
        while self._view is None or self._view_at < oldest:
            failure = self._failure
            if failure is None or self._context.clock.monotonic() - self._failed_at > FAILURE_AGE_S:
                failure = await self._asked()
            if failure is not None:
                raise KitestringError(failure.reason, failure.message, private=failure.private, **failure.details)
        return self._view

    async def _asked(self) -> KitestringError | None:
        """The failure of the question under way. Nobody who waits can end it by going away."""
        if self._question is None or self._question.done():
            self._question = self._context.spawn(self._ask())
        question = self._question
        await asyncio.wait((question,))
        if question.cancelled():
            return KitestringError(Reason.UNAVAILABLE, "the service is stopping; try again later")
        question.result()
        return self._failure

    async def _ask(self) -> None:
        """The service's ``spent`` counter is read before the node is asked, so that whatever settles meanwhile is
        subtracted once too often rather than never."""
        began_at = self._context.clock.monotonic()
        mark = (await self._context.store.totals()).spent_msat
        try:
            balance, index = await asyncio.gather(self._read_balance(), self._count())
        except KitestringError as failure:
            self._failure, self._failed_at = failure, self._context.clock.monotonic()
            return
        self._view, self._view_at, self._failure = NodeView(balance.spendable_msat, mark, index), began_at, None
        self._balance = balance

    async def _read_balance(self) -> NodeBalance:
        return await reachable(self._context.backend.balance())

    async def _count(self) -> int | None:
        """The node's count of payments. One that cannot be had keeps nobody from paying: it is a proof less."""
        if not self._context.backend.capabilities.payment_index:
            return None
        try:
            return await reachable(self._context.backend.payment_index())
        except KitestringError as failure:
            log.warning("the node does not count its payments: %s", failure.message)
            return None

    def close(self) -> None:
        """End the question under way, if any: a stop does not wait for it."""
        if self._question is not None:
            self._question.cancel()

    async def receivable(self) -> Msat:
        """The amount that can come in now, as of the last few seconds. Raises KitestringError(UNAVAILABLE)."""
        await self.view(RECEIVABLE_AGE_S)
        return self._balance.receivable_msat

    async def owned(self) -> Msat:
        """The amount that the node owns, asked now. Raises KitestringError(UNAVAILABLE)."""
        await self.view(0)
        return self._balance.owned_msat

    async def info(self) -> NodeInfo:
        now = self._context.clock.monotonic()
        if self._info is None or now - self._info_at > INFO_AGE_S:
            info = await reachable(self._context.backend.info())
            if why := self._context.same_node.other():
                raise KitestringError(Reason.UNAVAILABLE, _AWAY, private=why)
            self._info, self._info_at = info, now
        return self._info

    async def owner_available(self) -> Msat:
        """The amount that the owner account can spend: node − Σ sub-accounts − everything held, never below zero."""
        view = await self.view(0)
        totals = await self._context.store.totals()
        spent_since = totals.spent_msat - view.spent_mark_msat
        left = view.spendable_msat - spent_since - totals.sub_accounts_msat - totals.owner_pending_msat
        return max(left, Msat(0))


async def reachable(call: Awaitable[T], limit_s: float = QUESTION_LIMIT_S) -> T:
    """A question without money in it. A failure is told in a sentence for everybody; the node's own words, which may
    hold its address, go to the log and into ``private``, which no wire shows."""
    try:
        async with asyncio.timeout(limit_s):
            return await call
    except KitestringError:
        raise
    except Exception as failure:
        words = in_plain_words(failure)[:MAX_WORDS_CHARS]
        log.warning("the node did not answer: %s", words)
        away = isinstance(failure, NodeUnreachableError | OSError | TimeoutError)
        raise KitestringError(Reason.UNAVAILABLE, _AWAY if away else _REFUSED, private=words) from failure
