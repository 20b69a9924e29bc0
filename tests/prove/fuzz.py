"""Random spoiling of valid input, and input that grows: nothing but what is documented may be raised, and twice as much
input takes about twice as many steps.

Nothing here looks at a clock. Steps are lines of Python that are carried out; what one line does in C is not seen.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from types import FrameType
from typing import Any, Final

from tests.prove.parser import Parser

#: Pieces that mean something to somebody.
PIECES: Final = (
    b"", b"\x00", b"\xff", b"\x7f", b"[", b"{", b'{"a":', b'"', b"\\", b"\\u0000", b"\\ud800", b"%", b"%00", b"&a=b",
    b"?", b"#", b"//", b"@", b":", b"[::1", b"1", b"-1", b"0", b"1e309", b"18446744073709551616",
    b"99999999999999999999999", b"null", b"true", b" ", b"\n", b"q", b",", b"=", b"\xc2\xa0",
    b"\xe2\x80\xae", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80",
)  # fmt: skip
#: What is repeated when input grows.
GROWING: Final = (
    b"[", b"{", b'{"a":', b"\\", b'"', b"q", b"1", b" ", b",", b"\x7f", b"%41", b"&a=b", b"a.", b"/", b":", b"\\u0041",
    b"[1,", b'"a",', b"\n",
)  # fmt: skip
#: How long grown input is, in bytes, doubled twice.
SIZES: Final = (1_000, 2_000, 4_000)
#: Twice the input may take so many times the steps: quadratic work takes four times as many.
MOST_RATIO: Final = 3.0
#: Fewer steps than this say nothing.
FEW: Final = 500


class FuzzError(AssertionError):
    """A parser did what it must not do; the message has all that is needed to do it again."""


def spoilt(chance: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One seed after a few random changes."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        chance.choice(_CHANGES)(chance, data, seeds)
    return bytes(data[:100_000])


def _place(chance: random.Random, data: bytearray) -> int:
    return chance.randrange(len(data) + 1)


def _flip(chance: random.Random, data: bytearray, _: object) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _put(chance: random.Random, data: bytearray, _: object) -> None:
    at = _place(chance, data)
    data[at:at] = chance.choice(PIECES) * chance.choice((1, 1, 1, 5, 300))


def _cut(chance: random.Random, data: bytearray, _: object) -> None:
    start = _place(chance, data)
    del data[start : start + chance.choice((1, 4, 40))]


def _double(chance: random.Random, data: bytearray, _: object) -> None:
    start = _place(chance, data)
    piece = data[start : start + chance.choice((1, 8, 64))]
    data[start:start] = piece * chance.choice((1, 2, 50))


def _splice(chance: random.Random, data: bytearray, seeds: tuple[bytes, ...]) -> None:
    other = chance.choice(seeds)
    data[_place(chance, data) :] = other[chance.randrange(len(other) + 1) :]


def _number(chance: random.Random, data: bytearray, _: object) -> None:
    digits = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if digits:
        at = chance.choice(digits)
        data[at : at + 1] = chance.choice((b"-1", b"0", b"1.5", b"1e400", b"9" * 25, b"2147483648", b'"7"'))


_CHANGES: Final[tuple[Callable[[random.Random, bytearray, tuple[bytes, ...]], None], ...]] = (
    _flip, _flip, _put, _put, _cut, _double, _splice, _number,
)  # fmt: skip


def fuzz(parser: Parser, seed: int, inputs: int) -> int:
    """Try so many spoilt inputs, the same ones for the same seed. Raises FuzzError."""
    chance, seeds = random.Random(f"{parser.name} {seed}"), parser.seeds()
    for number in range(inputs):
        data = spoilt(chance, seeds)
        wrong = _wrong(parser, data)
        if wrong is not None:
            raise FuzzError(f"{parser.name}: seed {seed}, input {number}: {wrong!r} for {data[:200]!r}") from wrong
    return inputs


def _wrong(parser: Parser, data: bytes) -> BaseException | None:
    try:
        parser.call(data)
    except parser.raises:
        return None
    except Exception as wrong:  # noqa: BLE001 - this is what is looked for
        return wrong
    return None


def grown(parser: Parser) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    """Shapes of input that grow: a piece repeated alone, after a short input, and in the middle of a long one."""
    middle, short = max(parser.seeds(), key=len), min(parser.seeds(), key=len)
    half = len(middle) // 2
    around = {"alone": (b"", b""), "after": (short, b""), "inside": (middle[:half], middle[half:])}
    for piece in GROWING:
        for where, (before, behind) in around.items():
            yield f"{piece!r} {where}", partial(_repeated, before, piece, behind)


def _repeated(before: bytes, piece: bytes, behind: bytes, size: int) -> bytes:
    return before + piece * (size // len(piece)) + behind


def growth(parser: Parser) -> int:
    """Try every shape in three sizes; how many inputs that were. Raises FuzzError where steps grow like a square."""
    tried = 0
    for name, make in grown(parser):
        steps = [_steps(parser, make(size)) for size in SIZES]
        tried += len(SIZES)
        ratios = [more / max(less, FEW) for less, more in pairwise(steps)]
        if min(ratios) > MOST_RATIO:
            raise FuzzError(f"{parser.name}: {name} takes {steps} steps in {SIZES} bytes")
    return tried


def _steps(parser: Parser, data: bytes) -> int:
    """Lines that are carried out. Raises FuzzError for an undocumented error."""
    count = 0

    def trace(_frame: FrameType, what: str, _: Any) -> Any:
        nonlocal count
        count += what == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        wrong = _wrong(parser, data)
    finally:
        sys.settrace(before)
    if wrong is not None:
        raise FuzzError(f"{parser.name}: {wrong!r} for {len(data)} bytes {data[:60]!r}…") from wrong
    return count
