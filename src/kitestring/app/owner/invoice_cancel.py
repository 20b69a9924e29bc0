"""The owner's command that takes back an invoice before it expires."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.books import whole_hash
from kitestring.app.owner.command import Call, Commands, Receive, key_reused
from kitestring.app.owner.desk import Reading, Receiving, expect
from kitestring.app.owner.money import claimed_by
from kitestring.app.owner.params import DEFAULT_WAIT_S, MAX_WAIT_S
from kitestring.app.owner.results import money as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import CancelInvoice, thaw
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.outcomes import Canceled
from kitestring.base.records import OwnInvoice
from kitestring.codec import bolt11
from kitestring.codec.target import Target, candidates

_DIGITS: Final = re.compile("[0-9A-Fa-f]+", re.ASCII)


class InvoiceCancelParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``invoice`` is the invoice itself, or its payment hash (the first 8 digits are enough)."""

    invoice: Annotated[str, Meta(min_length=1, max_length=16_384)]
    wait_s: Annotated[int, Meta(ge=0, le=MAX_WAIT_S)] = DEFAULT_WAIT_S


async def invoice_cancel(desk: Receiving, params: InvoiceCancelParams, call: Call) -> Result:
    """Let nobody pay an open invoice any more, before it expires. The node's word ends it."""
    invoice = await _meant(desk, params.invoice)
    command = CancelInvoice(payment_hash=invoice.payment_hash)
    stored = await desk.store.request(call.request_id)
    if stored is not None and stored.command and thaw(stored.command) != command:
        raise key_reused("invoice_cancel")
    outcome = await desk.end_invoice(call.request_id, call.caller.grant_id, command, params.wait_s)
    if (claimed := await claimed_by(desk, call)) and thaw(claimed) != command:
        raise key_reused("invoice_cancel")
    if outcome is None:
        raise KitestringError(
            Reason.PAYMENT_IN_FLIGHT,
            "it is to be cancelled, and is as soon as the node can be told; until then it may be paid from outside",
            payment_hash=invoice.payment_hash,
        )
    ended = expect(outcome, Canceled)
    return {
        "payment_hash": ended.payment_hash,
        "state": (InvoiceState.EXPIRED if ended.has_expired else InvoiceState.CANCELED).value,
        "amount_msat": None if invoice.amount_msat is None else int(invoice.amount_msat),
    }


async def _meant(desk: Reading, typed: str) -> OwnInvoice:
    """The invoice of this service that is named. Raises KitestringError."""
    found = await desk.store.entries_of(await _payment_hash(desk, typed))
    invoice = next((entry for entry in found if isinstance(entry, OwnInvoice)), None)
    if invoice is None:
        raise KitestringError(
            Reason.UNKNOWN_TARGET, "this service has made no such invoice; see `kitestring transactions --unpaid --in`"
        )
    return invoice


async def _payment_hash(desk: Reading, typed: str) -> str:
    if _DIGITS.fullmatch(typed.strip()):
        return await whole_hash(desk, typed)
    try:
        texts = [text for target, text in candidates(typed) if target is Target.BOLT11]
        if texts:
            return bolt11.decode(texts[0], recover=False).payment_hash
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"{error}; name an invoice, or its payment hash") from error
    raise KitestringError(Reason.MALFORMED, "this is no invoice: name an invoice, or its payment hash")


COMMANDS: Final[Commands] = (
    Receive("invoice_cancel", InvoiceCancelParams, invoice_cancel, results.InvoiceCanceledJson),
)
