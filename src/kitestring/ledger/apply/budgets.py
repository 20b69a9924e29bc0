"""Budgets: compare and reserve with a claim, correct with the truth.

A budget keeps one running sum. Of a calendar budget that is all: its period is one bucket. A rolling one has a row per
bucket besides, so that what has left the window can be taken out when the next charge comes.

**A budget's time never goes back.** A clock that was set back, another worker's clock and an edit from days to months
all bring a charge from before the window. It counts in the oldest bucket there is: a bucket that was forgotten is never
made again, or what is released later would be more than what it holds.

**A period is not cut short.** Where the owner has moved to another time zone, the periods of charges overlap with the
one that has begun. It goes on to its end, and until then holds what is charged. Whatever was charged in a new period
already goes on to count in it: the next period begins with a charge that comes after the end of this one, and whose own
period has begun after its last charge. A period that begins earlier than this one counts what the one before has held.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kitestring.base.records import Charge
from kitestring.ledger.apply.batch import Batch

_BUDGET: Final = (
    "SELECT used_msat, oldest, ends, last_at, before_msat, before_at FROM budgets"
    " WHERE service = ? AND grant_id = ? AND budget_id = ?"
)
_LEFT: Final = (
    "SELECT coalesce(sum(used_msat), 0) FROM buckets"
    " WHERE service = ? AND grant_id = ? AND budget_id = ? AND bucket >= ?"
)
_FORGET_BUCKETS: Final = "DELETE FROM buckets WHERE service = ? AND grant_id = ? AND budget_id = ? AND bucket < ?"
_MOVE: Final = """
INSERT INTO budgets VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)
ON CONFLICT DO UPDATE SET used_msat = excluded.used_msat, oldest = excluded.oldest, ends = excluded.ends,
  last_at = excluded.last_at, before_msat = CASE last_at WHEN 0 THEN 0 ELSE used_msat END, before_at = last_at,
  reserved_msat = excluded.reserved_msat, limit_msat = excluded.limit_msat"""
_USE: Final = """
UPDATE budgets SET used_msat = used_msat + ?1, reserved_msat = used_msat + ?1, limit_msat = ?2,
  ends = max(ends, ?3), last_at = max(last_at, ?4)
WHERE service = ?5 AND grant_id = ?6 AND budget_id = ?7"""
_FILL: Final = """
INSERT INTO buckets VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET used_msat = used_msat + excluded.used_msat"""
#: Changes nothing where there is less in the bucket than is taken out.
_CORRECT_BUCKET_BY: Final = """
UPDATE buckets SET used_msat = used_msat + ?1
WHERE service = ?2 AND grant_id = ?3 AND budget_id = ?4 AND bucket = ?5 AND used_msat + ?1 >= 0"""
_IN_BUCKET: Final = "SELECT used_msat FROM buckets WHERE service = ? AND grant_id = ? AND budget_id = ? AND bucket = ?"
_EMPTY_BUCKET: Final = (
    "UPDATE buckets SET used_msat = 0 WHERE service = ? AND grant_id = ? AND budget_id = ? AND bucket = ?"
)
_CORRECT: Final = (
    "UPDATE budgets SET used_msat = max(0, used_msat + ?) WHERE service = ? AND grant_id = ? AND budget_id = ?"
)
_CORRECT_PERIOD: Final = f"{_CORRECT} AND oldest = ?"

#: A budget's row, where somebody has looked it up already, as :data:`_BUDGET` does: all None where there is none.
Known = tuple[Any, ...]


class Usage(msgspec.Struct, frozen=True, gc=False):
    """The charge in the time of its budget, what was used before it, and whether the window begins anew with it."""

    charge: Charge
    used: int
    moves: bool

    @property
    def after(self) -> int:
        """Used with the charge, in msat."""
        return self.used + int(self.charge.amount_msat)

    @property
    def left(self) -> int:
        """Of the limit before the charge, in msat; below zero where it was lowered since."""
        return int(self.charge.limit_msat) - self.used


def find(batch: Batch, charge: Charge, known: Known | None) -> Usage:
    """Look up what a charge finds in its budget. A budget that was never used begins with it."""
    key = _key(batch, charge)
    row = known or batch.execute(_BUDGET, key).fetchone()
    if row is None or row[0] is None:
        return Usage(charge, 0, True)
    used, oldest, ends, last_at, before, before_at = row
    if charge.oldest <= before_at:
        used += before
    if charge.oldest <= max(oldest, last_at) or charge.at < ends:
        return Usage(_not_before(charge, oldest), used, False)
    return Usage(charge, int(batch.execute(_LEFT, (*key, charge.oldest)).fetchone()[0]), True)


def _not_before(charge: Charge, oldest: int) -> Charge:
    """The charge in a bucket that the budget still counts. A period stays one bucket, a window stays a window."""
    if charge.bucket >= oldest and not is_period(charge):
        return charge
    return msgspec.structs.replace(charge, bucket=oldest, oldest=oldest if is_period(charge) else charge.oldest)


def reserve(batch: Batch, found: Usage) -> None:
    """Add a charge to its budget. The database refuses one that goes beyond the limit."""
    charge = found.charge
    key = _key(batch, charge)
    amount, limit, after = int(charge.amount_msat), int(charge.limit_msat), found.after
    last_at = charge.at if charge.ends else 0
    if found.moves:
        batch.execute(_FORGET_BUCKETS, (*key, charge.oldest))
        batch.execute(_MOVE, (*key, after, charge.oldest, charge.ends, last_at, after, limit))
    else:
        batch.execute(_USE, (amount, limit, charge.ends, last_at, *key))
    if not is_period(charge):
        batch.execute(_FILL, (*key, charge.bucket, amount))


def correct(batch: Batch, charge: Charge, more: int) -> None:
    """Add the difference between the truth and what was reserved. A bucket that has left the window is gone, and
    nothing is corrected in it. None goes below zero: a budget may keep more than was used, never less."""
    key = _key(batch, charge)
    if is_period(charge):
        batch.execute(_CORRECT_PERIOD, (more, *key, charge.bucket))
        return
    if batch.execute(_CORRECT_BUCKET_BY, (more, *key, charge.bucket)).rowcount == 1:
        batch.execute(_CORRECT, (more, *key))
        return
    row = batch.execute(_IN_BUCKET, (*key, charge.bucket)).fetchone()
    if row is not None:
        batch.execute(_EMPTY_BUCKET, (*key, charge.bucket))
        batch.execute(_CORRECT, (-row[0], *key))


def _key(batch: Batch, charge: Charge) -> tuple[int, str, int]:
    return batch.service, charge.grant_id, charge.budget_id


def is_period(charge: Charge) -> bool:
    """Whether the window is one bucket, so that the budget's own row is all there is."""
    return charge.bucket == charge.oldest
