"""Hold invoices: a payment is held, somebody decides, and the node ends it. An ordinary invoice that the owner wants to
have cancelled takes the last two of these steps.

The decision is a column of the invoice, written once. Those who have asked for it wait under the id of the invoice, as
others wait for a payment.
"""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind
from kitestring.base.invoices import KEEP_UNPAID_S, MAX_UNPAID, WAITING, Decision, InvoiceState
from kitestring.base.payments import preimage_fits
from kitestring.base.records import OwnInvoice, Request
from kitestring.base.transactions.answers import Claimed, Denied, Done, Finished, Running, Stale
from kitestring.base.transactions.invoices import MAX_DECIDING, AlarmHold, DecideHold, EndHold, HoldPayment, WarnHold
from kitestring.ledger.apply import unpaid
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.rows import ALARMS, INVOICE, read_invoice

#: Alarms among which the same one is looked for: a millisecond.
NEWEST_ALARMS: Final = 1_000

_BY_ID: Final = f"SELECT {INVOICE} FROM invoices WHERE service = ? AND invoice_id = ?"
_BY_HASH: Final = (
    f"SELECT {INVOICE} FROM invoices WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> ''"
)
_ACCEPT: Final = """
UPDATE invoices SET state = 'accepted', received_msat = ?, settle_deadline = ?, held_by = ?
WHERE service = ? AND invoice_id = ?"""
_DECIDE: Final = """
UPDATE invoices SET decision = ?, preimage = iif(? = '', preimage, ?) WHERE service = ? AND invoice_id = ?"""
_WARN: Final = "UPDATE invoices SET is_warned = 1 WHERE service = ? AND invoice_id = ? AND is_warned = 0"
_CANCEL: Final = "UPDATE invoices SET state = 'canceled', received_msat = NULL WHERE service = ? AND invoice_id = ?"
_WAITING: Final = (
    "SELECT count(*) FROM requests INDEXED BY requests_unanswered"
    " WHERE service = ? AND payment_id = ? AND finished_at IS NULL"
)
_TOLD: Final = f"""
SELECT 1 FROM (SELECT subject, detail, at FROM {ALARMS} ORDER BY event DESC LIMIT ?)
WHERE subject = ? AND detail = ? AND at > ? LIMIT 1"""
_GRANT: Final = "SELECT version, revoked_at FROM grants WHERE service = ? AND grant_id = ?"


def hold_payment(batch: Batch, tx: HoldPayment) -> Done | Stale:
    """Note that a payment is held. Its place among the open invoices stays taken."""
    row = batch.execute(_BY_HASH, (batch.service, tx.payment_hash, tx.node_id)).fetchone()
    if row is None:
        return Stale()
    invoice = read_invoice(row)
    if invoice.state is InvoiceState.ACCEPTED and invoice.held_by == tx.payment_id:
        return Done()
    is_late = tx.payment_id and invoice.decision is not Decision.NONE
    if not invoice.is_hold or invoice.state is not InvoiceState.OPEN or is_late:
        return Stale()
    held = (int(tx.held_msat), tx.settle_deadline, tx.payment_id)
    batch.execute(_ACCEPT, (*held, batch.service, invoice.invoice_id))
    _tell(batch, invoice, EventKind.ACCEPTED, tx.now, str(tx.settle_deadline))
    return Done()


def decide_hold(batch: Batch, tx: DecideHold) -> Claimed | Finished | Running | Stale | Denied:
    """Store the decision, and claim the request that waits for what becomes of it."""
    if tx.request is not None:
        refusal = _unclaimable(batch, tx.request, tx.grant_version)
        if refusal is not None:
            return refusal
    invoice = _look_up(batch, tx.invoice_id)
    if not _is_free(invoice, tx.decision):
        return Stale()
    if tx.request is not None and _number_waiting(batch, tx.invoice_id) >= MAX_DECIDING:
        return Denied(Reason.RATE_LIMITED)
    if invoice.decision is Decision.NONE:
        preimage = tx.preimage if tx.decision is Decision.SETTLE else ""
        if tx.decision is Decision.SETTLE and not preimage_fits(preimage, invoice.payment_hash):
            raise KitestringError(Reason.INTERNAL, "this is not the preimage of the invoice: nothing was decided")
        batch.execute(_DECIDE, (tx.decision.value, preimage, preimage, batch.service, tx.invoice_id))
    if tx.request is not None:
        batch.insert_request(tx.request, tx.invoice_id)
    if tx.why:
        _tell(batch, invoice, EventKind.ALARM, tx.now, tx.why)
    return Claimed()


