"""Questions to the owner as rows: stored, and ended once. Where no yes came, a refusal is left, as of any request."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.approvals import MAX_REFUSED, REFUSED_S, Approval, ApprovalState
from kitestring.base.events import EventKind
from kitestring.base.records import REPLY, Message
from kitestring.base.transactions.owner import SaveQuestion
from kitestring.ledger.apply import tokens
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.rows import APPROVAL, marks, write_approval

_OPEN: Final = (
    "SELECT approval_id FROM approvals WHERE service = ? AND wire = ? AND target = ? AND caller = ? AND state = 'open'"
)
_INSERT: Final = f"INSERT INTO approvals (service, {APPROVAL}) VALUES ({marks(APPROVAL)})"
_END: Final = """
UPDATE approvals SET state = ?, version = version + 1, decided_at = ?, decided_by = ?, decided_as = ?, decision = ?
WHERE service = ? AND approval_id = ? AND state = 'open'"""
#: As the index of what was refused says it.
_NOT_APPROVED: Final = "(a.state = 'denied' OR a.state = 'expired' OR a.state = 'superseded')"
_ASKED: Final = f"""
SELECT r.request, r.grant_id, iif(m.is_no, length(m.plaintext) + length(m.event) + length(m.address), 0),
  iif(m.is_no, 0, length(m.plaintext) + length(m.event) + length(m.address))
FROM requests r JOIN outbox m ON m.message = r.reply
JOIN approvals a ON a.service = r.service AND a.approval_id = r.payment_id
WHERE r.service = ? AND r.request_id = ? AND {_NOT_APPROVED}"""
_REFUSE: Final = """
UPDATE requests SET until = max(?, sent_at, received_at) + ?, payment_id = '', command = x'', reply_to = x''
WHERE request = ?"""
_FORGET: Final = f"""
DELETE FROM approvals WHERE approval IN (
  SELECT a.approval FROM approvals a INDEXED BY approvals_refused
  WHERE a.service = ?1 AND a.is_known = ?2 AND {_NOT_APPROVED} AND a.kind <> 'connection' AND a.asked_at < (
      SELECT a.asked_at FROM approvals a INDEXED BY approvals_refused
      WHERE a.service = ?1 AND a.is_known = ?2 AND {_NOT_APPROVED} AND a.kind <> 'connection'
      ORDER BY a.asked_at DESC LIMIT 1 OFFSET ?3)
    AND NOT EXISTS (SELECT 1 FROM requests r
      WHERE r.service = ?1 AND r.payment_id = a.approval_id AND r.finished_at IS NULL)
  LIMIT ?4)"""


def save_question(batch: Batch, write: SaveQuestion, now: int) -> None:
    """Store a question that no request waits for, in the place of the one before it."""
    before = open_one(batch, write.approval)
    if before:
        end(batch, before, ApprovalState.SUPERSEDED, now, ())
    insert(batch, write.approval, "")


def open_one(batch: Batch, asked: Approval) -> str:
    """The open question of the same caller at the same target, "" if there is none."""
    row = batch.execute(_OPEN, (batch.service, asked.wire, asked.target, asked.caller)).fetchone()
    return row[0] if row else ""


def insert(batch: Batch, asked: Approval, grant_id: str) -> None:
    """Store a question; ``grant_id`` is that of the connection by which it came, "" for none."""
    batch.execute(_INSERT, (batch.service, *write_approval(asked)))
    batch.tell(EventKind.ASKED, asked.approval_id, asked.asked_at, grant_id=grant_id)


def end(
    batch: Batch, approval_id: str, state: ApprovalState, now: int, messages: tuple[Message, ...],
    words: tuple[str, str, str] = ("", "", ""), *, has_payment: bool = False,
) -> None:  # fmt: skip
    """End an open question, with the replies to those who waited for it."""
    batch.execute(_END, (state.value, now, *words, batch.service, approval_id))
    batch.store(messages, now)
    for message in messages:
        if message.kind == REPLY:
            refuse_asked(batch, message.request_id, now)
    if not has_payment:
        tokens.release(batch, approval_id)
    batch.tell(EventKind.DECIDED, approval_id, now, detail=state.value)


def refuse_asked(batch: Batch, request_id: str, now: int) -> None:
    """Make a refusal of a request that has waited and was answered, if its question ended without a yes: its id and its
    reply are kept for :data:`REFUSED_S`. Nothing is done about any other."""
    row = batch.execute(_ASKED, (batch.service, request_id)).fetchone()
    if row is not None:
        number, grant_id, *sizes = row
        batch.execute(_REFUSE, (now, REFUSED_S, number))
        batch.counts.count_refused(grant_id, 1, *sizes)


def forget_refused(batch: Batch, limit: int) -> int:
    """Forget the oldest questions that ended without a yes, beyond :data:`MAX_REFUSED` of strangers and of known keys;
    tells how many of either, ``limit`` at most. What guards against a copy of a request is its own row."""
    gone = (batch.execute(_FORGET, (batch.service, is_known, MAX_REFUSED - 1, limit)).rowcount for is_known in (0, 1))
    return max(gone)
