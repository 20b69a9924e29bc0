"""Make, drop, credit and expire incoming invoices."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

import json
from typing import Final

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind
from kitestring.base.records import Invoice
from kitestring.base.transactions import (
    AlreadyCredited,
    Claimed,
    ClaimInvoice,
    Credit,
    Credited,
    Denied,
    Done,
    DropInvoice,
    ExpireInvoices,
    Finished,
    More,
    RecordInvoice,
    Running,
    Stale,
)
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.rows import INVOICE, WORLD, Row, read_invoice, write_invoice

#: Invoices one sweep expires, and strangers' invoices it deletes: a few hundredths of a second, so that payments go in
#: between; More tells the rest.
SWEEP_LIMIT: Final = 1_000

_GRANT: Final = "SELECT version, revoked_at FROM grants WHERE service = ? AND grant_id = ?"
_ACCOUNT: Final = "SELECT 1 FROM accounts WHERE service = ? AND account_id = ? AND kind IN ('owner', 'sub')"
_OPEN: Final = "SELECT number FROM open_invoices WHERE service = ? AND holder = ?"
_INSERT: Final = f"INSERT INTO invoices (service, {INVOICE}) VALUES (?{', ?' * 21})"
_STATE: Final = "SELECT state FROM invoices WHERE service = ? AND invoice_id = ?"
_RECORD: Final = """
UPDATE invoices SET state = iif(state = 'creating', 'open', state), bolt11 = ?, payment_hash = ?, expires_at = ?
WHERE service = ? AND invoice_id = ?"""
_DROP: Final = "DELETE FROM invoices WHERE service = ? AND invoice_id = ?"
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
UPDATE invoices SET state = 'expired' WHERE rowid IN (
  SELECT rowid FROM invoices
  WHERE service = ? AND state = 'open' AND expires_at < ? AND node_id = ?
    AND payment_hash NOT IN (SELECT value FROM json_each(?)) LIMIT ?)
RETURNING invoice_id, grant_id, account_id"""
_ABANDONED: Final = """
SELECT rowid, request_id FROM invoices
WHERE service = ? AND state = 'expired' AND expires_at < ? AND node_id = ? AND offer_id <> '' LIMIT ?"""
_FORGET: Final = "DELETE FROM invoices WHERE rowid = ?"


def claim_invoice(batch: Batch, tx: ClaimInvoice) -> Claimed | Finished | Running | Stale | Denied:
    """Transaction 1 of an invoice. Receiving goes on while spending is stopped."""
    request, invoice, service = tx.request, tx.invoice, batch.service
    known = batch.known(request.request_id)
    if known is not None:
        return known
    if request.sent_at < batch.sums.pruned_before:
        return Denied(Reason.STALE_REQUEST)
    if request.grant_id:
        grant = batch.execute(_GRANT, (service, request.grant_id)).fetchone()
        if grant is None or grant[0] != tx.grant_version or grant[1] is not None:
            return Stale()
    if batch.execute(_ACCOUNT, (service, invoice.account_id)).fetchone() is None:
        return Stale()
    if tx.max_open:
        holder = invoice.grant_id or f"offer:{invoice.offer_id}"
        number = batch.execute(_OPEN, (service, holder)).fetchone()
        if number is not None and number[0] >= tx.max_open:
            return Denied(Reason.RATE_LIMITED)
    batch.insert_request(request, request.payment_id)
    batch.execute(_INSERT, (service, *write_invoice(invoice, "creating")))
    return Claimed()


def record_invoice(batch: Batch, tx: RecordInvoice) -> Done:
    """Transaction 2. A settlement that overtook it stands: the invoice is then settled and only gets its texts."""
    found = batch.execute(_RECORD, (tx.bolt11, tx.payment_hash, tx.expires_at, batch.service, tx.invoice_id)).rowcount
    if not found:
        raise KitestringError(Reason.INTERNAL, f"the ledger holds no invoice {tx.invoice_id}: nothing was recorded")
    batch.store(tx.messages, tx.now)
    return Done()


