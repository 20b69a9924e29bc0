"""Questions: what a grant may know of its account, its payments and its node. Nothing is changed by them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kitestring.base.commands import (
    OWNER_ACCOUNT,
    OWNER_WIRE,
    AnyCommand,
    GetBalance,
    GetBudget,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    LookupPayment,
    SignMessage,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import (
    Balance,
    BudgetState,
    Direction,
    Found,
    Info,
    Listed,
    Outcome,
    Refused,
)
from kitestring.base.store import Scope
from kitestring.engine.context import Context
from kitestring.engine.grants import Grants
from kitestring.engine.node import NodeGate
from kitestring.engine.rated import as_shown
from kitestring.engine.signing import Signing
from kitestring.policy.budget import oldest, renews_at
from kitestring.policy.rules import refuse_caller

_Read = Callable[[Grant, Any], Awaitable[Outcome]]


class Questions:
    """Answers the commands that only read, each by its row in a table."""

    def __init__(self, context: Context, grants: Grants, gate: NodeGate) -> None:
        self._context = context
        self._grants = grants
        self._gate = gate
        self._reads: dict[type[AnyCommand], _Read] = {
            LookupInvoice: self._lookup,
            LookupPayment: self._lookup_payment,
            ListTransactions: self._list,
            GetBalance: self._balance,
            GetBudget: self._budget,
            GetInfo: self._info,
            SignMessage: Signing(context).sign,
        }

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        """The answer, or a refusal; never raises for the caller's or the node's sake."""
        grant = await self._grants.get(grant_id)
        refusal = refuse_caller(grant, self._context.clock.now(), command)
        if refusal is not None or grant is None:
            return refusal or Refused(Reason.CONNECTION_ENDED)
        try:
            return await self._reads[type(command)](grant, command)
        except KitestringError as failure:
            return Refused.of(failure)

    async def _balance(self, grant: Grant, _: object) -> Outcome:
        """Of a connection with a budget no more than is left of it, which is what the app can spend, unless its owner
        shows it everything."""
        available = await self._available(grant.account_id)
        if grant.shown_balance == "full":
            return Balance(available)
        left = None if grant.wire == OWNER_WIRE else (await self._budget(grant, None)).left_msat
        return Balance(available if left is None else max(ZERO, min(available, left)))

    async def _available(self, account_id: str) -> Msat:
        if account_id == OWNER_ACCOUNT:
            return await self._gate.owner_available()
        account = await self._context.store.account(account_id)
        return max(account.available_msat, ZERO) if account else ZERO

    async def _budget(self, grant: Grant, _: object) -> BudgetState:
        """Of several budgets the one with the least left."""
        now, zone, states = self._context.clock.now(), self._context.zone, []
        for budget in await as_shown(self._context.rates, grant):
            since = oldest(budget, now, zone)
            used = await self._context.store.budget_used(grant.grant_id, since, budget.budget_id, now=now)
            states.append((budget.limit_msat - used, BudgetState(budget, used, renews_at(budget, now, zone))))
        return min(states, key=lambda state: state[0])[1] if states else BudgetState()

    async def _info(self, grant: Grant, _: object) -> Outcome:
        """Always granted; facts about the node only with the permission (the network is in every invoice)."""
        methods, without = tuple(sorted({*grant.announced, "get_info"})), self._context.without
        plugins = self._context.plugins.values()
        foreign = tuple(plugin.name for plugin in plugins if plugin.needs in grant.methods)
        if "get_info" not in grant.methods and grant.wire != OWNER_WIRE:
            facts = self._context.node.network, None, "", methods
            return Info("", "", "", *facts, lud16=grant.lud16, without=without, foreign=foreign)
        node = await self._gate.info()
        return Info(
            node.alias,
            node.color,
            node.node_id,
            node.network,
            node.block_height,
            node.block_hash,
            methods,
            lud16=grant.lud16,
            without=without,
            foreign=foreign,
        )

    async def _lookup(self, grant: Grant, command: LookupInvoice) -> Outcome:
        found = await self._context.store.transaction(scope_of(grant), command.payment_hash)
        if found is None:
            return _none(grant)
        return Found(found)

    async def _lookup_payment(self, grant: Grant, command: LookupPayment) -> Outcome:
        """A payment to oneself has two records of one hash; either way alone has one."""
        ways = [way for way in Direction if command.direction in {"", way.value}]
        look = self._context.store.transaction
        found = [row for way in ways if (row := await look(scope_of(grant), command.payment_hash, way)) is not None]
        if len(found) > 1:
            return Refused(Reason.AMBIGUOUS_LOOKUP, f"it was paid to this very {_seen(grant)}: ask by transaction_id")
        if not found:
            return _none(grant)
        return Found(found[0])

    async def _list(self, grant: Grant, command: ListTransactions) -> Outcome:
        store, scope = self._context.store, scope_of(grant)
        rows = await store.transactions(scope, command)
        total = await store.count_transactions(scope, command)
        return Listed(tuple(rows), total=total)


def scope_of(grant: Grant) -> Scope:
    """A connection sees what it did itself, or all of its account where it is shown that; the owner sees everything."""
    if grant.wire == OWNER_WIRE:
        return Scope()
    is_shown_all = grant.shown_history == "account"
    return Scope(account_id=grant.account_id) if is_shown_all else Scope(grant_id=grant.grant_id)


def _seen(grant: Grant) -> str:
    return "account" if grant.shown_history == "account" else "connection"


def _none(grant: Grant) -> Refused:
    return Refused(Reason.UNKNOWN_TARGET, f"there is no such invoice or payment on this {_seen(grant)}")
