"""CLINK Offers (kind 21001), the service's side, with the unversioned NIP-69 callers of 2024.

Requests in, replies and receipts out. Amounts on this wire are whole satoshis.
"""

from __future__ import annotations

from typing import Any, Final

from kitestring.base.commands import NOTE, AskOffer
from kitestring.base.errors import SILENT, TABLE, CodecError, Reason
from kitestring.base.money import MAX_MSAT, MSAT_PER_SAT, sat
from kitestring.base.outcomes import Invoiced, Outcome, Received, Refused
from kitestring.base.ports import Encoded, Entropy
from kitestring.base.text import clean
from kitestring.codec.json import dumps, int_member, loads_object, text_member
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, first_tag
from kitestring.wire.envelope import CLINK_VERSION, reply_event
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.reply_to import ReplyTo, Version

#: 21 million bitcoin in sats.
MAX_SATS: Final = MAX_MSAT // MSAT_PER_SAT
MIN_EXPIRY_S: Final = 60
MAX_EXPIRY_S: Final = 3600
#: Length of a payer's description in characters, as the specification has it.
MAX_DESCRIPTION: Final = 100
#: What strangers may make us store with one invoice: 32 short texts.
MAX_PAYER_KEYS: Final = 32
MAX_PAYER_KEY: Final = 64
MAX_PAYER_VALUE: Final = 1000
#: Offer ids in codes have at most 255 bytes.
MAX_OFFER_ID: Final = 255
MAX_ERROR_CHARS: Final = 200

#: What an error text starts with.
CODE_NAMES: Final = {
    1: "Invalid Offer",
    2: "Temporary Failure",
    3: "Expired or Moved Offer",
    4: "Unsupported Feature",
    5: "Invalid Amount",
    6: "Invalid Request",
}
#: Code 6 came after the 2024 text; its callers get 1 instead.
_LEGACY_CODES: Final = {6: 1}
#: Details of a refusal that go on the wire.
_SHOWN_DETAILS: Final = ("range", "latest", "payer_data", "delta", "retry_after")


# ---------------------------------------------------------------- requests


def read_version(event: Event, *, accept_legacy: bool) -> Version:
    """Whether the caller speaks CLINK or the unversioned protocol of 2024 (served if ``accept_legacy``).

    Raises WireRefusalError: UNSUPPORTED_VERSION.
    """
    if any(tag and tag[0] == CLINK_VERSION[0] for tag in event.tags):
        if first_tag(event, CLINK_VERSION[0]) == CLINK_VERSION[1]:
            return "tagged"
    elif accept_legacy:
        return "legacy"
    raise WireRefusalError(Reason.UNSUPPORTED_VERSION, "only clink_version 1 is served here")


def decode_request(plaintext: str, *, version: Version) -> AskOffer:
    """A decrypted request. Raises WireRefusalError: MALFORMED, or UNKNOWN_TARGET when it names no offer."""
    try:
        members = loads_object(plaintext)
        offer = members.get("offer")
        if not isinstance(offer, str) or len(offer) > MAX_OFFER_ID:
            raise WireRefusalError(Reason.UNKNOWN_TARGET, "the request names no offer")
        amount = _amount_sats(members)
        return AskOffer(
            offer_id=offer,
            amount_msat=None if amount is None else sat(amount),
            payer_data=_payer_data(members.get("payer_data")),
            description=clean(text_member(members, "description") or "", MAX_DESCRIPTION),
            expiry_s=_expires_in(members.get("expires_in_seconds")),
            zap=bool(members.get("zap")),
            amountless=version == "legacy",
        )
    except CodecError as error:
        raise WireRefusalError(Reason.MALFORMED, str(error)) from None


def _amount_sats(members: dict[str, object]) -> int | None:
    """``amount`` is what bridgelet and the first SDKs call it. Zero and "" mean absent."""
    named = {name: value for name in ("amount_sats", "amount") if (value := members.get(name)) not in (None, "")}
    amounts = {int_member(named, name, high=MAX_SATS, decimal_text=True) for name in named} - {0}
    if len(amounts) > 1:
        raise CodecError("amount_sats and amount are different")
    return amounts.pop() if amounts else None


def _payer_data(value: object) -> dict[str, str]:
    if value is None or value == "":
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


def _expires_in(value: object) -> int:
    """Clamped, never an error: a payer's odd wish is no reason to refuse its money."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return MAX_EXPIRY_S
    return min(max(value, MIN_EXPIRY_S), MAX_EXPIRY_S)


# ---------------------------------------------------------------- replies


def stale(created_at: int, now: int, window_s: int) -> Refused:
    """For a request outside its age window: says by how much, so that a wrong clock can be found."""
    delta = {"max_delta_ms": 1000 * window_s, "actual_delta_ms": 1000 * abs(now - created_at)}
    return Refused(Reason.STALE_REQUEST, "the request is too old or from the future", {"delta": delta})


def error_code(reason: Reason, version: Version) -> int:
    """The CLINK code of a refusal; ``SILENT`` = no reply."""
    code = TABLE[reason].offers
    return _LEGACY_CODES.get(code, code) if version == "legacy" else code


def encode_payload(outcome: Outcome, version: Version) -> bytes | None:
    """The plaintext of the reply or receipt, None where this wire answers with silence."""
    members: dict[str, Any]
    if isinstance(outcome, Invoiced):
        members = {"bolt11": outcome.transaction.bolt11}
    elif isinstance(outcome, Received):
        # Without a preimage the member is absent: peers read "" as no receipt at all.
        members = {"res": "ok", "preimage": outcome.preimage} if outcome.preimage else {"res": "ok"}
    elif isinstance(outcome, Refused):
        code = error_code(outcome.reason, version)
        if code == SILENT:
            return None
        members = {"res": "GFY", "code": code, "error": _error_text(code, outcome)}
        members |= {name: outcome.details[name] for name in _SHOWN_DETAILS if name in outcome.details}
    else:
        return None
    return dumps(members).encode()


def encode_reply(
    to: ReplyTo, outcome: Outcome, *, key: SecretKey, shared: bytes, entropy: Entropy, now: int
) -> Encoded | None:
    """The finished reply or receipt, see :func:`kitestring.wire.envelope.reply_event`. None = silence."""
    plaintext = encode_payload(outcome, to.version)
    if plaintext is None:
        return None
    return reply_event(to, plaintext, key=key, shared=shared, entropy=entropy, now=now)


def _error_text(code: int, refused: Refused) -> str:
    sentence = refused.message or TABLE[refused.reason].sentence
    return clean(f"{CODE_NAMES[code]}: {sentence}", MAX_ERROR_CHARS)
