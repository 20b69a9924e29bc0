"""Record, credit and expire incoming invoices."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind
from kitestring.base.grants import Offer
from kitestring.base.invoices import WAITING, holders
from kitestring.base.payments import preimage_fits
from kitestring.base.records import OwnInvoice
from kitestring.base.transactions.answers import (
    AlreadyCredited,
    Claimed,
    Credited,
    Denied,
    Done,
    Finished,
    More,
    NotCredited,
    Running,
    Stale,
)
from kitestring.base.transactions.invoices import Credit, ExpireInvoices, LeaveInvoices, ParkSettlement, RecordInvoice
from kitestring.ledger.apply import truth, unpaid
from kitestring.ledger.apply.accounts import tell_late
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.received import tell_received
from kitestring.ledger.rows import (
    INVOICE,
    NEXT_ENTRY,
    OFFER,
    WORLD,
    Row,
    marks,
    read_invoice,
    read_offer,
    write_invoice,
)

#: Strangers' invoices that one sweep deletes: a few hundredths of a second, so that payments go in between; More tells
#: the rest.
SWEEP_LIMIT: Final = 1_000

_FACTS: Final = """
SELECT r.request, r.finished_at, g.version, g.revoked_at, (a.kind = 'owner' OR a.kind = 'sub') AND a.closed_at IS NULL
FROM services s
LEFT JOIN requests r ON r.service = s.service AND r.request_id = ?
LEFT JOIN grants g ON g.service = s.service AND g.grant_id = ?
LEFT JOIN accounts a ON a.service = s.service AND a.account_id = ?
WHERE s.service = ?"""
_OFFER: Final = f"SELECT {OFFER} FROM offers WHERE service = ? AND offer_id = ?"
_INSERT: Final = f"INSERT INTO invoices (invoice, service, {INVOICE}) VALUES ({NEXT_ENTRY}, {marks(INVOICE)})"
_BY_HASH: Final = (
    f"SELECT {INVOICE} FROM invoices WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> ''"
)
_SETTLE: Final = """
UPDATE invoices SET state = 'settled', received_msat = ?, settled_at = ?, preimage = iif(? = '', preimage, ?)
WHERE service = ? AND invoice_id = ? RETURNING """
_CREDITS: Final = "SELECT kind FROM credits WHERE service = ? AND node_id = ? AND payment_hash = ?"
_INSERT_CREDIT: Final = "INSERT INTO credits VALUES (?, ?, ?, ?, ?, ?, ?)"
_CURSOR: Final = "UPDATE nodes SET cursor = ? WHERE service = ? AND node_id = ?"
_EXPIRE: Final = """
UPDATE invoices SET state = 'expired'
WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> '' AND state = 'open' AND decision = ''
RETURNING invoice_id, account_id, grant_id, offer_id, payer"""
_ABANDONED: Final = """
SELECT rowid, request_id FROM invoices INDEXED BY invoices_abandoned
WHERE service = ? AND state = 'expired' AND expires_at < ? AND node_id = ? AND offer_id <> '' LIMIT ?"""
#: Few at any time: what is open beyond its expiry is looked at once a minute.
_LEAVE: Final = """
UPDATE invoices SET state = 'left' WHERE invoice IN (
  SELECT invoice FROM invoices INDEXED BY invoices_unpaid
  WHERE service = ? AND state = 'open' AND state <> 'settled' AND expires_at < ? AND node_id <> ?
    AND (decision = '' OR hold_blocks = 0)
  LIMIT ?)
RETURNING node_id, grant_id, offer_id, payer"""
_RETURN: Final = """
UPDATE invoices SET state = 'open' WHERE invoice IN (
  SELECT invoice FROM invoices INDEXED BY invoices_unpaid
  WHERE service = ? AND state = 'left' AND state <> 'settled' AND node_id = ? LIMIT ?)
