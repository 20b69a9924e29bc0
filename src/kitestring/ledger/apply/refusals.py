"""Refusals: a request that was never claimed, and never will be. Its id and its reply are kept, for a time."""

from __future__ import annotations

from typing import Final

from kitestring.base.records import Message
from kitestring.base.transactions import Done, Finished, ForgetRefusals, More, Refuse, Running, Unstored
from kitestring.ledger.apply.batch import Batch, message_id
from kitestring.ledger.apply.feed import sent_position

#: Refusals that one ForgetRefusals deletes at most: a few hundredths of a second, so that payments go in between.
FORGET_LIMIT: Final = 1_000
#: Seconds that a forgotten request counts as ahead of our clock at most: one that is dated further ahead moves no
#: horizon, or it would refuse everybody until that time has come.
MOST_AHEAD_S: Final = 3_600

_OVER: Final = """
SELECT r.request_id, r.grant_id, min(r.sent_at, r.received_at + ?5),
  coalesce(length(m.plaintext) + length(m.event) + length(m.address), 0)
FROM requests r LEFT JOIN outbox m ON m.message = r.reply
WHERE r.service = ?1 AND r.until IS NOT NULL AND r.until < ?2
  AND (m.message IS NULL OR m.signed_at < ?4 OR m.message <= ?3 AND m.next_at IS NULL)
ORDER BY r.until LIMIT ?6"""


def refuse(batch: Batch, tx: Refuse) -> Done | Unstored | Finished | Running:
    """Note a refusal. A request that was answered or claimed before stays as it is."""
    request, reply = tx.request, tx.reply
    size = 0 if reply is None else _size(reply)
    has_room = batch.refused_bytes(request.grant_id) + size <= tx.max_bytes if size else True
    if not batch.insert_refused(request, reply if has_room else None, tx.now, tx.until):
        known = batch.known(request.request_id)
        assert known is not None  # noqa: S101 - it is what was in the way
        return known
    if not has_room:
        return Unstored()
    batch.count_refused(request.grant_id, size)
    return Done()


def _size(reply: Message) -> int:
    return len(reply.plaintext) + len(reply.event) + len(reply.address)


def forget_refusals(batch: Batch, tx: ForgetRefusals) -> Done | More:
    """Forget what was to be kept until now. A clock that goes back could make one of them new: what is as old as the
    newest of them is refused from then on."""
    sent = message_id(batch.service, sent_position(batch))
    which = (batch.service, tx.before, sent, tx.unsent_before, MOST_AHEAD_S, FORGET_LIMIT)
    over = batch.execute(_OVER, which).fetchall()
    horizon = max((1 + sent_at for _, _, sent_at, _ in over), default=0)
    batch.sums.refused_before = max(batch.sums.refused_before, horizon)
    for _, grant_id, _, size in over:
        batch.count_refused(grant_id, -size)
    batch.forget(request_id for request_id, *_ in over)
    return More() if len(over) == FORGET_LIMIT else Done()
