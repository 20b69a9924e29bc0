"""Deliveries to webhooks."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from kitestring.base.webhooks import PAUSES_S, DeliveryState, WebhookDelivery, WebhookLane
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements


class WebhookReads(Statements):
    """Deliveries to webhooks."""

    async def lanes(self) -> dict[str, WebhookLane]:
        found = self._all(
            "SELECT offer_id, min(next_at), max(attempts) FROM deliveries INDEXED BY deliveries_waiting"
            " WHERE service = ? AND state = 'waiting' GROUP BY offer_id"
        )
        return {offer_id: WebhookLane(next_at, attempts) for offer_id, next_at, attempts in found}

    async def lane(self, offer_id: str) -> WebhookLane | None:
        row = self._one(
            "SELECT min(next_at), max(attempts) FROM deliveries INDEXED BY deliveries_waiting"
            " WHERE service = ? AND offer_id = ? AND state = 'waiting'",
            offer_id,
        )
        return None if row is None or row[0] is None else WebhookLane(*row)

    async def due_deliveries(self, offer_id: str, now: int, limit: int) -> list[WebhookDelivery]:
        found = self._all(
            f"SELECT {rows.DELIVERY} FROM deliveries INDEXED BY deliveries_waiting"
            " WHERE service = ? AND offer_id = ? AND state = 'waiting' AND (next_at <= ? OR next_at > ?)"
            " ORDER BY next_at, delivery LIMIT ?",
            *(offer_id, now, now + PAUSES_S[-1], limit),
        )
        return [rows.read_delivery(row) for row in found]

    async def delivery(self, invoice_id: str) -> WebhookDelivery | None:
        row = self._one(f"SELECT {rows.DELIVERY} FROM deliveries WHERE service = ? AND invoice_id = ?", invoice_id)
        return None if row is None else rows.read_delivery(row)

    async def deliveries(
        self, *, limit: int, offer_id: str = "", state: DeliveryState | None = None
    ) -> list[WebhookDelivery]:
        wanted = (("offer_id", offer_id), ("state", state.value if state is not None else ""))
        which = "".join(f" AND {name} = ?" for name, value in wanted if value)
        found = self._all(
            f"SELECT {rows.DELIVERY} FROM deliveries WHERE service = ?{which} ORDER BY delivery DESC LIMIT ?",
            *(value for _, value in wanted if value),
            limit,
        )
        return [rows.read_delivery(row) for row in found]

    async def count_waiting(self) -> dict[str, int]:
        return dict(
            self._all(
                "SELECT offer_id, count(*) FROM deliveries INDEXED BY deliveries_waiting"
                " WHERE service = ? AND state = 'waiting' GROUP BY offer_id"
            )
        )

    async def count_failed(self, since: int = 0) -> dict[str, int]:
        return dict(
            self._all(
                "SELECT offer_id, count(*) FROM deliveries INDEXED BY deliveries_failed"
                " WHERE service = ? AND state = 'failed' AND ended_at >= ? GROUP BY offer_id",
                since,
            )
        )
