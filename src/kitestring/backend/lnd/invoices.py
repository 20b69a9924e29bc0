"""lnd's invoices: one by its hash, and all of them in pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from kitestring.backend.http import NodeHttp, NodeRefusedError
from kitestring.backend.lnd import wire
from kitestring.backend.lnd.rest import NOT_FOUND

#: Entries of one page, 2 kB each.
INVOICE_PAGE: Final = 500
#: lnd's own words for "there is none". The code alone proves nothing: a gateway that lacks the route says code 5 too.
NO_INVOICE: Final = ("unable to locate invoice", "there are no existing invoices")


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
