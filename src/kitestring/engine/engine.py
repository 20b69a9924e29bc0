"""The engine: one door for commands that change state, one for questions; recovery before both."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from kitestring.base.commands import (
    OWNER_ACCOUNT,
    AnyCommand,
    GetBalance,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeInvoice,
    PayInvoice,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.outcomes import Balance, Found, Info, Listed, Outcome, Refused, Transaction
from kitestring.base.payments import OPEN
from kitestring.base.records import Message, NodeView, Request
from kitestring.base.store import Scope
from kitestring.engine.context import Context, Incoming
from kitestring.engine.drift import Drift
from kitestring.engine.incoming import IncomingMoney
from kitestring.engine.invoices import Invoices
from kitestring.engine.node import NodeGate
from kitestring.engine.payments import Payments
from kitestring.policy.rules import refuse_caller

log = logging.getLogger("kitestring.engine")

#: Replies that a crash left unpublished and that are published again at start, oldest first.
MAX_BACKLOG: Final = 10_000
#: As many of them are signed in one go: about 20 ms.
BACKLOG_SLICE: Final = 32

_Read = Callable[[Grant, Any], Awaitable[Outcome]]


class Engine:
    """Claim → decide → reserve → pay → record → reply. Everything it needs was injected into the context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._grants: dict[str, Grant] = {}
        self._gate = NodeGate(context)
        self._payments = Payments(context, self._gate, self.grant, self.reload_grant)
        self._invoices = Invoices(context, self.grant, self.reload_grant)
        self._incoming = IncomingMoney(context)
        self._drift = Drift(context, self._gate)
        self._loops: list[asyncio.Task[None]] = []
        self._deciding: set[str] = set()
        self._reads: dict[type, _Read] = {
            LookupInvoice: self._lookup,
            ListTransactions: self._list,
            GetBalance: self._balance,
            GetInfo: self._info,
        }

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Recover what a crash left, then follow the node. Recovery never waits for a node that is down."""
        await self.recover()
        loop = asyncio.get_running_loop()
        loops = (self._incoming.listen(), self._incoming.housekeeping(), self._drift.watch())
        self._loops = [loop.create_task(work) for work in loops]

    async def stop(self, grace_s: float) -> int:
        """Let what is in flight finish for ``grace_s`` seconds; returns how many payments stay for the next start."""
        self._gate.close()
        for task in self._loops:
            task.cancel()
        if ending := self._context.tasks - self._payments.endless:
            await asyncio.wait(ending, timeout=grace_s)
        left = self._payments.running
        for task in tuple(self._context.tasks):
            task.cancel()
        await asyncio.gather(*self._loops, *self._context.tasks, return_exceptions=True)
        return left

    async def recover(self) -> None:
        """Every payment, invoice and request that a crash left open is carried on from the stored rows alone."""
        store, spawn = self._context.store, self._context.spawn
        for payment in await store.open_payments():
            self._payments.carry_on(payment, await store.waiting(payment.payment_id))
        for payment in await store.resolved_payments():
            if payment.node_id == self._context.node.node_id:
                self._payments.carry_on(payment, [])
        for invoice in await store.invoices("creating"):
            spawn(self._invoices.resume(invoice))
        for request in await store.running_requests():
            await self._answer_orphan(request)
        spawn(self._publish_backlog(await store.unpublished(MAX_BACKLOG)))

    async def _publish_backlog(self, unpublished: Sequence[Message]) -> None:
        """Old answers are signed again, which takes time: what comes in meanwhile has its turn in between."""
        for start in range(0, len(unpublished), BACKLOG_SLICE):
            self._context.deliver(tuple(unpublished[start : start + BACKLOG_SLICE]))
            await self._context.clock.sleep(0)

    async def _answer_orphan(self, request: Request) -> None:
        payment = await self._context.store.payment(request.payment_id) if request.payment_id else None
        if payment is not None and payment.state not in OPEN:
            await self._payments.answer_late(payment, request)

    # ------------------------------------------------------------ grants

    async def grant(self, grant_id: str) -> Grant | None:
        """The cached grant; transaction 1 notices when it is older than the stored one."""
        return self._grants.get(grant_id) or await self.reload_grant(grant_id)

    async def reload_grant(self, grant_id: str) -> Grant | None:
        grant = await self._context.store.grant(grant_id)
        if grant is None:
            self._grants.pop(grant_id, None)
        else:
            self._grants[grant_id] = grant
        return grant

    # ------------------------------------------------------------ doors

    async def handle(self, incoming: Incoming) -> None:
        """Carry a journaled command out. The answer is stored, then delivered; an error of the store is raised and
        nothing was done. A second copy of a request that is being decided is dropped: the first one answers."""
        if incoming.request_id in self._deciding:
            return
        self._deciding.add(incoming.request_id)
        try:
            if isinstance(incoming.command, PayInvoice):
                await self._payments.handle(incoming)
            elif isinstance(incoming.command, MakeInvoice):
                await self._invoices.handle(incoming)
        finally:
            self._deciding.discard(incoming.request_id)

    async def resolve(self, payment_id: str, note: str) -> None:
        """The operator's word about a payment of unknown outcome. Raises KitestringError if it has another state."""
        await self._payments.resolve(payment_id, note)

    async def known(self, request_id: str) -> bool:
        """Whether a request was claimed before; its answer, if it has one, is delivered again."""
        return await self._context.known(request_id)

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        """Answer a question; changes nothing. Never raises for the caller's or the node's sake."""
        grant = await self.grant(grant_id)
        refusal = refuse_caller(grant, self._context.clock.now(), command)
        if refusal is not None or grant is None:
            return refusal or Refused(Reason.CONNECTION_ENDED)
        try:
            return await self._reads[type(command)](grant, command)
        except KitestringError as failure:
            return Refused(failure.reason, failure.message, dict(failure.details))

    async def node_view(self) -> NodeView:
        """The node's balance, asked now. Raises KitestringError(UNAVAILABLE)."""
        return await self._gate.view(0)

    async def receivable(self) -> Msat:
        """What can come in now. Raises KitestringError(UNAVAILABLE)."""
        return await self._gate.receivable()

    async def _balance(self, grant: Grant, _: object) -> Outcome:
        if grant.account_id == OWNER_ACCOUNT:
            return Balance(await self._gate.owner_available())
        account = await self._context.store.account(grant.account_id)
        return Balance(max(account.available_msat, Msat(0)) if account else Msat(0))

    async def _info(self, grant: Grant, _: object) -> Outcome:
        """Always granted; facts about the node only with the permission (the network is in every invoice)."""
        methods = tuple(sorted({*grant.methods, "get_info"}))
        if "get_info" not in grant.methods and grant.wire != "owner":
            return Info("", "", "", self._context.node.network, 0, "", methods)
        node = await self._gate.info()
        return Info(
            node.alias,
            node.color,
            node.node_id,
            node.network,
            node.block_height,
            node.block_hash,
            methods,
        )

    async def _lookup(self, grant: Grant, command: LookupInvoice) -> Outcome:
        found = await self._context.store.transaction(_scope(grant), command.payment_hash)
        if found is None:
            return Refused(Reason.UNKNOWN_TARGET, "there is no such invoice or payment on this connection")
        return Found(self._as_of_now(found))

    async def _list(self, grant: Grant, command: ListTransactions) -> Outcome:
        rows = await self._context.store.transactions(_scope(grant), command)
        return Listed(tuple(self._as_of_now(row) for row in rows))

    def _as_of_now(self, row: Transaction) -> Transaction:
        past = row.expires_at is not None and row.expires_at < self._context.clock.now()
        if row.type == "incoming" and row.state == "pending" and past:
            return dataclasses.replace(row, state="expired")
        return row


def _scope(grant: Grant) -> Scope:
    """A connection sees what it did itself; the owner sees everything."""
    return Scope() if grant.wire == "owner" else Scope(grant_id=grant.grant_id)
