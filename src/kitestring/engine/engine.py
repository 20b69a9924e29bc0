"""The engine: one door for commands that change state, one for questions; recovery before both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kitestring.base.approvals import Approval, OwnersWord
from kitestring.base.commands import (
    AnyCommand,
    AskOffer,
    Bundle,
    CallMethod,
    CancelHold,
    CancelInvoice,
    Connect,
    Debit,
    Enroll,
    MakeHoldInvoice,
    MakeInvoice,
    ManageOffer,
    PayInvoice,
    SettleHold,
)
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.records import NodeView, Request
from kitestring.engine.answers import Answers, always
from kitestring.engine.approvals import Approvals
from kitestring.engine.approved_debits import ApprovedDebits
from kitestring.engine.bundles import Bundles
from kitestring.engine.claims import ours
from kitestring.engine.connecting import Connecting
from kitestring.engine.context import Context, Incoming
from kitestring.engine.debits import Debits
from kitestring.engine.drift import Drift
from kitestring.engine.enrolling import Enrolling
from kitestring.engine.foreign import Foreign
from kitestring.engine.forgotten import may_be_paid, payment_hashes
from kitestring.engine.grants import Grants
from kitestring.engine.holds import Holds
from kitestring.engine.incoming import IncomingMoney
from kitestring.engine.invoices import Invoices
from kitestring.engine.managing import OfferManaging
from kitestring.engine.node import NodeGate
from kitestring.engine.payments import Payments
from kitestring.engine.reads import Questions
from kitestring.engine.recovery import recover
from kitestring.engine.shares import ShareTable


class Engine:
    """Claim → decide → reserve → pay → record → reply. Everything it needs was injected into the context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._answers = Answers(context)
        self._grants = Grants(context.store)
        self._gate = NodeGate(context)
        self.shares = ShareTable(context.limits, context.backend.capabilities)
        self._payments = Payments(context, self._answers, self._grants, self._gate, self.shares)
        self._invoices = Invoices(context, self._answers, self._grants, self._gate, self.shares)
        self._approvals = Approvals(context, self._answers)
        self._debits = Debits(context, self._answers, self._grants, self._payments, self._approvals)
        self._bundles = Bundles(context, self._answers, self._grants, self._payments)
        self._drift = Drift(context, self._gate)
        self._incoming = IncomingMoney(context, self._answers, self._drift)
        self._holds = Holds(context, self._answers, self._grants, self._gate, self._invoices, self._incoming)
        self._incoming.at_connect(self._holds.recover)
        self._questions = Questions(context, self._grants, self._gate)
        connecting = Connecting(context, self._answers, self._grants, self._approvals)
        self._approvals.know(Debit, ApprovedDebits(context, self._grants, self._payments, self._approvals))
        self._approvals.know(Connect, connecting)
        managing = OfferManaging(context, self._answers, self._grants, self._approvals)
        self._approvals.know(ManageOffer, managing)
        self._loops: list[asyncio.Task[None]] = []
        self._deciding: set[str] = set()
        self._handlers: dict[type, Callable[[Incoming, Any], Awaitable[Refused | None]]] = {
            PayInvoice: self._payments.handle,
            MakeInvoice: self._invoices.handle,
            MakeHoldInvoice: self._holds.make,
            SettleHold: self._holds.decide,
            CancelHold: self._holds.decide,
            CancelInvoice: self._holds.decide,
            AskOffer: self._invoices.handle,
            Debit: self._debits.handle,
            Enroll: Enrolling(context, self._answers).handle,
            Bundle: self._bundles.handle,
            ManageOffer: managing.handle,
            Connect: connecting.handle,
            CallMethod: Foreign(context, self._answers, self._grants).handle,
        }

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Recover what a crash left, then follow the node. Recovery never waits for a node that is down."""
        await recover(self._context, self._payments, self._approvals, self._bundles, self._holds)
        loop = asyncio.get_running_loop()
        loops = (
            self._incoming.listen(), self._incoming.housekeeping(), self._drift.watch(), self._approvals.watch()
        )  # fmt: skip
        self._loops = [loop.create_task(work) for work in loops]

    async def stop(self, grace_s: float) -> int:
        """Let what is in flight finish for ``grace_s`` seconds; returns how many payments stay for the next start."""
        self._gate.close()
        for task in self._loops:
            task.cancel()
        if ending := self._context.tasks - self._payments.endless - self._holds.tasks:
            await asyncio.wait(ending, timeout=grace_s)
        left = self._payments.running
        for task in tuple(self._context.tasks):
            task.cancel()
        await asyncio.gather(*self._loops, *self._context.tasks, return_exceptions=True)
        return left

    # ------------------------------------------------------------ doors

    async def handle(self, incoming: Incoming) -> Refused | None:
        """Carry a journaled command out. The answer is stored and leaves through the outbox; an error of the store is
        raised and nothing was done. A second copy of a request that is being decided is dropped: the first one answers.

        Strangers leave no row behind: that an offer sells nothing is returned, and told by whoever asks. Those whose
        requests may come twice ask :meth:`known` before.
        """
        if incoming.request_id in self._deciding:
            return None
        self._deciding.add(incoming.request_id)
        try:
            return await self._handlers[type(incoming.command)](incoming, incoming.command)
        finally:
            self._deciding.discard(incoming.request_id)

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        """Answer a question; changes nothing. Never raises for the caller's or the node's sake."""
        return await self._questions.ask(grant_id, command)

    async def refuse(self, request: Request, until: int, refused: Refused | None) -> None:
        """Refuse a known caller's request that is not to be carried out, for good: it is forgotten after ``until``
        (Unix seconds), when its age refuses it. None = with silence. What is known already keeps its answer.

        Raises KitestringError when the ledger cannot be written; then nothing was said.
        """
        await self._answers.refuse_until(until, request, refused)

    async def known(self, request_id: str, may_say: Callable[[], bool] = always) -> bool:
        """Whether a request was claimed or refused before; its answer, if it has one and ``may_say``, is delivered
        again."""
        return await self._answers.known(request_id, may_say)

    async def has_paid(self, request_id: str, command: AnyCommand) -> bool:
        """Whether what is asked for is a payment that is made or under way already, whoever has asked for it."""
        return any([await self._payments.has(one) for one in payment_hashes(self._context, request_id, command)])

    async def is_internal(self, command: PayInvoice) -> bool:
        """Whether a payment would move inside the service, as it stands now: to an open invoice of its own, by its very
        text, or to the node's own key."""
        return await ours(self._context, command) is not None

    async def may_be_at_the_node(self, request_id: str, command: AnyCommand) -> bool:
        """Whether the node has a payment of it that the ledger does not know. Raises KitestringError when the node
        cannot say it now."""
        return await may_be_paid(self._context, request_id, command)

    def may_have_answered(self, sent_at: int) -> bool:
        """Whether a request of this date (Unix seconds) may have been carried out in an earlier life, which the ledger
        has forgotten. Then nothing is said of it but what the node proves."""
        return self._context.earlier.may_have_answered(sent_at)

    async def resolve(self, payment_id: str, note: str) -> None:
        """The operator's word about a payment of unknown outcome. Raises KitestringError if it has another state."""
        await self._payments.resolve(payment_id, note)

    async def decide(self, word: OwnersWord) -> Approval:
        """The owner's decision about a question; see :meth:`Approvals.decide`."""
        return await self._approvals.decide(word)

    async def grant(self, grant_id: str) -> Grant | None:
        """The grant as decisions are made on it."""
        return await self._grants.get(grant_id)

    # ------------------------------------------------------------ the node

    async def receivable(self) -> Msat:
        """The amount that can come in now, as of the last few seconds. Raises KitestringError(UNAVAILABLE)."""
        return await self._gate.receivable()

    async def node_view(self) -> NodeView:
        """The node's balance, asked now. Raises KitestringError(UNAVAILABLE)."""
        return await self._gate.view(0)
