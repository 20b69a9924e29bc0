"""The breaker: when the node holds less than the sub-accounts are owed, spending stops until it is covered again."""

from __future__ import annotations

import logging
from typing import Final

from kitestring.base.errors import KitestringError
from kitestring.base.ledger import NodeView, SetSpending
from kitestring.base.ports import Totals
from kitestring.engine.context import Context
from kitestring.engine.node import NodeGate

log = logging.getLogger("kitestring.engine")

#: How often the two views are compared. Each look costs the node one balance.
WATCH_S: Final = 60


def shortfall(view: NodeView, totals: Totals) -> int:
    """By how many msat the node's balance misses what sub-accounts own; ≤ 0 is covered. What is in flight counts as
    there: the node has taken it from its balance already, the ledger has not."""
    spent_since = totals.spent_msat - view.spent_mark_msat
    return int(totals.sub_accounts_msat - totals.pending_msat - (view.spendable_msat - spent_since))


class Drift:
    """Receiving goes on; only spending stops, and starts again by itself."""

    def __init__(self, context: Context, gate: NodeGate) -> None:
        self._context = context
        self._gate = gate

    async def watch(self) -> None:
        """For ever."""
        while True:
            await self._context.clock.sleep(WATCH_S)
            try:
                await self.compare()
            except KitestringError as failure:
                log.warning("ledger and node are not compared: %s", failure.message)

    async def compare(self) -> None:
        """One look. Raises KitestringError when the node or the ledger cannot be asked."""
        totals = await self._context.store.totals()
        if not totals.sub_accounts_msat:
            missing = 0
        else:
            missing = shortfall(await self._gate.view(0), await self._context.store.totals())
        if (missing > 0) == bool(totals.spending_stopped):
            return
        why = f"the node holds {missing} msat less than the accounts are owed" if missing > 0 else ""
        log.error("spending stops: %s", why) if why else log.warning("spending is allowed again")
        await self._context.store.apply(SetSpending(bool(why), why, self._context.clock.now()))
