"""CLINK pointers: ``noffer``, ``ndebit`` and ``nmanage``, TLV in bech32.

Writing is strict (what every known peer reads), reading lenient in the forms that peers really use. The price types
and currencies follow the CLINK texts of June and August 2026.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_MSAT, MSAT_PER_SAT
from kitestring.codec import bech32, tlv
from kitestring.codec.nip19 import MAX_LENGTH, hex32
from kitestring.codec.pasted import tidy
from kitestring.codec.relay_url import require_relay_url, usable_relays
from kitestring.codec.uri import bip321_values, is_bip321
from kitestring.crypto import secp

#: More than a client dials for one pointer.
MAX_RELAYS: Final = 4

_KEY, _RELAY, _ID, _TYPE_OR_K1, _PRICE, _CURRENCY = range(6)
_MAX_PRICE_SATS: Final = MAX_MSAT // MSAT_PER_SAT
_WRITTEN_PRICE_BYTES: Final = 4
_READ_PRICE_BYTES: Final = 8
_CURRENCY_CODE: Final = re.compile(r"[A-Z0-9]{2,12}", re.ASCII)
_SCHEMES: Final = ("lightning", "nostr", "noffer", "ndebit", "nmanage")


class PriceType(IntEnum):
    """The kind of an offer's price; the value is that on the wire."""

    FIXED = 0
    VARIABLE = 1
    SPONTANEOUS = 2


@dataclass(frozen=True, slots=True)
class Noffer:
    """A static payment code. ``pubkey`` is the service in hex; the first relay is the preferred one.

    ``price_sats`` is None where only the service knows the price. ``fiat_price`` is a price in ``currency`` that older
    codes carry: for display only, never an amount of satoshis, and never written. ``left_out`` are texts in a code that
    stand in place of a relay and are none.
    """

    pubkey: str
    relays: tuple[str, ...]
    offer: str
    price_type: PriceType = PriceType.SPONTANEOUS
    price_sats: int | None = None
    currency: str | None = None
    fiat_price: int | None = None
    left_out: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Ndebit:
    """The place to ask for debits. With ``k1`` (64 hex digits) it is a session: shown once, never published."""

    pubkey: str
    relays: tuple[str, ...]
    pointer: str | None = None
    k1: str | None = None
    left_out: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Nmanage:
    """The place to manage offers."""

    pubkey: str
    relays: tuple[str, ...]
    pointer: str | None = None
    left_out: tuple[str, ...] = field(default=(), compare=False)


Pointer = Noffer | Ndebit | Nmanage


def decode(text: str) -> Pointer:
    """Read a pointer in any form that :func:`normalise_input` knows; of a ``bitcoin:`` link the first that can be read.
    Raises CodecError."""
    first_error: CodecError | None = None
    for bare in _bare(text):
        try:
            return _read(bare)
        except CodecError as error:
            first_error = first_error or error
    raise first_error or CodecError("the bitcoin: link carries no noffer code")


def _read(text: str) -> Pointer:
    hrp, data = bech32.decode(text, limit=MAX_LENGTH)
    if hrp not in {"noffer", "ndebit", "nmanage"}:
        raise CodecError("this is no noffer, ndebit or nmanage code")
    values, relays, left_out = _collect(data)
    key = values.get(_KEY, b"")
    if len(key) != 32 or not secp.is_valid_public(key):
        raise CodecError("the code does not carry a valid service key")
    name = tlv.text(values.get(_ID, b"")) or None
    if hrp == "noffer":
        return _read_offer(key.hex(), relays, name, values, left_out)
    if hrp == "ndebit":
        return Ndebit(key.hex(), relays, name, _read_k1(values.get(_TYPE_OR_K1)), left_out)
    return Nmanage(key.hex(), relays, name, left_out)


def encode(pointer: Pointer) -> str:
    """The only form that is printed: lower case, types descending. Raises CodecError.

    A price beyond 32 bits is left out: the service names it.
    """
    if isinstance(pointer, Noffer):
        return _write("noffer", pointer, pointer.offer, _offer_parts(pointer))
    if isinstance(pointer, Ndebit):
        session = [] if pointer.k1 is None else [(_TYPE_OR_K1, hex32(pointer.k1))]
        return _write("ndebit", pointer, pointer.pointer, session)
    return _write("nmanage", pointer, pointer.pointer, [])


def normalise_input(text: str) -> str:
    """The bare pointer in pasted text, out of ``lightning:``, ``nostr:``, ``noffer:``… or a ``bitcoin:`` link.

    Upper case becomes lower case, mixed case stays (and is refused later). Raises CodecError for a link without one.
    """
    found = _bare(text)
    if not found:
        raise CodecError("the bitcoin: link carries no noffer code")
    return found[0]


def _bare(text: str) -> list[str]:
    bare = tidy(text)
    return [_unwrap(value) for value in bip321_values(bare, "noffer")] if is_bip321(bare) else [_unwrap(bare)]