RETURNING node_id, grant_id, offer_id, payer"""
_FORGET: Final = "DELETE FROM invoices WHERE rowid = ?"


def record_invoice(batch: Batch, tx: RecordInvoice) -> Claimed | Finished | Running | Stale | Denied:
    """Store an invoice with its request and answer. Receiving goes on while spending is stopped."""
    request, invoice, service = tx.request, tx.invoice, batch.service
    keys = (request.request_id, request.grant_id, invoice.account_id, service)
    known, finished_at, version, revoked_at, is_users = batch.execute(_FACTS, keys).fetchone()
    if known is not None:
        return Running() if finished_at is None else batch.finished(known, request.request_id)
    if batch.is_too_old(request):
        return Denied(Reason.STALE_REQUEST)
    if request.grant_id and (version != tx.grant_version or revoked_at is not None):
        return Stale()
    if not is_users or (tx.offer is not None and _offer(batch, tx.offer.offer_id) != tx.offer):
        return Stale()
    if invoice.is_hold and batch.execute(_BY_HASH, (service, invoice.payment_hash, invoice.node_id)).fetchone():
        return Denied(Reason.INVOICE_TAKEN)
    if not batch.counts.take_invoice(invoice.node_id, invoice.holders, tx.shares):
        return Denied(Reason.RATE_LIMITED)
    number = batch.insert(_INSERT, (service, *write_invoice(invoice)))
    batch.insert_answered(request, tx.messages, tx.now, number)
    return Claimed()


def _offer(batch: Batch, offer_id: str) -> Offer | None:
    row = batch.execute(_OFFER, (batch.service, offer_id)).fetchone()
    return None if row is None else read_offer(row)


def credit(batch: Batch, tx: Credit) -> Credited | AlreadyCredited | NotCredited:
    """Book what the node received, once; the cursor moves in the same commit, also when it is old news or cannot be
    true: what comes after it is not kept waiting."""
    service = batch.service
    tx = msgspec.structs.replace(tx, settled_at=truth.settled_at(tx.settled_at), preimage=_proven(tx))
    if tx.cursor:
        batch.execute(_CURSOR, (tx.cursor, service, tx.node_id))
    row = batch.execute(_BY_HASH, (service, tx.payment_hash, tx.node_id)).fetchone()
    kinds = {kind for (kind,) in batch.execute(_CREDITS, (service, tx.node_id, tx.payment_hash))}
    invoice = None if row is None else read_invoice(row)
    kind = _kind(tx, invoice)
    if kinds & {kind, "invoice", "unknown"}:
        return AlreadyCredited()
    account_id = OWNER_ACCOUNT if invoice is None or kind == "unknown" else invoice.account_id
    if not truth.is_bookable(batch, account_id, int(tx.received_msat)):
        if "refused" not in kinds:  # told once, however often the node says it
            _note(batch, tx, "refused", None, 0)
            truth.refuse_amount(batch, tx, tx.settled_at)
        return NotCredited()
    if invoice is None or kind == "unknown":
        _book(batch, tx, kind, OWNER_ACCOUNT)
        batch.tell(EventKind.RECEIVED, tx.payment_hash, tx.settled_at, account_id=OWNER_ACCOUNT, detail=kind)
        return Credited(None)
    _book(batch, tx, kind, invoice.account_id)
    if kind == "surplus":
        tell_late(batch, invoice.account_id, tx.settled_at)
        whose = {"grant_id": invoice.grant_id, "account_id": invoice.account_id}
        batch.tell(EventKind.RECEIVED, invoice.invoice_id, tx.settled_at, **whose, detail=kind)
        return Credited(invoice, surplus=True)
    tell_received(batch, invoice, tx.settled_at)
    batch.store(tx.messages, tx.settled_at)
    if invoice.state in WAITING:
        batch.counts.count_invoice(tx.node_id, invoice.holders, -1)
    return Credited(read_invoice(_settle(batch, tx, invoice)))


def _kind(tx: Credit, invoice: OwnInvoice | None) -> str:
    """The kind of a credit. Less than was asked for settles nothing: like an unknown hash it is the owner's money."""
    if invoice is None:
        return "unknown"
    if invoice.internal:
        return "surplus"
    if invoice.amount_msat is not None and int(tx.received_msat) < int(invoice.amount_msat):
        return "unknown"
    return "invoice"


