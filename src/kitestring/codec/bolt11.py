"""BOLT #11 invoices: read strictly, written for the sandbox node.

Reading follows the requirement text where it contradicts its own examples (fields of wrong length and a repeated
payment hash are refused). Whether an invoice may be paid *now and here*, and how much is paid, are separate questions:
:func:`check_payable`, :func:`amount_to_pay`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_MSAT, MAX_WHOLE, Msat
from kitestring.codec import bech32
from kitestring.codec.pasted import tidy
from kitestring.crypto import secp

DEFAULT_EXPIRY_S: Final = 3600
DEFAULT_MIN_FINAL_CLTV: Final = 18
#: The limit of lnd, so that nothing longer travels; 4,296 characters fit a QR code.
MAX_INVOICE_LENGTH: Final = 7_089
#: A field carries at most 1,023 symbols of 5 bits.
MAX_DESCRIPTION_BYTES: Final = 639

PREFIXES: Final[Mapping[str, str]] = {"bitcoin": "bc", "testnet": "tb", "signet": "tbs", "regtest": "bcrt"}
NETWORKS: Final[Mapping[str, str]] = {prefix: network for network, prefix in PREFIXES.items()}

#: Even feature bits whose meaning a payer has to know (BOLT #9): onion format 8, payment secret 14, multi-part 16,
#: route blinding 24, attribution data 36, payment metadata 48.
KNOWN_EVEN_FEATURES: Final = frozenset({8, 14, 16, 24, 36, 48})
#: The features that every invoice written here demands.
VAR_ONION: Final = 8
PAYMENT_SECRET: Final = 14

_HRP: Final = re.compile(r"ln(bcrt|bc|tbs|tb)(?:([1-9][0-9]{0,19})([munp]?))?", re.ASCII)
#: Tenths of a millisatoshi per unit, so that the pico multiplier is whole.
_UNITS: Final = {"": 10**12, "m": 10**9, "u": 10**6, "n": 10**3, "p": 1}
_TIMESTAMP_LENGTH: Final = 7
_SIGNATURE_LENGTH: Final = 104
_MAX_FIELD_LENGTH: Final = 1023
_MAX_RECOVERY_ID: Final = 3
_HOP_LENGTH: Final = 51
_UNKNOWN_EVEN: Final = sum(1 << bit for bit in range(0, 5 * _MAX_FIELD_LENGTH, 2) if bit not in KNOWN_EVEN_FEATURES)


class RouteHop(NamedTuple):
    """One hop of a private route; ``short_channel_id`` is written ``block x transaction x output``."""

    pubkey: str
    short_channel_id: str
    fee_base_msat: Msat
    fee_proportional_millionths: int
    cltv_expiry_delta: int


class Fallback(NamedTuple):
    """An on-chain address as carried: the witness version (17 P2PKH, 18 P2SH) and the program in hex."""

    version: int
    program: str


class DecodedInvoice(msgspec.Struct, frozen=True, gc=False):
    """A checked invoice. Hashes, keys and secrets are lower-case hex, times are Unix seconds.

    ``payee`` is the compressed node key, None only if it was neither named nor asked to be recovered. ``text`` is the
    normalised form: lower case, without a scheme.
    """

    text: str
    network: str
    amount_msat: Msat | None
    timestamp: int
    payment_hash: str
    payment_secret: str
    description: str | None = None
    description_hash: str | None = None
    expiry_s: int = DEFAULT_EXPIRY_S
    min_final_cltv: int = DEFAULT_MIN_FINAL_CLTV
    payee: str | None = None
    features: tuple[int, ...] = ()
    route_hints: tuple[tuple[RouteHop, ...], ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    metadata: str | None = None

    @property
    def expires_at(self) -> int:
        """The first second at which the invoice must not be paid any more."""
        return self.timestamp + self.expiry_s


def check_payable(invoice: DecodedInvoice, *, now: int, network: str, min_left_s: int = 0) -> Reason | None:
    """The error that keeps this invoice from being paid here and now, or None.

    WRONG_NETWORK, or EXPIRED_INVOICE also when it has less than ``min_left_s`` seconds left.
    """
    if invoice.network != network:
        return Reason.WRONG_NETWORK
    if invoice.expires_at - now <= max(min_left_s, 0):
        return Reason.EXPIRED_INVOICE
    return None


def amount_to_pay(invoice: DecodedInvoice, given_msat: Msat | None) -> Msat:
    """The amount that is paid for this invoice: its own, or ``given_msat`` where it names none.

    Raises KitestringError: MALFORMED when nobody names an amount, AMOUNT_OUT_OF_RANGE when the two differ.
    """
    written = invoice.amount_msat
    if written is None:
        if given_msat is None or given_msat <= 0:
            raise KitestringError(Reason.MALFORMED, "this invoice has no amount: say how much to pay")
        return given_msat
    if given_msat not in (None, written):
        raise KitestringError(
            Reason.AMOUNT_OUT_OF_RANGE, f"this invoice asks for {written}, not for {given_msat}: leave the amount out"
        )
    return written


def decode(text: str, *, recover: bool = True) -> DecodedInvoice:
    """Read an invoice, in upper or lower case, with or without ``lightning:``. Raises CodecError.

    A signature is always checked against a named payee; otherwise the payee is recovered from it (the
    expensive half of the work), unless ``recover`` is false: then a signature that no key can have made passes.
    """
    normalised = normalise(text)
    hrp, digits, _ = bech32.decode_digits(normalised, limit=MAX_INVOICE_LENGTH)
    network, amount_msat = _read_prefix(hrp)
    if len(digits) < _TIMESTAMP_LENGTH + _SIGNATURE_LENGTH:
        raise CodecError("the invoice is too short")
    signed = digits[:-_SIGNATURE_LENGTH]
    fields = _read_fields(signed)
    hints, fallbacks = fields.pop("route_hints", ()), fields.pop("fallbacks", ())
    return DecodedInvoice(
        normalised,
        network,
        amount_msat,
        int(signed[:_TIMESTAMP_LENGTH], 32),
        payee=_check_signature(hrp, signed, digits[-_SIGNATURE_LENGTH:], fields.pop("payee", None), recover),
        route_hints=tuple(hints),
        fallbacks=tuple(fallbacks),
        **fields,
    )


def normalise(text: str) -> str:
    """Lower case, without ``lightning:`` and without what pasting leaves. Mixed case stays, to be refused."""
    text = text.strip() if text.isascii() and "\n" not in text and "\r" not in text else tidy(text)
    if text[:10].lower() == "lightning:":
        text = text[10:].removeprefix("//")
    return text.lower() if text.isupper() else text


def _read_prefix(hrp: str) -> tuple[str, Msat | None]:
    match = _HRP.fullmatch(hrp)
    if match is None:
        raise CodecError("this is no invoice: the prefix or the amount is not valid")
    prefix, number, unit = match.groups()
    if number is None:
        return NETWORKS[prefix], None
    amount, rest = divmod(int(number) * _UNITS[unit], 10)
    if rest or amount > MAX_MSAT:
        raise CodecError("the amount of the invoice is finer than a millisatoshi or beyond all bitcoin")
    return NETWORKS[prefix], Msat(amount)


def _read_fields(signed: bytes) -> dict[str, Any]:
    """The tagged fields. The first of a kind counts, except that a second payment hash is refused."""
    fields: dict[str, Any] = {}
    position, end = _TIMESTAMP_LENGTH, len(signed)
    while position < end:
        start = position + 3
        if start > end or (stop := start + int(signed[position + 1 : start], 32)) > end:
            raise CodecError("the invoice ends in the middle of a field")
        field = _FIELDS.get(signed[position])
        position = stop
        if field is None:
            continue
        name, read = field
        value = read(signed[start:stop])
        if name in _REPEATABLE:
            fields.setdefault(name, []).append(value)
        elif name not in fields:
            fields[name] = value
        elif name == "payment_hash":
            raise CodecError("the invoice has more than one payment hash")
    if "payment_hash" not in fields or "payment_secret" not in fields:
        raise CodecError("the invoice lacks its payment hash or payment secret")
    if ("description" in fields) == ("description_hash" in fields):
        raise CodecError("the invoice must have either a description or the hash of one")
    return fields


def _check_signature(hrp: str, signed: bytes, digits: bytes, payee: str | None, recover: bool) -> str | None:
    signature = int(digits, 32).to_bytes(65, "big")
    compact, recovery_id = signature[:64], signature[64]
    if payee is None and recovery_id > _MAX_RECOVERY_ID:  # lnd takes some of these for others
        raise CodecError("the signature is not a recoverable one")
    if payee is None and not recover:
        return None
    digest = _digest(hrp, signed)
    if payee is None:
        return secp.ecdsa_recover(digest, compact, recovery_id).hex()
    if not secp.is_low_s(compact) or not secp.ecdsa_verify(bytes.fromhex(payee), digest, compact):
        raise CodecError("the signature is not that of the node which the invoice names")
    return payee


def _digest(hrp: str, signed: bytes) -> bytes:
    """The hash that is signed: of the prefix and the data, filled with zero bits to whole bytes."""
    size = -(-5 * len(signed) // 8)
    data = int(signed, 32) << 8 * size - 5 * len(signed)
    return sha256(hrp.encode() + data.to_bytes(size, "big")).digest()


def _read_bytes(digits: bytes) -> bytes:
    size, padding = divmod(5 * len(digits), 8)
    return (int(digits, 32) >> padding).to_bytes(size, "big") if digits else b""


def _read_hex(digits: bytes) -> str:
    return _read_bytes(digits).hex()


def _read_hash(digits: bytes) -> str:
    if len(digits) != 52:
        raise CodecError("a hash or secret in the invoice does not have 256 bits")
    return _read_hex(digits)


def _read_payee(digits: bytes) -> str:
    if len(digits) != 53:
        raise CodecError("the node key in the invoice does not have 264 bits")
    return _read_hex(digits)


def _read_text(digits: bytes) -> str:
    try:
        return _read_bytes(digits).decode()
    except UnicodeDecodeError:
        raise CodecError("the description of the invoice is not valid text") from None


def _read_integer(digits: bytes) -> int:
    value = int(digits, 32) if digits else 0
    if value > MAX_WHOLE:
        raise CodecError("the invoice has a time or count beyond 2^53")
    return value


def _read_features(digits: bytes) -> tuple[int, ...]:
    value = int(digits, 32) if digits else 0
    if value & _UNKNOWN_EVEN:
        raise CodecError("the invoice demands a feature that is not known here")
    bits: list[int] = []
    while value:
        lowest = value & -value
        bits.append(lowest.bit_length() - 1)
        value ^= lowest
    return tuple(bits)


def _read_fallback(digits: bytes) -> Fallback:
    if not digits:
        raise CodecError("an on-chain address in the invoice is empty")
    return Fallback(int(digits[:1], 32), _read_hex(digits[1:]))


def _read_route(digits: bytes) -> tuple[RouteHop, ...]:
    data = _read_bytes(digits)
    if not data or len(data) % _HOP_LENGTH:
        raise CodecError("a route in the invoice is cut off")
    return tuple(_read_hop(data[start : start + _HOP_LENGTH]) for start in range(0, len(data), _HOP_LENGTH))


def _read_hop(data: bytes) -> RouteHop:
    block, index, output = (int.from_bytes(part, "big") for part in (data[33:36], data[36:39], data[39:41]))
    return RouteHop(
        data[:33].hex(),
        f"{block}x{index}x{output}",
        Msat(int.from_bytes(data[41:45], "big")),
        int.from_bytes(data[45:49], "big"),
        int.from_bytes(data[49:51], "big"),
    )


_READERS: Final[dict[str, tuple[str, Callable[[bytes], Any]]]] = {
    "p": ("payment_hash", _read_hash),
    "s": ("payment_secret", _read_hash),
    "d": ("description", _read_text),
    "h": ("description_hash", _read_hash),
    "x": ("expiry_s", _read_integer),
    "c": ("min_final_cltv", _read_integer),
    "n": ("payee", _read_payee),
    "9": ("features", _read_features),
    "r": ("route_hints", _read_route),
    "f": ("fallbacks", _read_fallback),
    "m": ("metadata", _read_hex),
}
_REPEATABLE: Final = frozenset({"route_hints", "fallbacks"})
#: By the base-32 digit that stands for the type.
_FIELDS: Final = {bech32.digit(letter): reader for letter, reader in _READERS.items()}
