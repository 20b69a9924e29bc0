"""Refusals: a request that was never claimed, and never will be. Its id and its reply are kept, for a time. So are
answers to what needs no claim.

An app may cause as many as it sends requests, so what is kept of one grant has a bound. Beyond it the oldest are
forgotten, and everything that this grant has sent before them is refused from then on: a flood closes the past to the
app that sends it, and nothing to others.

Keys that have enrolled are as many as somebody cares to make, so all of them together have a bound as well. Beyond it
those that would be forgotten first are, whosever they are.
"""

# ruff: noqa: S608 - what is pasted into statements are constants of this room, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.enrolments import ALL_ENROLLED, PREFIX, PREFIX_END, TOGETHER
from kitestring.base.records import Message
from kitestring.base.transactions.answers import Done, Finished, More, Running, Unstored
from kitestring.base.transactions.requests import ForgetRefusals, Refuse
from kitestring.ledger.apply import questions
from kitestring.ledger.apply.batch import Batch, message_id
from kitestring.ledger.apply.counts import Refusals
from kitestring.ledger.apply.feed import sent_position

#: Refusals that one ForgetRefusals deletes at most: a few hundredths of a second, so that payments go in between.
FORGET_LIMIT: Final = 1_000
#: Refusals of one grant that are forgotten at once when they are too many.
FORGET_OLDEST: Final = 64
#: Seconds that a forgotten request counts as ahead of our clock at most: one that is dated further ahead moves no
#: horizon, or it would refuse everybody until that time has come.
MOST_AHEAD_S: Final = 3_600

#: The bytes of a reply that refuses, and of one that answers.
_SIZES: Final = """
  iif(m.is_no, length(m.plaintext) + length(m.event) + length(m.address), 0),
  iif(m.is_no = 0, length(m.plaintext) + length(m.event) + length(m.address), 0)"""
_OVER: Final = f"""
SELECT r.request_id, r.grant_id, min(r.sent_at, r.received_at + ?5), {_SIZES}
FROM requests r LEFT JOIN outbox m ON m.message = r.reply
WHERE r.service = ?1 AND r.until IS NOT NULL AND r.until < ?2
  AND (m.message IS NULL OR m.signed_at < ?4 OR m.message <= ?3 AND m.next_at IS NULL)
ORDER BY r.until LIMIT ?6"""
_OLDEST: Final = f"""
SELECT r.request_id, r.sent_at, {_SIZES}
FROM requests r INDEXED BY requests_refused_by_grant LEFT JOIN outbox m ON m.message = r.reply
WHERE r.service = ? AND r.grant_id = ? AND r.until IS NOT NULL ORDER BY r.sent_at LIMIT ?"""
#: Of enrolled keys, whosever they are, but not the one at hand: its answer has not left yet.
_OLDEST_ENROLLED: Final = f"""
SELECT r.request_id, r.grant_id, r.sent_at, {_SIZES}
FROM requests r INDEXED BY requests_refused LEFT JOIN outbox m ON m.message = r.reply
CROSS JOIN grants g ON g.service = r.service AND g.grant_id = r.grant_id
WHERE r.service = ? AND r.until IS NOT NULL AND r.request_id <> ? AND g.account_id >= '{PREFIX}'
  AND g.account_id < '{PREFIX_END}'
ORDER BY r.until LIMIT ?"""


def refuse(batch: Batch, tx: Refuse) -> Done | Unstored | Finished | Running:
    """Note a refusal. A request that was answered or claimed before stays as it is; of one that its age refuses already
    nothing is kept."""
    request, reply = tx.request, tx.reply
    before = batch.counts.refusals(request.grant_id)
    if request.sent_at < before.refused_before:
        return batch.known(request.request_id) or Unstored()
    sizes = _sizes(reply)
    together = batch.counts.refused_together(request.grant_id)
    has_room = reply is None or (
        _has_room(before, reply, tx.max_bytes)
        and (together is None or _has_room(together, reply, tx.max_bytes * TOGETHER))
    )
    if not batch.insert_refused(request, reply if has_room else None, tx.now, tx.until):
        known = batch.known(request.request_id)
        assert known is not None  # noqa: S101 - it is what was in the way
        return known
    batch.counts.count_refused(request.grant_id, 1, *(sizes if has_room else (0, 0)))
    make_room(batch, request.grant_id, tx.max_number)
    if together is not None and batch.counts.refusals(ALL_ENROLLED).number > tx.max_number * TOGETHER:
        _make_room_together(batch, request.request_id)
    return Done() if has_room else Unstored()


def _has_room(kept: Refusals, reply: Message, max_bytes: int) -> bool:
    return (kept.bytes if reply.is_no else kept.answer_bytes) + sum(_sizes(reply)) <= max_bytes


def make_room(batch: Batch, grant_id: str, max_number: int) -> None:
    """Forget the oldest refusals of a grant that has more than so many. Those of requests from the future are the last
    to go: once they do, everything up to that time is refused, or the request would be carried out when it has come."""
    if batch.counts.refusals(grant_id).number <= max_number:
        return
    oldest = batch.execute(_OLDEST, (batch.service, grant_id, FORGET_OLDEST)).fetchall()
    for _, _, size, answer_size in oldest:
        batch.counts.count_refused(grant_id, -1, -size, -answer_size)
    batch.counts.refuse_before(grant_id, 1 + max(sent_at for _, sent_at, _, _ in oldest))
    batch.forget(request_id for request_id, *_ in oldest)


def _make_room_together(batch: Batch, but: str) -> None:
    """The same for all enrolled keys: what each of them has sent before what is forgotten of it is refused."""
    oldest = batch.execute(_OLDEST_ENROLLED, (batch.service, but, FORGET_OLDEST)).fetchall()
    for _, grant_id, sent_at, size, answer_size in oldest:
        batch.counts.count_refused(grant_id, -1, -size, -answer_size)
        batch.counts.refuse_before(grant_id, 1 + sent_at)
    batch.forget(request_id for request_id, *_ in oldest)


def _sizes(reply: Message | None) -> tuple[int, int]:
    """The bytes of a reply, as :data:`_SIZES` tells them apart."""
    size = 0 if reply is None else len(reply.plaintext) + len(reply.event) + len(reply.address)
    return (0, size) if reply is not None and not reply.is_no else (size, 0)


def forget_refusals(batch: Batch, tx: ForgetRefusals) -> Done | More:
    """Forget what was to be kept until now. A clock that goes back could make one of them new: what is as old as the
    newest of them is refused from then on."""
    sent = message_id(batch.service, sent_position(batch))
    which = (batch.service, tx.before, sent, tx.unsent_before, MOST_AHEAD_S, FORGET_LIMIT)
    over = batch.execute(_OVER, which).fetchall()
    horizon = max((1 + sent_at for _, _, sent_at, _, _ in over), default=0)
    batch.sums.refused_before = max(batch.sums.refused_before, horizon)
    for _, grant_id, _, size, answer_size in over:
        batch.counts.count_refused(grant_id, -1, -size, -answer_size)
    batch.forget(request_id for request_id, *_ in over)
    gone = (len(over), questions.forget_refused(batch, FORGET_LIMIT))
    return More() if max(gone) == FORGET_LIMIT else Done()
