"""CLINK Offers (kind 21001), the service's side, with the unversioned NIP-69 callers of 2024.

Requests in, replies and receipts out. Amounts on this wire are whole satoshis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from kitestring.base.clocks import AHEAD_S
from kitestring.base.commands import DEFAULT_EXPIRY_S, MIN_EXPIRY_S, NOTE, AskOffer
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_SATS, sat
from kitestring.base.outcomes import Invoiced, Outcome, Received
from kitestring.base.text import clean
from kitestring.codec.json import dumps, int_member, loads_object, text_member
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag
from kitestring.nostr.inbox import HOUR_S, Window
from kitestring.wire.clink import CLINK_CODES, CLINK_VERSION, always_nip44, read_version, refuser
from kitestring.wire.grammar import Asked, Facts, Speakers, Wire
from kitestring.wire.refusal import WireRefusalError, refusal
from kitestring.wire.reply_to import ReplyTo, Version
from kitestring.wire.zaps import read_zap_request

#: An hour: strangers' unpaid invoices are counted and looked up until they expire.
MAX_OFFER_EXPIRY_S: Final = DEFAULT_EXPIRY_S
#: Length of a payer's description in characters, as the specification has it.
MAX_DESCRIPTION: Final = 100
#: What strangers may make us store with one invoice: 32 short texts.
MAX_PAYER_KEYS: Final = 32
MAX_PAYER_KEY: Final = 64
MAX_PAYER_VALUE: Final = 1000
#: Offer ids in codes have at most 255 bytes.
MAX_OFFER_ID: Final = 255

_HASH: Final = re.compile("[0-9a-f]{64}", re.ASCII).fullmatch
#: What an error text starts with.
CODE_NAMES: Final = {
    1: "Invalid Offer",
    2: "Temporary Failure",
    3: "Expired or Moved Offer",
    4: "Unsupported Feature",
    5: "Invalid Amount",
    6: "Invalid Request",
}
CODES: Final[Mapping[Reason, int | None]] = {
    **CLINK_CODES,
    Reason.MOVED_OR_EXPIRED_OFFER: 3,
    Reason.STALE_REQUEST: 2,
    Reason.OVER_BUDGET: 2,
    Reason.RATE_LIMITED: 2,
    Reason.INSUFFICIENT_POW: 2,
    Reason.UNSUPPORTED: 4,
}
#: Code 6 came after the 2024 text; its callers get 1 instead.
LEGACY_CODES: Final = {reason: 1 for reason, code in CODES.items() if code == 6}


# ---------------------------------------------------------------- requests


def read(text: str, event: Event, to: ReplyTo, facts: Facts) -> Asked:
    """The ``read`` of this wire. Refused are a version, MALFORMED texts, and UNKNOWN_TARGET where no offer is named."""
    try:
        version = read_version(event, accept_legacy=facts.accept_legacy_offers)
        if version == "legacy":
            to = msgspec.structs.replace(to, version=version)
        command = _decode(loads_object(text), version, first_tag(event, "p") or "")
    except (CodecError, KitestringError) as failure:
        raise WireRefusalError(to, refusal(failure)) from None
    return Asked(command, to, command.offer_id)


def _decode(members: dict[str, object], version: Version, service: str) -> AskOffer:
    offer = members.get("offer")
    if not isinstance(offer, str) or len(offer) > MAX_OFFER_ID:
        raise KitestringError(Reason.UNKNOWN_TARGET, "the request names no offer")
    amount = _amount_sats(members)
    return AskOffer(
        offer_id=offer,
        amount_msat=None if amount is None else sat(amount),
        payer_data=_payer_data(members.get("payer_data")),
        description=clean(text_member(members, "description") or "", MAX_DESCRIPTION),
        expiry_s=_expires_in(members.get("expires_in_seconds")),
        description_hash=_description_hash(members.get("description_hash")),
        zap=None if members.get("zap") in (None, "", False) else read_zap_request(members["zap"], service),
        amountless=version == "legacy",
    )


def _amount_sats(members: dict[str, object]) -> int | None:
    """``amount`` is what bridgelet and the first SDKs call it. Zero and "" mean absent."""
    named = {name: value for name in ("amount_sats", "amount") if (value := members.get(name)) not in (None, "")}
    amounts = {int_member(named, name, high=MAX_SATS, decimal_text=True) for name in named} - {0}
    if len(amounts) > 1:
        raise CodecError("amount_sats and amount are different")
    return amounts.pop() if amounts else None


def _payer_data(value: object) -> dict[str, str]:
    if value is None or value in ("", []):  # an empty object as PHP writes it
        return {}
    if isinstance(value, str):
        return {NOTE: clean(value, MAX_PAYER_VALUE)}
    if not isinstance(value, dict) or len(value) > MAX_PAYER_KEYS:
        raise CodecError(f"payer_data must be an object of at most {MAX_PAYER_KEYS} texts")
    return {_payer_key(name): _payer_text(text) for name, text in value.items() if text is not None}


def _payer_key(name: str) -> str:
    if len(name) > MAX_PAYER_KEY:
        raise CodecError(f"a name in payer_data is longer than {MAX_PAYER_KEY} characters")
    return clean(name, MAX_PAYER_KEY)


def _payer_text(value: object) -> str:
    if isinstance(value, dict | list):
        raise CodecError("payer_data must not be nested")
    text = value if isinstance(value, str) else dumps(value)
    if len(text) > MAX_PAYER_VALUE:
        raise CodecError(f"a text in payer_data is longer than {MAX_PAYER_VALUE} characters")
    return clean(text, MAX_PAYER_VALUE)


def _description_hash(value: object) -> str:
    """Extension: the invoice commits to a text that stands elsewhere, as an LNURL server's does."""
    if value is None:
        return ""
    if not isinstance(value, str) or _HASH(value) is None:
        raise CodecError("description_hash must be 64 lower-case hexadecimal digits")
    return value


def _expires_in(value: object) -> int:
    """Clamped, never an error: a payer's odd wish is no reason to refuse its money."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return MAX_OFFER_EXPIRY_S
    return min(max(value, MIN_EXPIRY_S), MAX_OFFER_EXPIRY_S)


# ---------------------------------------------------------------- replies


def encode(outcome: Outcome, _: ReplyTo) -> bytes | None:
    """The ``encode`` of this wire: an invoice, or the receipt of its payment."""
    if isinstance(outcome, Invoiced):
        return dumps({"bolt11": outcome.transaction.bolt11}).encode()
    if isinstance(outcome, Received):
        # Without a preimage the member is absent: peers read "" as no receipt at all.
        return dumps({"res": "ok"} | ({"preimage": outcome.preimage} if outcome.preimage else {})).encode()
    return None


WIRE: Final = Wire(
    name="offers",
    title="offers",
    speakers=Speakers.STRANGERS,
    windows={kinds.OFFER: Window(back_s=300, ahead_s=AHEAD_S, answer_s=HOUR_S)},
    reply_kind=kinds.OFFER,
    reply_tags=(CLINK_VERSION,),
    codes=CODES,
    older_codes=LEGACY_CODES,
    cipher=always_nip44,
    unreadable=Reason.UNSUPPORTED_ENCRYPTION,
    read=read,
    encode=encode,
    refuse=refuser(CODE_NAMES, CODES, LEGACY_CODES),
    spends=False,
)
