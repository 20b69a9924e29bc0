"""Outbox and feed once their rows are written: what was sent, how far consumers have come, what is forgotten."""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import MAX_CONSUMERS
from kitestring.base.records import LOG
from kitestring.base.transactions.answers import Done, More
from kitestring.base.transactions.feed import ForgetNews, MarkSent, Tell
from kitestring.ledger.apply.batch import Batch, message_id
from kitestring.ledger.apply.webhooks import forget_deliveries

#: The consumer that is the delivery of the outbox. No consumer of the feed has a name that begins with "@".
OUTBOX: Final = "@outbox"
#: Rows of the feed, and messages about no request, that one ForgetNews deletes at most.
FORGET_LIMIT: Final = 5_000

_MOVE: Final = """
INSERT INTO consumers VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET position = excluded.position, moved_at = excluded.moved_at
WHERE excluded.position > position"""
_KNOWN: Final = "SELECT name = ?2, count(*) OVER () FROM consumers WHERE service = ?1 ORDER BY name = ?2 DESC LIMIT 1"
_AGAIN: Final = "UPDATE outbox SET attempts = ?, next_at = ? WHERE message = ?"
_ENDED: Final = "UPDATE outbox SET next_at = NULL WHERE message = ?"
#: The bound changes nothing but the plan: it begins at the first row, and stops there.
_OLDEST_EVENT: Final = "SELECT event FROM events WHERE service = ? AND event > 0 ORDER BY event LIMIT 1"
_EVENT_AT: Final = "SELECT at FROM events WHERE service = ? AND event = ?"
_FIRST_YOUNG: Final = """
SELECT event FROM events WHERE service = ? AND event BETWEEN ? AND ? AND at >= ? ORDER BY event LIMIT 1"""
_FORGET_EVENTS: Final = "DELETE FROM events WHERE service = ? AND event BETWEEN ? AND ?"
_NEWEST_NOTICE: Final = """
SELECT message, signed_at FROM outbox
WHERE service = ? AND message > 0 AND request IS NULL ORDER BY message DESC LIMIT 1"""
_FORGET_NOTICES: Final = """
DELETE FROM outbox INDEXED BY outbox_of_no_request
WHERE service = ?1 AND request IS NULL AND message <= ?2
  AND (signed_at < ?3 AND next_at IS NULL AND message <= ?4 OR message <= ?5 AND (kind <> ?6 OR message <= ?7))"""
#: Among as many messages as one step looks at.
_ALARMS_BUT: Final = """
SELECT message FROM outbox INDEXED BY outbox_of_no_request
WHERE service = ? AND request IS NULL AND message > 0 AND message <= ? AND kind = ?
ORDER BY message DESC LIMIT 1 OFFSET ?"""
_NEWEST_BUT: Final = """
SELECT message FROM outbox
WHERE service = ? AND message > 0 AND request IS NULL ORDER BY message DESC LIMIT 1 OFFSET ?"""
_OLDEST_BUT: Final = _NEWEST_BUT.replace(" DESC", "")
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


def forget_news(batch: Batch, tx: ForgetNews) -> Done | More:
    """Delete events and messages about no request that are too old or too many, then the deliveries of such events.
    Each step looks at so many rows at most as it may delete, however many there are: payments wait for it."""
    gone = _forget_events(batch, tx) + _forget_notices(batch, tx) + forget_deliveries(batch, tx, FORGET_LIMIT)
    return More() if gone else Done()


def sent_position(batch: Batch) -> int:
    """Up to which number delivery has tried every message."""
    row = batch.execute(_POSITION, (batch.service, OUTBOX)).fetchone()
    return row[0] if row else 0


def _forget_events(batch: Batch, tx: ForgetNews) -> int:
    """Delete the oldest events up to the first that stays, and tell how many."""
    service, newest = batch.service, batch.sums.last_event
    oldest = batch.execute(_OLDEST_EVENT, (service,)).fetchone()
    if oldest is None:
        return 0
    first, last = oldest[0], min(oldest[0] + FORGET_LIMIT - 1, newest)
    before = min(tx.now, batch.execute(_EVENT_AT, (service, newest)).fetchone()[0]) - tx.keep_s
    not_too_many = max(first, newest - tx.max_events + 1)
    young = batch.execute(_FIRST_YOUNG, (service, not_too_many, last, before)).fetchone()
    return batch.execute(_FORGET_EVENTS, (service, first, young[0] - 1 if young else last)).rowcount


def _forget_notices(batch: Batch, tx: ForgetNews) -> int:
    """Delete old messages about no request, and tell how many. One that may still be sent stays, unless there are too
    many; alarms are fewer than one step looks at, and outlive the others."""
    newest = batch.execute(_NEWEST_NOTICE, (batch.service,)).fetchone()
    if newest is None:
        return 0
    before = min(tx.now, newest[1]) - tx.keep_s
    sent = message_id(batch.service, sent_position(batch))
    too_many = batch.execute(_NEWEST_BUT, (batch.service, tx.max_notices)).fetchone() or (-1,)
    until = batch.execute(_OLDEST_BUT, (batch.service, FORGET_LIMIT - 1)).fetchone() or newest
    alarms = batch.execute(_ALARMS_BUT, (batch.service, until[0], LOG, tx.max_alarms)).fetchone() or (-1,)
    bounds = (until[0], before, sent, too_many[0], LOG, alarms[0])
    return batch.execute(_FORGET_NOTICES, (batch.service, *bounds)).rowcount