def _settle(batch: Batch, tx: Credit, invoice: OwnInvoice) -> Row:
    values = (int(tx.received_msat), tx.settled_at, tx.preimage, tx.preimage, batch.service, invoice.invoice_id)
    # All rows of a RETURNING are read, or the statement stays open and the commit waits for it.
    row: Row = batch.execute(_SETTLE + INVOICE, values).fetchall()[0]
    return row


def _book(batch: Batch, tx: Credit, kind: str, account_id: str) -> None:
    received = int(tx.received_msat)
    _note(batch, tx, kind, batch.book(kind, WORLD, account_id, received, tx.settled_at), received)


def _note(batch: Batch, tx: Credit, kind: str, transfer: int | None, received: int) -> None:
    """Note a settlement, so that it counts once."""
    key = (batch.service, tx.node_id, tx.payment_hash)
    batch.execute(_INSERT_CREDIT, (*key, kind, transfer, received, tx.settled_at))


def _proven(tx: Credit) -> str:
    """The preimage that the node told, if it is one."""
    return tx.preimage if preimage_fits(tx.preimage, tx.payment_hash) else ""


def park_settlement(batch: Batch, tx: ParkSettlement) -> Done:
    """Go on behind what cannot be booked, and say so."""
    if tx.cursor:
        batch.execute(_CURSOR, (tx.cursor, batch.service, tx.node_id))
    if tx.why:
        batch.tell(EventKind.ALARM, tx.payment_hash, tx.now, detail=tx.why)
    return Done()


def expire_invoices(batch: Batch, tx: ExpireInvoices) -> Done | More:
    """Expire what the node has ended, and delete what strangers asked for and never paid, with request and reply; of
    connections what is beyond their number. The node has ended these in an earlier step, so that none is called unpaid
    and forgotten in one."""
    service = batch.service
    gone = (service, tx.drop_offers_before, tx.node_id, SWEEP_LIMIT)
    abandoned = batch.execute(_ABANDONED, gone).fetchall()
    batch.connection.executemany(_FORGET, [(row,) for row, _ in abandoned])
    batch.forget(request_id for _, request_id in abandoned)
    expired = [row for key in tx.ended for row in batch.execute(_EXPIRE, (service, key, tx.node_id)).fetchall()]
    for invoice_id, account_id, grant_id, *of_offer in expired:
        batch.counts.count_invoice(tx.node_id, holders(grant_id, *of_offer), -1)
        if grant_id:  # strangers ask for as many as they like: nobody waits for them, and they would fill the feed
            batch.tell(EventKind.EXPIRED, invoice_id, tx.now, grant_id=grant_id, account_id=account_id)
    for grant_id in {grant_id for _, _, grant_id, *_ in expired}:
        unpaid.make_room(batch, grant_id, tx.drop_unpaid_before, tx.max_unpaid, {row[0] for row in expired})
    return More() if len(abandoned) == SWEEP_LIMIT else Done()


def leave_invoices(batch: Batch, tx: LeaveInvoices) -> Done | More:
    """Leave those of other nodes aside, and take those of this one back. No row goes: money of them may still come."""
    left = batch.execute(_LEAVE, (batch.service, tx.expired_before, tx.node_id, SWEEP_LIMIT)).fetchall()
    back = batch.execute(_RETURN, (batch.service, tx.node_id, SWEEP_LIMIT)).fetchall()
    for rows, more in ((left, -1), (back, 1)):
        for node_id, *names in rows:
            batch.counts.count_invoice(node_id, holders(*names), more)
    return More() if SWEEP_LIMIT in {len(left), len(back)} else Done()
