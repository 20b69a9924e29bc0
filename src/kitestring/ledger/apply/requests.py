"""Answers and forgetting: what is done with requests apart from money."""

# ruff: noqa: S608 - what is pasted into statements are constants of this room, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import CONTROL_WIRE, REPLY, Request
from kitestring.base.transactions.answers import Done, Finished, More, Running
from kitestring.base.transactions.requests import Answer, Prune
from kitestring.ledger.apply import approvals, questions, tokens
from kitestring.ledger.apply.batch import Batch

#: Requests one Prune deletes at most, and as many questions and sessions: a few hundredths of a second, so that
#: payments go in between.
PRUNE_LIMIT: Final = 1_000

_AWAITED: Final = "SELECT payment_id FROM requests WHERE service = ? AND request_id = ?"
#: Owner's requests are stamped by our own clock, the only one that can be wrong.
_NEWEST: Final = f"""
SELECT min(received_at, sent_at) FROM requests
WHERE service = ? AND until IS NULL AND wire <> '{CONTROL_WIRE}' ORDER BY received_at DESC LIMIT 1"""
#: Kept beyond the horizon: the owner's, the unanswered, those that a receipt will still need, those with a fresh one.
#: No age refuses an old idempotency key: forgotten, it would pay a second time. A person's commands are few.
_OLD: Final = f"""
SELECT request_id FROM requests r
WHERE service = ?1 AND received_at < ?2 AND sent_at < ?3 AND finished_at IS NOT NULL AND until IS NULL
  AND wire <> '{CONTROL_WIRE}'
  AND NOT EXISTS (SELECT 1 FROM outbox m WHERE m.message = r.reply AND m.signed_at >= ?4)
  AND NOT EXISTS (SELECT 1 FROM outbox m WHERE m.request = r.request AND m.kind <> 'reply' AND m.signed_at >= ?4)
  AND NOT EXISTS (SELECT 1 FROM invoices i WHERE i.invoice = r.invoice AND (i.state = 'open' OR i.state = 'accepted'))
ORDER BY received_at LIMIT ?5"""


def answer(batch: Batch, tx: Answer) -> Done | Finished | Running:
    """Finish one request; the first reply stays, and a running request is answered only by the task that runs it."""
    if not tx.messages or (tx.messages[0].kind, tx.messages[0].request_id) != (REPLY, tx.request.request_id):
        raise KitestringError(Reason.INTERNAL, "an answer needs a reply to its request: nothing was stored")
    known = batch.known(tx.request.request_id)
    if isinstance(known, Finished):
        return known
    if known is None:
        batch.insert_answered(tx.request, tx.messages, tx.now)
        return Done()
    if not _may_end(batch, tx.request):
        return known
    batch.store(tx.messages, tx.now)
    questions.refuse_asked(batch, tx.request.request_id, tx.now)
    return Done()


def _may_end(batch: Batch, request: Request) -> bool:
    """Whether the caller knows the payment that the claimed request waits for."""
    return bool(batch.execute(_AWAITED, (batch.service, request.request_id)).fetchone()[0] == request.payment_id)


def prune(batch: Batch, tx: Prune) -> Done | More:
    """Forget. What is forgotten must be refused from then on, so the horizon never moves back.

    Nor is it counted from a time beyond the newest request there is, by its sender's clock as well as by ours: one look
    at a wrong clock would forget what is fresh, and refuse everything until that time has come.
    """
    newest = batch.execute(_NEWEST, (batch.service,)).fetchone()
    if newest is None:
        return Done()
    before = min(tx.now, newest[0]) - tx.keep_s
    batch.sums.pruned_before = max(batch.sums.pruned_before, before)
    old = batch.execute(_OLD, (batch.service, before, before, before, PRUNE_LIMIT)).fetchall()
    batch.forget(request_id for (request_id,) in old)
    gone = (len(old), *(forget(batch, before, PRUNE_LIMIT) for forget in (approvals.prune, tokens.prune)))
    return Done() if max(gone) < PRUNE_LIMIT else More()
