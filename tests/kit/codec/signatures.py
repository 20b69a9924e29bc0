"""Invoices with signatures that no key can have made, each otherwise whole."""

from __future__ import annotations

from collections.abc import Iterator

from kitestring.codec import bech32
from kitestring.codec.bolt11 import MAX_INVOICE_LENGTH, _digest
from kitestring.crypto import secp

ORDER = secp.ORDER
_SIGNATURE_SYMBOLS = 104
_DIGITS = b"0123456789abcdefghijklmnopqrstuv"


def unsigned(text: str) -> Iterator[tuple[str, str]]:
    """(name of the fault, invoice) for an invoice that does not name its payee: nobody's key can be recovered."""
    hrp, digits, _ = bech32.decode_digits(text, limit=MAX_INVOICE_LENGTH)
    data, signature = digits[:-_SIGNATURE_SYMBOLS], int(digits[-_SIGNATURE_SYMBOLS:], 32).to_bytes(65, "big")
    r, s, recovery_id = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
    # From the point k·G and this s the key at infinity follows, which is none.
    k = 7
    point = secp.compressed_public(k.to_bytes(32, "big"))
    s_of_infinity = int.from_bytes(_digest(hrp, data)) * pow(k, -1, ORDER) % ORDER
    faults = {
        "r is not on the curve": (_off_the_curve(), s, 0),
        "recovery id 2 with an r that has no second point": (r, s, 2),
        "recovery id 3 with an r that has no second point": (r, s, 3),
        "recovery id 2 with a second point that is not on the curve": (_off_the_curve(ORDER), s, 2),
        "r = 0": (0, s, recovery_id),
        "s = 0": (r, 0, recovery_id),
        "all zero": (0, 0, 0),
        "r is the order of the group": (ORDER, s, recovery_id),
        "s is the order of the group": (r, ORDER, recovery_id),
        "the key would be the point at infinity": (int.from_bytes(point[1:]), s_of_infinity, point[0] & 1),
        "recovery id 4": (r, s, 4),
        "recovery id 27": (r, s, 27),
        "all ones": (2**256 - 1, 2**256 - 1, 255),
    }
    for name, numbers in faults.items():
        yield name, _with_signature(hrp, data, *numbers)


def not_of_the_payee(text: str) -> Iterator[tuple[str, str]]:
    """The same for an invoice that names its payee: not a signature of that node."""
    hrp, digits, _ = bech32.decode_digits(text, limit=MAX_INVOICE_LENGTH)
    data, signature = digits[:-_SIGNATURE_SYMBOLS], int(digits[-_SIGNATURE_SYMBOLS:], 32).to_bytes(65, "big")
    r, s, recovery_id = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
    faults = {
        "signed by another node": (r, (s + 1) % ORDER, recovery_id),
        "r is not on the curve": (_off_the_curve(), s, recovery_id),
        "r = 0": (0, s, recovery_id),
        "s = 0": (r, 0, recovery_id),
        "all ones": (2**256 - 1, 2**256 - 1, 255),
    }
    for name, numbers in faults.items():
        yield f"payee named, {name}", _with_signature(hrp, data, *numbers)


def _off_the_curve(above: int = 0) -> int:
    """The smallest number that, ``above`` added, is the x of no point."""
    return next(x for x in range(1, 1_000) if not secp.is_valid_public((x + above).to_bytes(32, "big")))


def _with_signature(hrp: str, data: bytes, r: int, s: int, recovery_id: int) -> str:
    value = (r << 256 | s) << 8 | recovery_id
    symbols = bytes(value >> shift & 31 for shift in range(5 * (_SIGNATURE_SYMBOLS - 1), -1, -5))
    signed = bytes(_DIGITS.index(digit) for digit in data)
    return bech32.encode_symbols(hrp, signed + symbols, limit=MAX_INVOICE_LENGTH)
