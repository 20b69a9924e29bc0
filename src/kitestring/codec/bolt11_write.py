"""Signed BOLT #11 invoices, for a node that makes its own: the sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_MSAT, MAX_WHOLE, Msat
from kitestring.codec import bech32
from kitestring.codec.bolt11 import (
    DEFAULT_EXPIRY_S,
    DEFAULT_MIN_FINAL_CLTV,
    MAX_DESCRIPTION_BYTES,
    MAX_INVOICE_LENGTH,
    PAYMENT_SECRET,
    PREFIXES,
    VAR_ONION,
    RouteHop,
)
from kitestring.crypto import secp

#: A field carries at most 1,023 symbols of 5 bits.
MAX_ROUTE_HOPS: Final = 12

#: Tenths of a millisatoshi per unit, the largest first: the shortest form is written.
_UNITS: Final = (("", 10**12), ("m", 10**9), ("u", 10**6), ("n", 10**3), ("p", 1))


def encode(
    *,
    network: str,
    timestamp: int,
    payment_hash: str,
    payment_secret: str,
    secret32: bytes,
    amount_msat: Msat | None = None,
    description: str | None = None,
    description_hash: str | None = None,
    expiry_s: int = DEFAULT_EXPIRY_S,
    min_final_cltv: int = DEFAULT_MIN_FINAL_CLTV,
    features: Iterable[int] = (VAR_ONION, PAYMENT_SECRET),
    route_hints: Sequence[Sequence[RouteHop]] = (),
    metadata: bytes | None = None,
    name_payee: bool = False,
) -> str:
    """An invoice signed with the node key ``secret32``; hashes and secrets are 64 hex digits.

    Exactly one of ``description`` and ``description_hash`` is given. ``name_payee`` writes the node key into the text.
    Raises CodecError.
    """
    if (description is None) == (description_hash is None):
        raise CodecError("an invoice needs either a description or the hash of one")
    if not 0 <= timestamp < 1 << 35:
        raise CodecError("the time does not fit an invoice")
    fields = [
        _field("s", _hash_bytes(payment_secret)),
        _field("p", _hash_bytes(payment_hash)),
        _described(description, description_hash),
    ]
    if metadata is not None:
        fields.append(_field("m", metadata))
    if expiry_s != DEFAULT_EXPIRY_S:
        fields.append(_integer_field("x", expiry_s))
    if min_final_cltv != DEFAULT_MIN_FINAL_CLTV:
        fields.append(_integer_field("c", min_final_cltv))
    if name_payee:
        fields.append(_field("n", secp.compressed_public(secret32)))
    fields.extend(_field("r", _route(hops)) for hops in route_hints)
    fields.append(_integer_field("9", sum(1 << bit for bit in set(features)), limit=1 << 640))
    return _sign(_prefix(network, amount_msat), _symbols(timestamp, 7) + b"".join(fields), secret32)


def _sign(hrp: str, signed: bytes, secret32: bytes) -> str:
    value = 0
    for symbol in signed:
        value = value << 5 | symbol
    size = -(-5 * len(signed) // 8)
    data = (value << 8 * size - 5 * len(signed)).to_bytes(size, "big")
    signature, recovery_id = secp.ecdsa_sign_recoverable(secret32, sha256(hrp.encode() + data).digest())
    symbols = _symbols(int.from_bytes(signature + bytes((recovery_id,)), "big"), 104)
    return bech32.encode_symbols(hrp, signed + symbols, limit=MAX_INVOICE_LENGTH)


def _prefix(network: str, amount_msat: Msat | None) -> str:
    if network not in PREFIXES:
        raise CodecError(f"the network must be one of {', '.join(PREFIXES)}")
    if amount_msat is None:
        return f"ln{PREFIXES[network]}"
    if not 1 <= amount_msat <= MAX_MSAT:
        raise CodecError("the amount of an invoice is between 1 millisatoshi and all bitcoin")
    tenths = int(amount_msat) * 10
    unit, size = next((unit, size) for unit, size in _UNITS if tenths % size == 0)
    return f"ln{PREFIXES[network]}{tenths // size}{unit}"


def _described(description: str | None, description_hash: str | None) -> bytes:
    if description_hash is not None:
        return _field("h", _hash_bytes(description_hash))
    try:
        data = (description or "").encode()
    except UnicodeEncodeError:
        raise CodecError("the description is not valid text") from None
    if len(data) > MAX_DESCRIPTION_BYTES:
        raise CodecError(f"the description has more than {MAX_DESCRIPTION_BYTES} bytes")
    return _field("d", data)


def _route(hops: Sequence[RouteHop]) -> bytes:
    if not 1 <= len(hops) <= MAX_ROUTE_HOPS:
        raise CodecError(f"a route has 1 to {MAX_ROUTE_HOPS} hops")
    try:
        return b"".join(map(_hop, hops))
    except (ValueError, OverflowError):
        raise CodecError("a hop of the route has a value that does not fit") from None


def _hop(hop: RouteHop) -> bytes:
    block, index, output = (int(part) for part in hop.short_channel_id.split("x"))
    public = bytes.fromhex(hop.pubkey)
    if len(public) != 33:
        raise ValueError("a node key has 33 bytes")
    numbers = (
        (block, 3),
        (index, 3),
        (output, 2),
        (int(hop.fee_base_msat), 4),
        (hop.fee_proportional_millionths, 4),
        (hop.cltv_expiry_delta, 2),
    )
    return public + b"".join(number.to_bytes(size, "big") for number, size in numbers)


def _hash_bytes(text: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != 32 or len(text) != 64:
        raise CodecError("a hash or secret of an invoice is 64 hex digits")
    return data


def _field(letter: str, data: bytes) -> bytes:
    length = -(-8 * len(data) // 5)
    return _tagged(letter, _symbols(int.from_bytes(data, "big") << 5 * length - 8 * len(data), length))


def _integer_field(letter: str, value: int, *, limit: int = MAX_WHOLE) -> bytes:
    if not 0 <= value <= limit:
        raise CodecError("a number of the invoice is out of range")
    return _tagged(letter, _symbols(value, -(-value.bit_length() // 5)))


def _tagged(letter: str, symbols: bytes) -> bytes:
    if len(symbols) > 1023:
        raise CodecError("a field of the invoice is too long")
    return bytes((bech32.CHARSET.index(letter), len(symbols) >> 5, len(symbols) & 31)) + symbols


def _symbols(value: int, length: int) -> bytes:
    """``value`` as ``length`` symbols of 5 bits, the highest first."""
    return bytes(value >> shift & 31 for shift in range(5 * (length - 1), -1, -5))