def drop_invoice(batch: Batch, tx: DropInvoice) -> Done:
    """Only an invoice that is still being created goes; dropping it twice is dropping it once."""
    key = (batch.service, tx.invoice_id)
    row = batch.execute(_STATE, key).fetchone()
    if row is not None and row[0] != "creating":
        raise KitestringError(Reason.INTERNAL, f"invoice {tx.invoice_id} is {row[0]}: it cannot be dropped any more")
    batch.execute(_DROP, key)
    batch.store(tx.messages, tx.now)
    return Done()


def credit(batch: Batch, tx: Credit) -> Credited | AlreadyCredited:
    """Book what the node received, once; the cursor moves in the same commit, also when it is old news."""
    service = batch.service
    if tx.cursor:
        batch.execute(_CURSOR, (tx.cursor, service, tx.node_id))
    row = batch.execute(_BY_HASH, (service, tx.payment_hash, tx.node_id)).fetchone()
    kinds = {kind for (kind,) in batch.execute(_CREDITS, (service, tx.node_id, tx.payment_hash))}
    invoice = None if row is None else read_invoice(row)
    kind = _kind(tx, invoice)
    if kinds & {kind, "invoice", "unknown"}:
        return AlreadyCredited()
    if invoice is None or kind == "unknown":
        _book(batch, tx, kind, OWNER_ACCOUNT)
        batch.tell(EventKind.RECEIVED, tx.payment_hash, tx.settled_at, account_id=OWNER_ACCOUNT, detail=kind)
        return Credited(None)
    _book(batch, tx, kind, invoice.account_id)
    whose = {"grant_id": invoice.grant_id, "account_id": invoice.account_id}
    batch.tell(EventKind.RECEIVED, invoice.invoice_id, tx.settled_at, **whose, detail="" if kind == "invoice" else kind)
    if kind == "surplus":
        return Credited(invoice, surplus=True)
    batch.store(tx.messages, tx.settled_at)
    return Credited(read_invoice(_settle(batch, tx, invoice)))


def _kind(tx: Credit, invoice: Invoice | None) -> str:
    """Less than was asked for settles nothing: like an unknown hash it is the owner's money, and never lost."""
    if invoice is None:
        return "unknown"
    if invoice.internal:
        return "surplus"
    if invoice.amount_msat is not None and int(tx.received_msat) < int(invoice.amount_msat):
        return "unknown"
    return "invoice"


def _settle(batch: Batch, tx: Credit, invoice: Invoice) -> Row:
    values = (int(tx.received_msat), tx.settled_at, tx.preimage, tx.preimage, batch.service, invoice.invoice_id)
    # All rows of a RETURNING are read, or the statement stays open and the commit waits for it.
    row: Row = batch.execute(_SETTLE + INVOICE, values).fetchall()[0]
    return row


def _book(batch: Batch, tx: Credit, kind: str, account_id: str) -> None:
    received, service = int(tx.received_msat), batch.service
    number = batch.book(kind, WORLD, account_id, received, tx.settled_at)
    batch.execute(_INSERT_CREDIT, (service, tx.node_id, tx.payment_hash, kind, number, received, tx.settled_at))


def expire_invoices(batch: Batch, tx: ExpireInvoices) -> Done | More:
    """What strangers asked for and never paid goes as a whole: invoice, request and reply. It was called expired in an
    earlier step, so that nothing is called unpaid and forgotten in one."""
    service = batch.service
    gone = (service, tx.drop_offers_before, tx.node_id, SWEEP_LIMIT)
    abandoned = batch.execute(_ABANDONED, gone).fetchall()
    batch.connection.executemany(_FORGET, [(row,) for row, _ in abandoned])
    batch.forget(request_id for _, request_id in abandoned)
    past = (service, tx.before, tx.node_id, json.dumps(tx.keep), SWEEP_LIMIT)
    expired = batch.execute(_EXPIRE, past).fetchall()
    for invoice_id, grant_id, account_id in expired:
        batch.tell(EventKind.EXPIRED, invoice_id, tx.now, grant_id=grant_id, account_id=account_id)
    return More() if SWEEP_LIMIT in (len(expired), len(abandoned)) else Done()
