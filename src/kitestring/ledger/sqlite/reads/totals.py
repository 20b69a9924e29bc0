"""Sums, stops, and the node and the point at which the ledger stands."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from kitestring.base.money import ZERO, Msat
from kitestring.base.records import Generation, Node, Stop, StopCause
from kitestring.base.store import Totals
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements


class TotalReads(Statements):
    """Sums, stops, and the node and the point at which the ledger stands."""

    async def node(self, node_id: str) -> Node | None:
        row = self._one(f"SELECT {rows.NODE} FROM nodes WHERE service = ? AND node_id = ?", node_id)
        return None if row is None else rows.read_node(row)

    async def nodes(self) -> list[Node]:
        found = self._all(f"SELECT {rows.NODE} FROM nodes WHERE service = ? ORDER BY epoch, node_id")
        return [rows.read_node(row) for row in found]

    async def budget_used(self, grant_id: str, oldest: int, budget_id: int = 0, *, now: int = 0) -> Msat:
        row = self._one(
            # As the next charge finds it: a calendar period that is over has no bucket that would still count.
            "SELECT CASE WHEN max(oldest, last_at) >= ?2 OR ends > ?5 THEN used_msat"
            " ELSE (SELECT coalesce(sum(used_msat), 0) FROM buckets WHERE service = b.service AND grant_id = b.grant_id"
            " AND budget_id = b.budget_id AND bucket >= ?2) END + CASE WHEN before_at >= ?2 THEN before_msat ELSE 0 END"
            " FROM budgets b WHERE service = ?1 AND grant_id = ?3 AND budget_id = ?4",
            oldest,
            grant_id,
            budget_id,
            now,
        )
        return ZERO if row is None else Msat(row[0])

    async def totals(self) -> Totals:
        row = self._one(
            "SELECT t.spent_msat, t.sub_accounts_msat, t.owner_pending_msat, t.pending_msat, t.spending_stopped,"
            " t.pruned_before, a.credits_msat FROM totals t"
            f" JOIN accounts a ON a.service = t.service AND a.account_id = '{rows.SERVICE_FEES}' WHERE t.service = ?"
        )
        assert row is not None  # noqa: S101 - written when the service was
        spent, sub_accounts, owner_pending, pending, stopped, pruned_before, fees = row
        sums = (Msat(spent), Msat(sub_accounts), Msat(owner_pending), Msat(pending))
        return Totals(*sums, stopped, pruned_before, Msat(fees))

    async def stops(self) -> list[Stop]:
        found = self._all("SELECT cause, why, at FROM stops WHERE service = ? ORDER BY at, cause")
        return [Stop(StopCause(cause), why, at) for cause, why, at in found]

    async def generation(self) -> Generation:
        row = self._one(
            "SELECT s.ledger_id, t.last_event, t.last_message, (SELECT coalesce(max(payment), 0) FROM payments),"
            " (SELECT coalesce(max(transfer), 0) FROM transfers), s.since"
            " FROM services s JOIN totals t ON t.service = s.service WHERE s.service = ?"
        )
        assert row is not None  # noqa: S101 - written when the service was
        return Generation(*row)