def warn_hold(batch: Batch, tx: WarnHold) -> Done:
    """Say once that a deadline is near."""
    if batch.execute(_WARN, (batch.service, tx.invoice_id)).rowcount == 1:
        _tell(batch, _look_up(batch, tx.invoice_id), EventKind.ALARM, tx.now, tx.why)
    return Done()


def alarm_hold(batch: Batch, tx: AlarmHold) -> Done:
    """Say what is to be done by hand, and not at every start."""
    if (
        batch.execute(_TOLD, (batch.service, NEWEST_ALARMS, tx.invoice_id, tx.why, tx.now - tx.again_s)).fetchone()
        is None
    ):
        _tell(batch, _look_up(batch, tx.invoice_id), EventKind.ALARM, tx.now, tx.why)
    return Done()


def end_hold(batch: Batch, tx: EndHold) -> Done | Stale:
    """End what the node has ended. One that is held inside the service ends with its payment, and an ordinary one that
    nobody has cancelled expires."""
    invoice = _look_up(batch, tx.invoice_id)
    is_ordinary = not invoice.is_hold and invoice.decision is Decision.NONE
    if invoice.state not in WAITING or invoice.held_by or is_ordinary:
        return Stale()
    call_canceled(batch, invoice, tx.now)
    batch.store(tx.messages, tx.now)
    if tx.why:
        _tell(batch, invoice, EventKind.ALARM, tx.now, tx.why)
    return Done()


def call_canceled(batch: Batch, invoice: OwnInvoice, now: int) -> None:
    """Call an invoice that waits canceled, and give its place back."""
    batch.execute(_CANCEL, (batch.service, invoice.invoice_id))
    batch.counts.count_invoice(invoice.node_id, invoice.holders, -1)
    _tell(batch, invoice, EventKind.CANCELED, now)
    unpaid.make_room(batch, invoice.grant_id, now - KEEP_UNPAID_S, MAX_UNPAID, {invoice.invoice_id})


def _is_free(invoice: OwnInvoice, decision: Decision) -> bool:
    """Whether it can be decided so. Only what is held can be taken, and nothing is held for an ordinary invoice."""
    states = {InvoiceState.ACCEPTED} if decision is Decision.SETTLE else WAITING
    is_able = invoice.is_hold or decision is Decision.CANCEL
    return is_able and invoice.state in states and invoice.decision in {Decision.NONE, decision}


def _unclaimable(batch: Batch, request: Request, grant_version: int) -> Finished | Running | Stale | Denied | None:
    known = batch.known(request.request_id)
    if known is not None:
        return known
    if batch.is_too_old(request):
        return Denied(Reason.STALE_REQUEST)
    grant = batch.execute(_GRANT, (batch.service, request.grant_id)).fetchone()
    return Stale() if grant != (grant_version, None) else None


def _number_waiting(batch: Batch, invoice_id: str) -> int:
    number: int = batch.execute(_WAITING, (batch.service, invoice_id)).fetchone()[0]
    return number


def _look_up(batch: Batch, invoice_id: str) -> OwnInvoice:
    row = batch.execute(_BY_ID, (batch.service, invoice_id)).fetchone()
    if row is None:
        raise KitestringError(Reason.INTERNAL, f"the ledger holds no invoice {invoice_id}: nothing was recorded")
    return read_invoice(row)


def _tell(batch: Batch, invoice: OwnInvoice, kind: EventKind, now: int, detail: str = "") -> None:
    whose = {"grant_id": invoice.grant_id, "account_id": invoice.account_id}
    batch.tell(kind, invoice.invoice_id, now, **whose, detail=detail)