def _unwrap(text: str) -> str:
    text = text.strip()
    scheme, separator, rest = text.partition(":")
    if separator and scheme.lower() in _SCHEMES:
        text = rest.removeprefix("//").strip()
    return text.lower() if text.isupper() else text


def _collect(data: bytes) -> tuple[dict[int, bytes], tuple[str, ...], tuple[str, ...]]:
    """Single values, relays, and what stands in place of a relay."""
    values: dict[int, bytes] = {}
    named: list[str] = []
    for kind, value in tlv.decode(data):
        if kind == _RELAY:
            named.append(value.decode(errors="surrogateescape"))
        elif kind in values:
            raise CodecError("the code carries something twice")
        else:
            values[kind] = value
    relays, left_out = usable_relays(named, len(named))
    if named and not relays:
        require_relay_url(named[0])
    return values, relays, left_out


def _read_offer(
    key: str, relays: tuple[str, ...], name: str | None, values: dict[int, bytes], left_out: tuple[str, ...]
) -> Noffer:
    if name is None:
        raise CodecError("the code does not name its offer")
    currency, price = _read_currency(values.get(_CURRENCY)), _read_price(values.get(_PRICE))
    price_type = _read_type(values.get(_TYPE_OR_K1), has_price=_PRICE in values, has_currency=currency is not None)
    if currency is not None:
        if price_type is not PriceType.VARIABLE:
            raise CodecError("only an offer with a variable price can name a currency")
        return Noffer(key, relays, name, price_type, None, currency, price, left_out)
    if price is not None and price > _MAX_PRICE_SATS:
        raise CodecError("the price is beyond all bitcoin")
    return Noffer(key, relays, name, price_type, price, left_out=left_out)


def _read_type(value: bytes | None, *, has_price: bool, has_currency: bool) -> PriceType:
    if value is None:  # codes of 2024; Zeus guesses the same
        if has_currency:
            return PriceType.VARIABLE
        return PriceType.FIXED if has_price else PriceType.SPONTANEOUS
    if len(value) != 1 or value[0] > PriceType.SPONTANEOUS:
        raise CodecError("the code has an unknown kind of price")
    return PriceType(value[0])


def _read_price(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not 1 <= len(value) <= _READ_PRICE_BYTES:
        raise CodecError("the price in the code does not have 1 to 8 bytes")
    return int.from_bytes(value, "big") or None  # peers write 0 for "not set"


def _read_currency(value: bytes | None) -> str | None:
    if value is None:
        return None
    code = tlv.text(value).upper()
    if not _CURRENCY_CODE.fullmatch(code):
        raise CodecError("the currency in the code is not a currency code")
    return code


def _read_k1(value: bytes | None) -> str | None:
    if value is not None and len(value) != 32:
        raise CodecError("the session secret in the code does not have 32 bytes")
    return None if value is None else value.hex()


def _write(hrp: str, pointer: Pointer, name: str | None, first: Sequence[tuple[int, bytes]]) -> str:
    key = hex32(pointer.pubkey)
    if not secp.is_valid_public(key):
        raise CodecError("the service key is not a point of the curve")
    if not 1 <= len(pointer.relays) <= MAX_RELAYS:
        raise CodecError(f"a code names 1 to {MAX_RELAYS} relays")
    parts = list(first)
    if name:
        parts.append((_ID, _utf8(name)))
    parts.extend((_RELAY, _utf8(require_relay_url(relay))) for relay in pointer.relays)
    parts.append((_KEY, key))
    return bech32.encode(hrp, tlv.encode(parts), limit=MAX_LENGTH)


def _offer_parts(offer: Noffer) -> list[tuple[int, bytes]]:
    """Currency, price and type, as far as they are written."""
    parts: list[tuple[int, bytes]] = []
    if not offer.offer:
        raise CodecError("an offer needs an id")
    if offer.currency is not None:
        if offer.price_type is not PriceType.VARIABLE or offer.price_sats is not None:
            raise CodecError("an offer in a currency has a variable price, which the service names")
        if not _CURRENCY_CODE.fullmatch(offer.currency):
            raise CodecError("a currency is written as a code such as USD")
        parts.append((_CURRENCY, offer.currency.encode()))
    if offer.price_sats is not None:
        if offer.price_type is PriceType.SPONTANEOUS or not 1 <= offer.price_sats <= _MAX_PRICE_SATS:
            raise CodecError("a spontaneous offer has no price, any other one of at least 1 sat")
        if offer.price_sats < 1 << 8 * _WRITTEN_PRICE_BYTES:
            parts.append((_PRICE, offer.price_sats.to_bytes(_WRITTEN_PRICE_BYTES, "big")))
    parts.append((_TYPE_OR_K1, bytes((offer.price_type,))))
    return parts


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise CodecError("a part of the code is not valid text") from None
