"""Zaps (NIP-57), the receiver's side: zap requests in, receipts out. State of the text: 2026-09.

A receipt is the receiver's word to everybody that a zap was paid; a proof of payment it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.zaps import ZapRequest
from kitestring.codec.json import dumps
from kitestring.codec.relay_url import is_relay_url
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, decode_event, first_tag, verify_event
from kitestring.wire.grammar import Draft

#: Characters of a zap request. It is kept as long as the invoice, and published with the receipt.
MAX_ZAP_CHARS: Final = 8_192
#: Relays of a request to which its receipt is sent, the first ones.
MAX_ZAP_RELAYS: Final = 10

_is_hex32: Final = re.compile("[0-9a-f]{64}", re.ASCII).fullmatch
_is_kind: Final = re.compile("[0-9]{1,5}", re.ASCII).fullmatch
_is_coordinate: Final = re.compile("[0-9]{1,5}:[0-9a-f]{64}:.{0,256}", re.ASCII | re.DOTALL).fullmatch
_is_number: Final = re.compile("[0-9]{1,19}", re.ASCII).fullmatch
#: Tags that stand in a request once at the most, and what their value is; the receipt repeats the first three.
_TAGS: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {"e": _is_hex32, "a": _is_coordinate, "k": _is_kind, "p": _is_hex32, "P": _is_hex32, "amount": _is_number}
)
_REPEATED: Final = ("e", "a", "k")


def read_zap_request(value: object, signer: str) -> ZapRequest:
    """A zap request: its JSON text, that text URL-encoded, or an object, which is written in its own member order.

    ``signer`` is the public key that signs receipts; a request that names another one in its ``P`` tag is refused.
    Raises CodecError where it is no zap request, its signature is not its author's, or it names no relay for a receipt.
    """
    text = _text(value)
    if len(text) > MAX_ZAP_CHARS:
        raise CodecError(f"the zap request is longer than {MAX_ZAP_CHARS} characters")
    event = _decode(text)
    found = {name: _only(event, name, fits) for name, fits in _TAGS.items()}
    recipient, amount = found["p"], found["amount"]
    if recipient is None:
        raise CodecError("the zap request names nobody who is zapped (p)")
    if found["P"] not in {None, signer}:
        raise CodecError("the zap request wants a receipt by another key (P)")
    if not zap_relays(event):
        raise CodecError("the zap request names no relay for its receipt (relays)")
    if amount is not None and not 0 < int(amount) <= MAX_MSAT:
        raise CodecError("the amount of the zap request is no amount")
    if not verify_event(event):
        raise CodecError("the signature of the zap request is wrong")
    return ZapRequest(text, recipient, None if amount is None else Msat(int(amount)))


def zap_relays(event: Event) -> list[str]:
    """The relays at which the sender looks for the receipt: the first :data:`MAX_ZAP_RELAYS` that look like one."""
    named = next((tag[1:] for tag in event.tags if tag and tag[0] == "relays"), [])
    return list(dict.fromkeys(url for url in named if is_relay_url(url)))[:MAX_ZAP_RELAYS]


def zap_receipt(text: str, bolt11: str) -> tuple[Draft, list[str]]:
    """The receipt of a request that :func:`read_zap_request` has read, and the relays it is sent to. It is dated by the
    settlement, so that it is the same event however often it is signed. Raises CodecError for any other text."""
    event = _decode(text)
    tags = [["p", first_tag(event, "p") or ""], ["P", event.pubkey]]
    tags += [[name, value] for name in _REPEATED if (value := first_tag(event, name)) is not None]
    tags += [["bolt11", bolt11], ["description", text]]
    return Draft(kinds.ZAP_RECEIPT, tags), zap_relays(event)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return dumps(value)
    if not isinstance(value, str):
        raise CodecError("a zap request is the text of an event")
    return unquote(value) if value[:3].upper() == "%7B" and len(value) <= 3 * MAX_ZAP_CHARS else value


def _decode(text: str) -> Event:
    event = decode_event(text)
    if event.kind != kinds.ZAP_REQUEST:
        raise CodecError("a zap request is an event of kind 9734")
    return event


def _only(event: Event, name: str, fits: Callable[[str], object]) -> str | None:
    """The value of the one tag of that name, None without one."""
    values = [tag[1] if len(tag) > 1 else "" for tag in event.tags if tag and tag[0] == name]
    if len(values) > 1 or not all(map(fits, values)):
        raise CodecError(f"the zap request has a wrong tag {name!r}")
    return values[0] if values else None
