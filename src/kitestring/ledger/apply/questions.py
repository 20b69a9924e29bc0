"""Questions to the owner as rows: stored, and ended once."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.approvals import Approval, ApprovalState
from kitestring.base.events import EventKind
from kitestring.base.records import Message
from kitestring.base.transactions import SaveQuestion
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
    if not has_payment:
        tokens.release(batch, approval_id)
    batch.tell(EventKind.DECIDED, approval_id, now, detail=state.value)
