"""A payment as it is shown to who is asked whether to make it: the payee, the amount, what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kitestring.base.money import Msat
from kitestring.base.text import one_line
from kitestring.client.payable import Payable, Source
from kitestring.codec import bolt11, nip19
from kitestring.codec.address import InternetAddress
from kitestring.codec.nip19 import Profile
from kitestring.codec.pointers import Noffer

#: Signs of a key that tell it from others, at its beginning and at its end.
_HEAD, _TAIL = 12, 6
MAX_PAYEE_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class Preview:
    """``kind`` is the kind of target: invoice, offer, address or profile. ``payee`` is who is paid, for people;
    ``payee_key`` the key of their node, 66 hex digits; ``currency`` that in which the service of an offer thinks of its
    price. Nobody has vouched for names and descriptions."""

    kind: str
    payee: str
    payee_key: str
    bolt11: str
    payment_hash: str
    amount_msat: Msat
    description: str
    network: str
    expires_at: int
    currency: str = ""


def preview(source: Source, found: Payable) -> Preview:
    """The preview of ``found``, the invoice that was got for ``source``."""
    invoice = found.invoice
    key = invoice.payee or bolt11.decode(invoice.text).payee or ""
    kind, payee = _payee(source, key)
    return Preview(
        kind, one_line(payee, MAX_PAYEE_CHARS), key, invoice.text, invoice.payment_hash, found.amount_msat,
        one_line(invoice.description or ""), invoice.network, invoice.expires_at,
        (source.currency or "") if isinstance(source, Noffer) else "",
    )  # fmt: skip


def _payee(source: Source, key: str) -> tuple[str, str]:
    match source:
        case Noffer(pubkey=pubkey, offer=offer):
            return "offer", f"offer {offer} of {_short(nip19.encode(nip19.PublicKey(pubkey)))}"
        case InternetAddress():
            return "address", str(source)
        case Profile(pubkey=pubkey):
            return "profile", _short(nip19.encode(nip19.PublicKey(pubkey)))
        case bolt11.DecodedInvoice():
            return "invoice", f"node {_short(key)}"


def _short(key: str) -> str:
    return f"{key[:_HEAD]}…{key[-_TAIL:]}"
