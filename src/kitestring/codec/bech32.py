"""Bech32 (BIP-173) and Bech32m (BIP-350) without the 90-character rule, which NIP-19, CLINK, LNURL and BOLT #11 lift.

The checksum is linear over GF(2): every checksum bit is the parity of a fixed selection of message bits. So a string
is read as one big integer, and the 30 parities are 30 times AND and ``bit_count``; it is written by moving the halves,
quarters, eighths … of the integer apart until each symbol has a byte of its own: no loop over characters.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache, lru_cache
from typing import Final, NamedTuple

from kitestring.base.errors import CodecError

CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
#: Longer than any string a person can paste or a QR code can hold (4,296 characters); NIP-19 itself advises 5,000.
MAX_LENGTH: Final = 8_000
#: BIP-173.
MAX_HRP_LENGTH: Final = 83

_CHECKSUM_LENGTH: Final = 6
_DIGITS: Final = b"0123456789abcdefghijklmnopqrstuv"  # what int(…, 32) reads
_REFUSED: Final = b"!"  # no digit, and neither "_" nor a sign, which int() would let pass
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
#: x^1023 = 1 modulo the generator: the contribution of a symbol repeats after so many positions.
_PERIOD: Final = 1023
_TO_DIGITS: Final = bytes(_DIGITS[CHARSET.index(chr(c))] if chr(c) in CHARSET else _REFUSED[0] for c in range(256))
_TO_CHARSET: Final = CHARSET.encode().ljust(256)  # of symbols, which are below 32
_DIGITS_TO_SYMBOLS: Final = bytes.maketrans(_DIGITS, bytes(range(32)))
_SYMBOLS_TO_DIGITS: Final = bytes(_DIGITS[s] if s < 32 else _REFUSED[0] for s in range(256))


class Variant(IntEnum):
    """The two checksums; the value is the constant that the checksum equation ends in."""

    BECH32 = 1
    BECH32M = 0x2BC830A3


class Digits(NamedTuple):
    """A checked string: ``digits`` are the data symbols as ASCII digits of base 32, so ``int(part, 32)`` reads them."""

    hrp: str
    digits: bytes
    variant: Variant


def decode(text: str, *, variant: Variant = Variant.BECH32, limit: int = MAX_LENGTH) -> tuple[str, bytes]:
    """The prefix in lower case and the data as bytes. Raises CodecError, also for non-zero padding bits."""
    hrp, digits, _ = decode_digits(text, variant=variant, limit=limit)
    return hrp, digits_to_bytes(digits)


def decode_symbols(text: str, *, variant: Variant = Variant.BECH32, limit: int = MAX_LENGTH) -> tuple[str, bytes]:
    """The prefix in lower case and the data as 5-bit symbols, one per byte. Raises CodecError."""
    hrp, digits, _ = decode_digits(text, variant=variant, limit=limit)
    return hrp, digits.translate(_DIGITS_TO_SYMBOLS)


def decode_digits(text: str, *, variant: Variant | None = Variant.BECH32, limit: int = MAX_LENGTH) -> Digits:
    """Check a string without converting its data. ``variant=None`` accepts both checksums. Raises CodecError."""
    if len(text) > min(limit, MAX_LENGTH):
        raise CodecError(f"the code is longer than {min(limit, MAX_LENGTH)} characters")
    lower = text.lower()
    if not text.isascii():  # str.lower() would turn the Kelvin sign into a k
        raise CodecError("the code has a character that no code has: copy it again")
    if text not in (lower, text.upper()):
        raise CodecError("the code mixes upper and lower case: copy it again")
    hrp, separator, data = lower.rpartition("1")
    if not separator or not hrp or len(hrp) > MAX_HRP_LENGTH:
        raise CodecError("this is no code: one begins like npub1…, noffer1… or lnbc1…")
    if len(data) < _CHECKSUM_LENGTH:
        raise CodecError("the code is cut off: copy all of it")
    try:
        digits = data.encode().translate(_TO_DIGITS)
        value = int(digits, 32)
    except ValueError:
        raise CodecError("the code has a character that no code has: copy it again") from None
    found = _VARIANTS.get(_checksum(_prefix_value(hrp) << 5 * len(data) | value))
    if found is None or (variant is not None and found is not variant):
        raise CodecError("the checksum is wrong: a character is missing or mistyped")
    return Digits(hrp, digits[:-_CHECKSUM_LENGTH], found)


def digit(letter: str) -> int:
    """The byte that stands for one bech32 character in :class:`Digits`."""
    return _DIGITS[CHARSET.index(letter)]


def digits_to_bytes(digits: bytes) -> bytes:
    """Whole bytes of base-32 digits, at most 4 zero bits left over. Raises CodecError for other padding."""
    size, padding = divmod(5 * len(digits), 8)
    value = int(digits, 32) if digits else 0
    if padding > 4 or value & ((1 << padding) - 1):
        raise CodecError("the padding is not zero or too long")
    return (value >> padding).to_bytes(size, "big")


def encode(hrp: str, data: bytes, *, variant: Variant = Variant.BECH32, limit: int = MAX_LENGTH) -> str:
    """``data`` as lower-case text. Raises CodecError for a bad prefix or beyond ``limit`` characters."""
    length = -(-8 * len(data) // 5)
    return _encode(hrp, int.from_bytes(data, "big") << 5 * length - 8 * len(data), length, variant, limit)


def encode_symbols(hrp: str, symbols: bytes, *, variant: Variant = Variant.BECH32, limit: int = MAX_LENGTH) -> str:
    """5-bit symbols, one per byte, as lower-case text. Raises CodecError."""
    try:
        value = int(symbols.translate(_SYMBOLS_TO_DIGITS), 32) if symbols else 0
    except ValueError:
        raise CodecError("a symbol has more than 5 bits") from None
    return _encode(hrp, value, len(symbols), variant, limit)


def _encode(hrp: str, value: int, length: int, variant: Variant, limit: int) -> str:
    if not 1 <= len(hrp) <= MAX_HRP_LENGTH or hrp != hrp.lower():
        raise CodecError("the prefix must be 1 to 83 lower-case characters")
    total = length + _CHECKSUM_LENGTH
    if len(hrp) + 1 + total > min(limit, MAX_LENGTH):
        raise CodecError(f"the text would be longer than {min(limit, MAX_LENGTH)} characters")
    value <<= 5 * _CHECKSUM_LENGTH
    value |= _checksum(_prefix_value(hrp) << 5 * total | value) ^ variant
    for shift, upper_halves in _halvings((total - 1).bit_length()):
        upper = value & upper_halves
        value ^= upper ^ upper << shift
    return f"{hrp}1{value.to_bytes(total, 'big').translate(_TO_CHARSET).decode()}"


@cache
def _halvings(doublings: int) -> tuple[tuple[int, int], ...]:
    """The steps that spread 2 ** ``doublings`` symbols of 5 bits over as many bytes: how far the upper half of each
    block moves up, and a mask of these halves, for blocks of all symbols first and of two at last."""
    steps: list[tuple[int, int]] = []
    for power in range(doublings, 0, -1):
        half = 1 << power - 1
        upper = (1 << 5 * half) - 1 << 5 * half
        steps.append((3 * half, sum(upper << 16 * half * block for block in range(1 << doublings - power))))
    return tuple(steps)


@lru_cache(maxsize=256)  # prefixes of invoices carry amounts, so there are many; the common ones stay
def _prefix_value(hrp: str) -> int:
    """The symbols that stand before the data in the checksum: 1, the high bits, 0, the low bits of the prefix."""
    codes = hrp.encode()
    if min(codes) < 33 or max(codes) > 126:
        raise CodecError("the prefix has characters that do not occur in bech32")
    value = 1
    for symbol in (*(c >> 5 for c in codes), 0, *(c & 31 for c in codes)):
        value = value << 5 | symbol
    return value


def _checksum(value: int) -> int:
    """``value`` as a polynomial over GF(32), reduced by the generator: six symbols in 30 bits."""
    result = 0
    for mask in _masks():
        result = result << 1 | (value & mask).bit_count() & 1
    return result


@cache
def _masks() -> tuple[int, ...]:
    """For each of the 30 checksum bits, highest first, the message bits whose parity it is."""
    rows: list[int] = []  # what message bit n (lowest first) adds to the checksum
    powers = [1, 2, 4, 8, 16]
    for _ in range(_PERIOD):
        rows.extend(powers)
        powers = [_times_x(power) for power in powers]
    rows.reverse()
    repeats = -(-(MAX_LENGTH + 2 * MAX_HRP_LENGTH + 2) // _PERIOD)
    period = [int("".join(column), 2) for column in zip(*(f"{row:030b}" for row in rows), strict=True)]
    spread = sum(1 << 5 * _PERIOD * i for i in range(repeats))
    return tuple(mask * spread for mask in period)


def _times_x(value: int) -> int:
    """One step of the checksum register of BIP-173."""
    top = value >> 25
    value = (value & 0x1FFFFFF) << 5
    for i, term in enumerate(_GENERATOR):
        if top >> i & 1:
            value ^= term
    return value


_VARIANTS: Final[dict[int, Variant]] = {int(v): v for v in Variant}
