"""One line about an event of the demonstration: who writes to whom, and what is said."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from kitestring.base.errors import CodecError
from kitestring.codec import bolt11
from kitestring.codec.json import loads_object
from kitestring.nostr import kinds

#: The names of what goes over the wire, by the kind of the event.
NAMES: Final = {
    kinds.NWC_INFO: "what a connection may do",
    kinds.OFFER: "CLINK offer",
    kinds.NWC_REQUEST: "NWC request",
    kinds.NWC_RESPONSE: "NWC response",
    kinds.DELETE: "deletion",
}
#: Characters of an invoice or a preimage that are shown: enough to know it again.
SHOWN_CHARS: Final = 16


class WireLine(NamedTuple):
    """``name`` of the event by its protocol, ``who`` talks to the service, which ``answers``; ``sentence`` is what is
    said about money, "" for what is announced or only looked up."""

    name: str
    who: str = ""
    answers: bool = False
    sentence: str = ""


def line(kind: int, plaintext: str, *, answers: bool) -> WireLine:
    """The line about an event of a ``kind`` with this text. ``answers``: the service has written it."""
    if kind == kinds.OFFER:
        return WireLine(NAMES[kind], "payer", answers, _offer(loads_object(plaintext)))
    if kind == kinds.NWC_REQUEST:
        return WireLine(NAMES[kind], "app", answers, _request(loads_object(plaintext)))
    if kind == kinds.NWC_RESPONSE:
        return WireLine(NAMES[kind], "app", answers, _response(loads_object(plaintext)))
    return WireLine(NAMES[kind], answers=answers)


def _offer(said: dict[str, Any]) -> str:
    if "offer" in said:
        return f"asks for an invoice of {said['amount_sats']} sat"
    if "bolt11" in said:
        return f"the invoice {short(said['bolt11'])}"
    return f"receipt: preimage {short(said['preimage'])}" if "preimage" in said else f"refused: {said.get('error')}"


def _request(said: dict[str, Any]) -> str:
    invoice = said["params"].get("invoice", "")
    return f"{said['method']} {short(invoice)}{_amount(invoice)}" if invoice else ""


def _amount(invoice: str) -> str:
    try:
        amount_msat = bolt11.decode(invoice).amount_msat
    except CodecError:
        return ""
    return "" if amount_msat is None else f", {amount_msat}"


def _response(said: dict[str, Any]) -> str:
    if said["result_type"] != "pay_invoice":
        return ""
    if error := said.get("error"):
        return f"refused: {error['code']}"
    return f"preimage {short(said['result']['preimage'])}"


def short(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
