"""Deliveries to the webhooks of offers: written with the settlement, tried to an end, forgotten."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.errors import Reason
from kitestring.base.events import EventKind
from kitestring.base.transactions.answers import Denied, Done
from kitestring.base.transactions.feed import ForgetNews, NoteAttempt
from kitestring.base.transactions.owner import SendAgain
from kitestring.base.webhooks import (
    ALARM_AGAIN_S,
    KEEP_FAILED_S,
    MAX_FAILED,
    MAX_WAITING,
    MAX_WAITING_OF_CREATOR,
    DeliveryState,
    WebhookDelivery,
)
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.rows import DELIVERY, marks, write_delivery

#: The status of a delivery for which there was no room.
TOO_MANY: Final = "too many payments waited to be told already: it was not tried"

_WEBHOOK: Final = "SELECT creator FROM offers WHERE service = ? AND offer_id = ? AND webhook <> ''"
_WAITING: Final = "SELECT count(*) FROM deliveries WHERE service = ? AND offer_id = ? AND state = 'waiting'"
_WAITING_OF: Final = (
    "SELECT count(*) FROM deliveries WHERE service = ? AND creator = ? AND creator <> '' AND state = 'waiting'"
)
_OWE: Final = f"INSERT INTO deliveries (service, {DELIVERY}) VALUES ({marks(DELIVERY)})"
_NOTE: Final = """
UPDATE deliveries SET state = ?, attempts = ?, tried_since = ?, next_at = ?, status = ?, ended_at = ?
WHERE service = ? AND invoice_id = ? AND state = 'waiting' AND attempts = ?"""
_FAILED_BEFORE: Final = """
SELECT 1 FROM deliveries WHERE service = ? AND offer_id = ? AND state = 'failed' AND ended_at > ? AND invoice_id <> ?
LIMIT 1"""
_AGAIN: Final = """
UPDATE deliveries SET state = 'waiting', attempts = 0, tried_since = NULL, next_at = 0, ended_at = NULL
WHERE service = ? AND invoice_id = ? RETURNING offer_id"""
_DUE: Final = "UPDATE deliveries SET next_at = 0 WHERE service = ? AND offer_id = ? AND state = 'waiting'"
#: The oldest event that is kept; without any, all are forgotten.
_FIRST_EVENT: Final = "SELECT event FROM events WHERE service = ? AND event > 0 ORDER BY event LIMIT 1"
_FORGET_DELIVERED: Final = """
DELETE FROM deliveries WHERE delivery IN (
  SELECT delivery FROM deliveries WHERE service = ? AND state = 'delivered' AND event < ? LIMIT ?)"""
_NEWEST_FAILED: Final = """
SELECT ended_at FROM deliveries WHERE service = ? AND state = 'failed' ORDER BY ended_at DESC LIMIT 1 OFFSET ?"""
_FORGET_FAILED: Final = """
DELETE FROM deliveries WHERE delivery IN (
  SELECT delivery FROM deliveries WHERE service = ? AND state = 'failed' AND ended_at < ? AND event < ?
  ORDER BY ended_at LIMIT ?)"""


def owe(batch: Batch, invoice_id: str, offer_id: str, now: int) -> None:
    """Write the delivery of an invoice that has just been called received, if its offer has a webhook. Beyond what may
    wait at once it has failed from the start: it is seen, and can be sent again."""
    row = batch.execute(_WEBHOOK, (batch.service, offer_id)).fetchone() if offer_id else None
    if row is None:
        return
    creator = row[0]
    owed = WebhookDelivery(
        invoice_id=invoice_id, offer_id=offer_id, creator=creator, event=batch.sums.last_event, created_at=now,
    )  # fmt: skip
    if _is_full(batch, offer_id, creator):
        owed = WebhookDelivery(
            invoice_id=invoice_id, offer_id=offer_id, creator=creator, event=owed.event, created_at=now,
            state=DeliveryState.FAILED, status=TOO_MANY, ended_at=now,
        )  # fmt: skip
        _alarm(batch, owed, now, f"the webhook of offer {offer_id} is not told of a payment: {TOO_MANY}")
    batch.execute(_OWE, (batch.service, *write_delivery(owed)))
    batch.webhooks[offer_id] = None


def _is_full(batch: Batch, offer_id: str, creator: str) -> bool:
    if batch.execute(_WAITING, (batch.service, offer_id)).fetchone()[0] >= MAX_WAITING:
        return True
    return bool(creator) and batch.execute(_WAITING_OF, (batch.service, creator)).fetchone()[0] >= (
        MAX_WAITING_OF_CREATOR
    )


def note_attempt(batch: Batch, tx: NoteAttempt) -> Done:
    """Write what came of an attempt, once."""
    d = tx.delivery
    values = (d.state.value, d.attempts, d.tried_since, d.next_at, d.status, d.ended_at)
    counts = batch.execute(_NOTE, (*values, batch.service, d.invoice_id, d.attempts - 1)).rowcount == 1
    if counts and d.state is DeliveryState.FAILED:
        _alarm(batch, d, tx.now, tx.why)
    return Done()


def _alarm(batch: Batch, failed: WebhookDelivery, now: int, why: str) -> None:
    """Tell it, once a day for each offer: one that is paid often would push all other alarms out. Those of apps are
    many, and nobody's who could mend them: they are seen where they are looked for."""
    key = (batch.service, failed.offer_id, now - ALARM_AGAIN_S, failed.invoice_id)
    if why and not failed.creator and batch.execute(_FAILED_BEFORE, key).fetchone() is None:
        batch.tell(EventKind.ALARM, failed.invoice_id, now, detail=why)


def send_again(batch: Batch, write: SendAgain, _now: int) -> Denied | None:
    """Begin anew with each of them, or deny all."""
    for invoice_id in write.invoice_ids:
        offers = batch.execute(_AGAIN, (batch.service, invoice_id)).fetchall()
        if not offers:
            return Denied(Reason.UNKNOWN_TARGET)
        batch.webhooks[offers[0][0]] = None
    return None


def set_due(batch: Batch, offer_id: str) -> None:
    """Have what waits for a webhook tried at once: it has another address now."""
    if batch.execute(_DUE, (batch.service, offer_id)).rowcount:
        batch.webhooks[offer_id] = None


def forget_deliveries(batch: Batch, tx: ForgetNews, limit: int) -> int:
    """Delete deliveries that have ended and whose events are forgotten, at most ``limit`` of each sort; tell how
    many."""
    service = batch.service
    row = batch.execute(_FIRST_EVENT, (service,)).fetchone()
    first = batch.sums.last_event + 1 if row is None else row[0]
    gone = batch.execute(_FORGET_DELIVERED, (service, first, limit)).rowcount
    too_many = batch.execute(_NEWEST_FAILED, (service, MAX_FAILED - 1)).fetchone() or (0,)
    before = max(tx.now - KEEP_FAILED_S, too_many[0])
    return gone + batch.execute(_FORGET_FAILED, (service, before, first, limit)).rowcount
