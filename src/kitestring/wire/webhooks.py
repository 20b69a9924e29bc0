"""The words of a webhook: what is told of a payment, at which address, and the signature that proves who tells it.

A payment is told as JSON in a POST, or in the query of a GET as apps know it from CLINK Manage. What the payer has said
is an object of its own in the one, and cannot be called ``amount``, ``invoice`` or ``ok`` in the other.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kitestring.base.currency import ExchangeRate
from kitestring.base.grants import Offer, Webhook
from kitestring.base.money import ZERO
from kitestring.base.records import OwnInvoice
from kitestring.codec import uri_template
from kitestring.codec.json import dumps

PAID: Final = "offer.paid"
TEST: Final = "offer.test"
SIGNATURE_HEADER: Final = "X-Kitestring-Signature"
#: The names in a GET that no payer sets.
OURS: Final = ("amount", "invoice", "ok")


@dataclass(frozen=True, slots=True)
class WebhookNotice:
    """The news to be told. ``event_id`` is the same at each attempt; ``invoice`` None is a test."""

    event_id: str
    offer: Offer
    invoice: OwnInvoice | None = None
    now: int = 0


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One question to the receiver, before its address is looked at. ``body`` None is a GET."""

    method: str
    url: str = field(repr=False)
    body: bytes | None = field(repr=False)


def call(webhook: Webhook, notice: WebhookNotice) -> WebhookCall:
    """The question that tells it. Raises CodecError for a template that cannot be expanded."""
    if webhook.form == "post":
        return WebhookCall("POST", webhook.url, dumps(document(notice)).encode())
    return WebhookCall("GET", _address(webhook.url, notice), None)


def document(notice: WebhookNotice) -> dict[str, object]:
    """The body of a POST."""
    invoice, offer = notice.invoice, notice.offer
    amount = ZERO if invoice is None else invoice.received_msat or ZERO
    return {
        "id": notice.event_id,
        "type": TEST if invoice is None else PAID,
        "offer_id": offer.offer_id,
        "label": offer.label,
        "amount_msat": int(amount),
        "amount_sats": amount.sats_down(),
        "bolt11": invoice.bolt11 if invoice else "",
        "payment_hash": invoice.payment_hash if invoice else "",
        "preimage": (invoice.preimage if invoice else "") or None,
        "payer_data": _payer_data(invoice),
        "settled_at": invoice.settled_at if invoice else notice.now,
        "rate": _rate(invoice.rate) if invoice and invoice.rate else None,
    }


def signature(secret: str, at: int, method: str, url: str, body: bytes | None) -> str:
    """The value of :data:`SIGNATURE_HEADER`: an HMAC-SHA256 over time, method, whole URL and body, a line each. Its
    key is the text of ``secret``; ``url`` is what is really asked."""
    signed = f"{at}\n{method}\n{url}\n".encode() + (body or b"")
    return f"t={at},v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}"


def _address(template: str, notice: WebhookNotice) -> str:
    """The template with its values, then ``ok=true``; of a test ``test=true`` as well, and an amount of 0."""
    invoice = notice.invoice
    amount = ZERO if invoice is None else invoice.received_msat or ZERO
    said = {name: _payer_data(invoice).get(name, "") for name in notice.offer.payer_data if name not in OURS}
    told = {"amount": str(amount.sats_down()), "invoice": invoice.bolt11 if invoice else ""}
    url = uri_template.parse(template).expand({**{name: value for name, value in said.items() if value}, **told})
    more = "ok=true" if invoice else "ok=true&test=true"
    return f"{url}{'&' if '?' in url else '?'}{more}"


def _payer_data(invoice: OwnInvoice | None) -> Mapping[str, str]:
    """The payer's words as they were stored with the invoice."""
    return json.loads(invoice.payer_data) if invoice and invoice.payer_data else {}


def _rate(rate: ExchangeRate) -> dict[str, object]:
    """The rate of the price: ``minor`` minor units of the currency were worth exactly ``msat``."""
    return {
        "currency": rate.currency,
        "msat": rate.msat,
        "minor": rate.minor,
        "at": rate.at,
        "sources": list(rate.sources),
    }
