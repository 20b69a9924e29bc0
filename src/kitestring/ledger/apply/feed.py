"""Outbox and feed once their rows are written: what was sent, how far consumers have come, what is forgotten."""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import MAX_CONSUMERS
from kitestring.base.transactions import Done, MarkSent, Prune, Tell
from kitestring.ledger.apply.batch import Batch, message_id

#: The consumer that is the delivery of the outbox. No consumer of the feed has a name that begins with "@".
OUTBOX: Final = "@outbox"
#: Rows of the feed, and messages about no request, that one Prune deletes at most.
FORGET_LIMIT: Final = 5_000

_MOVE: Final = """
INSERT INTO consumers VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET position = excluded.position, moved_at = excluded.moved_at
WHERE excluded.position > position"""
_KNOWN: Final = "SELECT name = ?2, count(*) OVER () FROM consumers WHERE service = ?1 ORDER BY name = ?2 DESC LIMIT 1"
_AGAIN: Final = "UPDATE outbox SET attempts = ?, next_at = ? WHERE message = ?"
_ENDED: Final = "UPDATE outbox SET next_at = NULL WHERE message = ?"
_FORGET_EVENTS: Final = """
DELETE FROM events WHERE service = ?1 AND event IN (
  SELECT event FROM events WHERE service = ?1 AND (at < ?2 OR event <= ?3) ORDER BY event LIMIT ?4)"""
_FORGET_NOTICES: Final = """
DELETE FROM outbox WHERE message IN (
  SELECT message FROM outbox WHERE service = ?1 AND request IS NULL
    AND (signed_at < ?2 AND next_at IS NULL AND message <= ?3 OR message <= ?4) LIMIT ?5)"""
#: The newest of those that are too many.
_TOO_MANY: Final = """
SELECT message FROM outbox WHERE service = ? AND request IS NULL ORDER BY message DESC LIMIT 1 OFFSET ?"""
_POSITION: Final = "SELECT position FROM consumers WHERE service = ? AND name = ?"


def mark_sent(batch: Batch, tx: MarkSent) -> Done:
    """Move the delivery on. What must be tried again is named before its number is passed."""
    service = batch.service
    again = [(attempts, next_at, message_id(service, number)) for number, attempts, next_at in tx.again]
    batch.connection.executemany(_AGAIN, again)
    batch.connection.executemany(_ENDED, [(message_id(service, number),) for number in tx.ended])
    batch.execute(_MOVE, (service, OUTBOX, tx.position, 0))
    return Done()


def tell(batch: Batch, tx: Tell) -> Done:
    """Move a consumer on and put its messages into the outbox, or do neither."""
    if tx.consumer.startswith("@"):
        raise KitestringError(Reason.INTERNAL, f"a consumer of the feed is not called {tx.consumer}")
    row = batch.execute(_KNOWN, (batch.service, tx.consumer)).fetchone()
    if row is not None and not row[0] and row[1] >= MAX_CONSUMERS:
        raise KitestringError(Reason.INTERNAL, f"the feed has {MAX_CONSUMERS} consumers: end one before another begins")
    moved = batch.execute(_MOVE, (batch.service, tx.consumer, tx.position, tx.now)).rowcount
    if moved:
        batch.store(tx.messages, tx.now)
    return Done()


def forget_news(batch: Batch, tx: Prune) -> bool:
    """Delete events and messages about no request that are too old or too many; True when none is left to delete."""
    events = (batch.service, tx.before, batch.sums.last_event - tx.max_events, FORGET_LIMIT)
    return max(batch.execute(_FORGET_EVENTS, events).rowcount, _forget_notices(batch, tx)) < FORGET_LIMIT


def _forget_notices(batch: Batch, tx: Prune) -> int:
    """Delete old messages about no request. One that may still be sent stays, unless there are too many."""
    position = batch.execute(_POSITION, (batch.service, OUTBOX)).fetchone()
    sent = message_id(batch.service, position[0] if position else 0)
    too_many = batch.execute(_TOO_MANY, (batch.service, tx.max_notices)).fetchone()
    which = (batch.service, tx.before, sent, too_many[0] if too_many else -1, FORGET_LIMIT)
    return batch.execute(_FORGET_NOTICES, which).rowcount
