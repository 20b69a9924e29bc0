"""The breaker: spending stops while the node owns less than the sub-accounts are owed, or another node answers."""

from __future__ import annotations

import logging
from typing import Final

from kitestring.base.errors import KitestringError
from kitestring.base.money import Msat
from kitestring.base.node import OtherNodeError
from kitestring.base.records import StopCause
from kitestring.base.store import Totals
from kitestring.base.transactions.service import SetSpending
from kitestring.engine.context import Context
from kitestring.engine.node import NodeGate, reachable

log = logging.getLogger("kitestring.engine")

#: How often the two views are compared. Each look costs the node one balance.
WATCH_S: Final = 60
#: A difference is believed when it is there at a second look, so many seconds later: a payment may begin and fail
#: within one.
CONFIRM_S: Final = 1


def shortfall(before: Totals, owned_msat: Msat, after: Totals) -> int:
    """By how many msat at least the node's own money misses what sub-accounts own; ≤ 0 is covered. What a channel keeps
    back, or cannot send because its peer is away, is there all the same.

    The ledger is read before and after the node is asked. What came or went in between may or may not be in the
    node's answer, so it excuses a difference; and what is in flight counts as there: the node has taken it from its
    balance already, the ledger has not.
    """
    owed = min(before.sub_accounts_msat, after.sub_accounts_msat)
    return int(owed - max(before.pending_msat, after.pending_msat) - owned_msat)


class Drift:
    """Receiving goes on; only spending stops, and starts again by itself when the cause has gone."""

    def __init__(self, context: Context, gate: NodeGate) -> None:
        self._context = context
        self._gate = gate

    async def watch(self) -> None:
        """Forever."""
        while True:
            await self._context.clock.sleep(WATCH_S)
            try:
                await self.compare()
            except KitestringError as failure:
                log.warning("ledger and node are not compared: %s", failure.message)

    async def compare(self) -> None:
        """Look, and correct the switches if they are wrong. Raises KitestringError when node or ledger cannot be
        asked."""
        other = self._context.same_node.other()
        await self._switch(StopCause.NODE, other)
        if not other:
            is_stopped = await self._is_stopped(StopCause.DRIFT)
            await self._switch(StopCause.DRIFT, await self._shortage(is_stopped=is_stopped))

    async def confirm_node(self) -> None:
        """Ask the node who it is. Raises OtherNodeError where it is another one, and spending has stopped then."""
        await reachable(self._context.backend.info())
        why = self._context.same_node.other()
        if why:
            await self._switch(StopCause.NODE, why)
            raise OtherNodeError(why)

    async def _switch(self, cause: StopCause, why: str) -> None:
        if bool(why) == await self._is_stopped(cause):
            return
        if not why:
            log.warning("spending is not stopped any more for this: %s", cause.value)
        await self._context.store.apply(SetSpending(bool(why), why, self._context.clock.now(), cause))

    async def _is_stopped(self, cause: StopCause) -> bool:
        return any(stop.cause is cause for stop in await self._context.store.stops())

    async def _shortage(self, *, is_stopped: bool) -> str:
        missing = await self._missing()
        if missing > 0 and not is_stopped:
            await self._context.clock.sleep(CONFIRM_S)
            missing = min(missing, await self._missing())
        return f"the node holds {missing} msat less than the accounts are owed" if missing > 0 else ""

    async def _missing(self) -> int:
        before = await self._context.store.totals()
        if not before.sub_accounts_msat:
            return 0
        owned_msat = await self._gate.owned()
        return shortfall(before, owned_msat, await self._context.store.totals())
