"""lnd's invoices: one by its hash, all of them in pages, and those whose payment is held (the invoices subserver)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from kitestring.backend.http import Lane, NodeHttp, NodeRefusedError
from kitestring.backend.lnd import wire
from kitestring.backend.lnd.rest import NOT_FOUND, results
from kitestring.base.node import HashTakenError, HoldOrder, InvoiceStatus, NodeInvoice, NodeInvoiceState
from kitestring.codec import bolt11

#: Entries of one page, 2 kB each.
INVOICE_PAGE: Final = 500
#: lnd's own words for "there is none". The code alone proves nothing: a gateway that lacks the route says code 5 too.
NO_INVOICE: Final = ("unable to locate invoice", "there are no existing invoices")
#: lnd's own words for a hash that another of its invoices has.
TAKEN: Final = "already exists"


async def find_invoice(http: NodeHttp, payment_hash: str) -> wire.LndInvoice | None:
    """None only for lnd's own word that it has none. Raises as ``http``."""
    try:
        return await http.call("GET", f"/v1/invoice/{payment_hash}", wire.LndInvoice)
    except NodeRefusedError as refused:
        if refused.code == NOT_FOUND and refused.message in NO_INVOICE:
            return None
        raise


async def every_invoice(http: NodeHttp) -> AsyncIterator[wire.LndInvoice]:
    """All invoices ever made, oldest first. Raises as ``http``."""
    offset = "0"
    while True:
        path = f"/v1/invoices?num_max_invoices={INVOICE_PAGE}&index_offset={offset}"
        page = await http.call("GET", path, wire.InvoicePage)
        for invoice in page.invoices:
            yield invoice
        if not page.invoices or wire.int64(page.last_index_offset) <= wire.int64(offset):
            return
        offset = page.last_index_offset


async def pages_from_the_newest(http: NodeHttp) -> AsyncGenerator[list[wire.LndInvoice], None]:
    """The same in pages, the newest first; within a page lnd keeps its order. Raises as ``http``."""
    offset = "0"
    while True:
        path = f"/v1/invoices?reversed=true&num_max_invoices={INVOICE_PAGE}&index_offset={offset}"
        page = await http.call("GET", path, wire.InvoicePage)
        yield page.invoices
        if not page.invoices or wire.int64(page.first_index_offset) <= 1:
            return
        offset = page.first_index_offset


async def hold_invoice(http: NodeHttp, order: HoldOrder, *, private: bool) -> NodeInvoice:
    """An invoice whose payment lnd holds. ``private`` puts hints to private channels into it. Raises HashTakenError,
    and as ``http``."""
    body: dict[str, Any] = {
        "hash": wire.to_base64(order.payment_hash),
        "value_msat": str(int(order.amount_msat)),
        "expiry": str(order.expiry_s),
        "private": private,
    }
    if order.min_cltv_delta:
        body["cltv_expiry"] = str(order.min_cltv_delta)
    if order.description_hash:
        body["description_hash"] = wire.to_base64(order.description_hash)
    else:
        body["memo"] = order.description
    try:
        made = await http.call("POST", "/v2/invoices/hodl", wire.AddedHoldInvoice, body)
    except NodeRefusedError as refused:
        if TAKEN in refused.message:
            raise HashTakenError(str(refused)) from refused
        raise
    invoice = bolt11.decode(made.payment_request, recover=False)
    return NodeInvoice(made.payment_request, invoice.payment_hash, invoice.expires_at)


async def follow_invoice(http: NodeHttp, payment_hash: str, seen: NodeInvoiceState) -> InvoiceStatus:
    """The first state that is another than ``seen``, unknown for lnd's own word that it has none; ``seen`` where the
    stream ends without one. The caller sets the time limit. Raises as ``http``."""
    path = f"/v2/invoices/subscribe/{wire.to_base64url(payment_hash)}"
    found = await find_invoice(http, payment_hash)  # of an unknown one the stream says nothing that can be relied on
    if found is None:
        return InvoiceStatus(NodeInvoiceState.UNKNOWN)
    status = wire.invoice_status(found)
    if status.state is not seen:
        return status
    async with results(http, "GET", path, wire.LndInvoice, lane=Lane.INVOICES) as states:
        async for state in states:
            status = wire.invoice_status(state)
            if status.state is not seen:
                return status
    return status
