"""``pay`` and ``receive`` of Nostr Wallet Connect (extension 321): what is paid and what is shown are BIP-321 links.

Of a link the Lightning invoice is paid; this service has no other instruction. State of the text: 2026-09.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from kitestring.base import outcomes as o
from kitestring.base.commands import MakeInvoice, PayInvoice
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.codec import bolt11
from kitestring.codec.json import text_member
from kitestring.codec.members import words_member
from kitestring.codec.pasted import tidy
from kitestring.codec.uri import decode_bip321, encode_bip321, is_bip321
from kitestring.wire.invoices import payment_of, read_invoice
from kitestring.wire.serve.nwc.lookup import transaction_id
from kitestring.wire.serve.nwc.members import Params, amount_member, metadata_member
from kitestring.wire.text import clean_description

EXTENSION: Final = "321"
#: A detail of a refusal: the link is in order, and has nothing that can be paid here.
INSTRUCTION: Final = "instruction"
#: Seconds after which ``pay`` answers that the payment is under way: clients wait for 60 and more.
PATIENCE_S: Final = 50


def read_pay(params: Params, network: str) -> PayInvoice:
    """The payment that a link, or a bare invoice, asks for.

    Raises CodecError for what is malformed (amounts that differ, a demand that nobody knows, a note that an invoice
    cannot carry), KitestringError(WRONG_NETWORK), and UNSUPPORTED where no invoice is in it.
    """
    text = text_member(params, "payment")
    if text is None:
        raise CodecError("payment is missing")
    if text_member(params, "payer_note"):
        raise CodecError("an invoice carries no note of the payer")
    asked, fee = amount_member(params, low=1), amount_member(params, "max_fee")
    invoice, named = _instruction(tidy(text), network)
    stated = {amount for amount in (asked, named, invoice.amount_msat) if amount is not None}
    if len(stated) > 1:
        raise CodecError("the amounts of the link, the invoice and the request differ")
    try:
        amount = bolt11.amount_to_pay(invoice, asked if asked is not None else named)
    except KitestringError as error:
        raise CodecError(error.message) from None
    wanted = payment_of(invoice, amount, max_fee_msat=fee, metadata=metadata_member(params))
    return replace(wanted, patience_s=PATIENCE_S)


def _instruction(text: str, network: str) -> tuple[bolt11.DecodedInvoice, Msat | None]:
    """The invoice that is paid, and the amount that the link names."""
    if not is_bip321(text):
        return read_invoice(text, network), None
    link = decode_bip321(text)
    found = [value for value in link.values.get("lightning", ()) if value]
    if not found:
        sentence = "the link has no Lightning invoice, and nothing else can be paid here"
        raise KitestringError(Reason.UNSUPPORTED, sentence, **{INSTRUCTION: "bolt11"})
    if len(found) > 1:
        raise CodecError("the link has more than one invoice: nobody can tell which one is meant")
    return read_invoice(found[0], network), link.amount_msat


def write_paid(outcome: o.Paid | o.Pending) -> object:
    """The result of ``pay``: once it has settled, or while it is under way. The end of that is told by a look-up and by
    a notification, under the same id and hash."""
    told = {
        "transaction_id": transaction_id(o.Direction.OUTGOING, outcome.payment_hash),
        "state": "pending",
        "instruction_type": "bolt11",
        "amount": int(outcome.amount_msat),
        "fees_paid": 0,
        "created_at": outcome.created_at,
        "payment_hash": outcome.payment_hash,
    }
    if isinstance(outcome, o.Pending):
        return told
    return told | {"state": "settled", "fees_paid": int(outcome.fees_msat), "preimage": outcome.preimage}


def read_receive(params: Params, _: str) -> MakeInvoice:
    """The invoice that goes into the link; without an ``amount`` the payer names it. Raises CodecError."""
    return MakeInvoice(
        amount_msat=amount_member(params) or None,
        description=clean_description(words_member(params, "description")),
        metadata=metadata_member(params),
    )


def write_received(outcome: o.Invoiced) -> object:
    """The result of ``receive``."""
    made = outcome.transaction
    named = transaction_id(o.Direction.INCOMING, made.payment_hash)
    return {"bip321": encode_bip321(made.bolt11), "transaction_id": named}
