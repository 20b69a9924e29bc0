"""Invoices of connections that have ended unpaid: the newest are kept, so that no app fills the disk with them.

Each has its row, its request and its answer, some 11 kB together, and an app may have two hundred open at once, for a
minute each. The owner's own stay: their requests are kept for ever.
"""

# ruff: noqa: S608 - what is pasted into statements are constants of this room, never a value

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from kitestring.base.commands import OWNER_WIRE
from kitestring.ledger.apply.batch import Batch

#: Invoices of one connection that are forgotten at once: more than end in one step.
FORGET_LIMIT: Final = 1_000

#: As the index says it.
_ENDED: Final = "(state = 'expired' OR state = 'canceled') AND grant_id <> ''"
_WIRE: Final = "SELECT wire FROM grants WHERE service = ? AND grant_id = ?"
#: The bound of the time changes nothing: as many are counted off, in the index alone, as are kept.
_LAST_KEPT: Final = f"""
SELECT expires_at FROM invoices INDEXED BY invoices_ended_unpaid
WHERE service = ? AND grant_id = ? AND expires_at > 0 AND {_ENDED} ORDER BY expires_at DESC LIMIT 1 OFFSET ?"""
#: What is held inside the service, and what somebody still waits for, stays.
_BEYOND: Final = f"""
SELECT invoice, invoice_id, request_id FROM invoices INDEXED BY invoices_ended_unpaid
WHERE service = ?1 AND grant_id = ?2 AND expires_at < ?3 AND {_ENDED} AND held_by = ''
  AND NOT EXISTS (SELECT 1 FROM requests r INDEXED BY requests_unanswered
    WHERE r.service = ?1 AND r.payment_id = invoice_id AND r.finished_at IS NULL)
LIMIT ?4"""
_FORGET: Final = "DELETE FROM invoices WHERE invoice = ?"


def make_room(batch: Batch, grant_id: str, before: int, most: int, but: Collection[str] = ()) -> None:
    """Forget the unpaid invoices of a connection, with request and reply, that expired ``before`` (Unix seconds) and
    have ``most`` newer ones; those in ``but`` have ended just now, and stay."""
    if not grant_id or batch.execute(_WIRE, (batch.service, grant_id)).fetchone() in {None, (OWNER_WIRE,)}:
        return
    last_kept = batch.execute(_LAST_KEPT, (batch.service, grant_id, most - 1)).fetchone()
    if last_kept is None:
        return
    which = (batch.service, grant_id, min(before, last_kept[0]), FORGET_LIMIT)
    beyond = [row for row in batch.execute(_BEYOND, which).fetchall() if row[1] not in but]
    batch.connection.executemany(_FORGET, [(row,) for row, _, _ in beyond])
    batch.forget(request_id for _, _, request_id in beyond)
