"""CLINK Offers (kind 21001), the payer's side: what is asked, which answers are read, what is checked before paying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kitestring.base.commands import NOTE
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import sat
from kitestring.base.outcomes import Refused
from kitestring.base.payments import PREIMAGE_BYTES, preimage_fits
from kitestring.base.text import clean
from kitestring.codec import bolt11
from kitestring.codec.json import dumps, loads_reply
from kitestring.wire.ask.members import Members, hex_in, names_in, number_in, text_in
from kitestring.wire.envelope import MAX_REPLY_BYTES
from kitestring.wire.reply_to import Version
from kitestring.wire.serve.offers import MAX_PAYER_KEY, MAX_PAYER_KEYS, MAX_PAYER_VALUE
from kitestring.wire.text import MAX_OFFER_WORDS_UNITS, MAX_PEER_MESSAGE, clean_words

#: An invoice with less life than this may expire on its way.
MIN_LEFT_S: Final = 60
#: Longest invoice or code taken over from a reply, in characters; a code has at most 5,000, an invoice 7,089.
MAX_CODE_CHARS: Final = 8192
#: The code of an offer that has moved or expired.
MOVED: Final = 3
#: ``retry_after`` below this is a number of seconds from now, above it a time.
FIRST_ABSOLUTE_TIME: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class OfferInvoice:
    """The service made an invoice. Nothing about it is checked yet, see :func:`check_invoice`."""

    bolt11: str


@dataclass(frozen=True, slots=True)
class OfferReceipt:
    """The service says that the invoice was paid. ``preimage`` is lower-case hex or "", see :func:`judge_receipt`."""

    preimage: str = ""


@dataclass(frozen=True, slots=True)
class OfferError:
    """The service refused. Sats, Unix seconds; None and empty where the service did not say (or not readably).

    ``work_bits`` of proof of work (NIP-13) would have served the request, although there are too many.
    """

    code: int | None
    text: str = ""
    range_sats: tuple[int | None, int | None] | None = None
    latest: str = ""
    payer_data: tuple[str, ...] = ()
    retry_at: int | None = None
    retry_in_s: int | None = None
    max_delta_ms: int | None = None
    actual_delta_ms: int | None = None
    work_bits: int | None = None

    @property
    def refused(self) -> Refused:
        """The same as an outcome. Every refusal of an offer is final: no invoice was made. An unknown code is a
        refusal without a known reason; a service that wants to know more about the payer (code 1) does know the
        offer."""
        reason = _REASONS.get(self.code or 0, Reason.NOT_PERMITTED)
        if self.code == 1 and self.payer_data:
            reason = Reason.MALFORMED
        elif self.code == 2 and self.actual_delta_ms is not None:
            reason = Reason.STALE_REQUEST
        elif self.code == 2 and (self.retry_at or self.retry_in_s):
            reason = Reason.RATE_LIMITED
        shown = {
            "code": self.code,
            "range": self.range_sats and {"min": self.range_sats[0], "max": self.range_sats[1]},
            "latest": self.latest,
            "payer_data": list(self.payer_data),
            "retry_at": self.retry_at,
            "retry_in_s": self.retry_in_s,
        }
        return Refused(reason, self.text, {name: value for name, value in shown.items() if value})


OfferReply = OfferInvoice | OfferReceipt | OfferError

_REASONS: Final = {
    1: Reason.UNKNOWN_TARGET,
    2: Reason.UNAVAILABLE,
    MOVED: Reason.MOVED_OR_EXPIRED_OFFER,
    4: Reason.UNSUPPORTED,
    5: Reason.AMOUNT_OUT_OF_RANGE,
    6: Reason.MALFORMED,
}


def encode_request(
    offer: str,
    *,
    amount_sats: int | None = None,
    payer_data: Mapping[str, str] | None = None,
    description: str = "",
    expires_in_s: int | None = None,
    version: Version = "tagged",
) -> str:
    """The plaintext that asks for an invoice. The amount is sent whenever it is known, also for fixed prices.

    The ``legacy`` form is that of NIP-69 (2024): the amount has its old name as well, and a note alone, or else the
    description, is the payer data as one text.
    """
    words = clean_words(description, MAX_OFFER_WORDS_UNITS)
    members: dict[str, object] = {
        "offer": offer,
        "amount_sats": amount_sats,
        "payer_data": dict(payer_data or {}),
        "expires_in_seconds": expires_in_s,
        "description": words,
    }
    if version == "legacy":
        members |= {"amount": amount_sats, "payer_data": _legacy_data(payer_data or {}, words)}
    return dumps({name: value for name, value in members.items() if value or name == "offer"})


def _legacy_data(payer_data: Mapping[str, str], words: str) -> object:
    if payer_data.keys() - {NOTE}:
        return dict(payer_data)
    return payer_data.get(NOTE, words)


def fit_payer_data(told: Mapping[str, str]) -> dict[str, str]:
    """Put each text that a payer tells about themselves on one line.

    Raises KitestringError (malformed) beyond the limits of services: nothing is cut that somebody has typed.
    """
    fitted = {_one_line(name): _one_line(text) for name, text in told.items()}
    if len(fitted) != len(told) or not all(fitted):
        raise KitestringError(Reason.MALFORMED, "each part of the payer data has a name of its own, such as email")
    if len(fitted) > MAX_PAYER_KEYS:
        raise KitestringError(Reason.MALFORMED, f"payer data has at most {MAX_PAYER_KEYS} parts")
    for name, text in fitted.items():
        if len(name) > MAX_PAYER_KEY or len(text) > MAX_PAYER_VALUE:
            sentence = f"a name in payer data has at most {MAX_PAYER_KEY} characters, a text {MAX_PAYER_VALUE:,}"
            raise KitestringError(Reason.MALFORMED, sentence)
    return fitted


def _one_line(text: object) -> str:
    if not isinstance(text, str):
        raise KitestringError(Reason.MALFORMED, "payer data are texts by name")
    return clean(text, len(text)).strip()


# ---------------------------------------------------------------- replies


def decode_reply(plaintext: str) -> OfferReply:
    """A decrypted reply. Raises CodecError when it is none; such a reply is ignored and the wait goes on."""
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    invoice = text_in(members, "bolt11", MAX_CODE_CHARS)
    if invoice:
        return OfferInvoice(invoice)
    if members.get("res") == "GFY" or members.get("code") is not None or members.get("error") is not None:
        return _read_error(members)
    if members.get("res") != "ok":
        raise CodecError("this is no reply to an offer request")
    preimage = hex_in(members, "preimage")
    if members.get("preimage") and len(preimage) != 2 * PREIMAGE_BYTES:
        raise CodecError("the receipt has a preimage that is not 64 hexadecimal digits")
    return OfferReceipt(preimage)


def _read_error(members: Members) -> OfferError:
    bounds, delta = members.get("range"), members.get("delta")
    # Some peers write the two deltas beside the code.
    deltas = delta if isinstance(delta, dict) else members
    retry_after = number_in(members, "retry_after")
    absolute = retry_after is not None and retry_after >= FIRST_ABSOLUTE_TIME
    return OfferError(
        number_in(members, "code"),
        text_in(members, "error", MAX_PEER_MESSAGE),
        (number_in(bounds, "min"), number_in(bounds, "max")) if isinstance(bounds, dict) else None,
        text_in(members, "latest", MAX_CODE_CHARS),
        names_in(members, "payer_data", MAX_PAYER_KEYS, MAX_PAYER_KEY),
        retry_after if absolute else None,
        None if absolute else retry_after,
        number_in(deltas, "max_delta_ms"),
        number_in(deltas, "actual_delta_ms"),
        number_in(members, "work_bits"),
    )


# ---------------------------------------------------------------- before and after paying


def next_step(error: OfferError, *, same_service: bool, followed: bool) -> Literal["follow", "ask", "stop"]:
    """The step after an offer has moved: follow ``latest`` once, by itself only to the same service key (TLV 0)."""
    if error.code != MOVED or not error.latest or followed:
        return "stop"
    return "follow" if same_service else "ask"


def check_invoice(
    text: str,
    *,
    amount_sats: int | None,
    network: str,
    now: int,
    min_left_s: int = MIN_LEFT_S,
) -> bolt11.DecodedInvoice:
    """The invoice of a reply, fit to be paid: signature, network, time left, and exactly the amount asked for.

    ``amount_sats`` None = none was asked for (a fixed price not in the code); then the invoice must have one, and the
    caller decides whether it is welcome. An invoice without an amount is taken only for an amount that was asked for.
    Raises KitestringError.
    """
    try:
        invoice = bolt11.decode(text)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the service sent an invoice that cannot be read: {error}") from None
    reason = bolt11.check_payable(invoice, now=now, network=network, min_left_s=min_left_s)
    if reason is Reason.WRONG_NETWORK:
        raise KitestringError(reason, f"the service sent an invoice for {invoice.network}, not for {network}")
    if reason is not None:
        raise KitestringError(reason, "the service sent an invoice that has expired or is about to: ask again")
    if invoice.amount_msat is None and amount_sats is None:
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "the invoice has no amount: name one")
    if invoice.amount_msat is not None and amount_sats is not None and invoice.amount_msat != sat(amount_sats):
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "the service asks for another amount than was agreed")
    return invoice


def judge_receipt(receipt: OfferReceipt, payment_hash: str) -> Literal["proven", "claimed", "false"]:
    """``proven`` by its preimage, merely ``claimed`` without one (which does not make it an internal payment), or
    ``false``: to be reported, not trusted."""
    if not receipt.preimage:
        return "claimed"
    return "proven" if preimage_fits(receipt.preimage, payment_hash) else "false"
