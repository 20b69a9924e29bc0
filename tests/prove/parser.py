"""The form of a parser's row: what it is given, what it may raise, and where a random walk through it begins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from kitestring.base.errors import CodecError
from kitestring.nostr.event import Event, decode_event
from kitestring.wire.grammar import Facts
from kitestring.wire.refusal import WireRefusalError
from tests.kit import vectors
from tests.kit.wire.samples import event, reply_to

KEY: Final = bytes(range(32))
HASH: Final = "ab" * 32
FACTS: Final = Facts("regtest", accept_legacy_offers=True)
CLINK: Final = ["clink_version", "1"]
REFUSED: Final = (WireRefusalError,)


@dataclass(frozen=True)
class Parser:
    """``call`` is given the bytes, and may raise ``raises`` and nothing else. ``seeds`` are valid inputs."""

    name: str
    call: Callable[[bytes], object]
    seeds: Callable[[], tuple[bytes, ...]]
    raises: tuple[type[Exception], ...] = (CodecError,)


def as_text(call: Callable[[str], object]) -> Callable[[bytes], object]:
    """Broken UTF-8 becomes lone surrogates: JSON can say those too."""
    return lambda data: call(data.decode("utf-8", "surrogateescape"))


def as_event(call: Callable[[Event], object]) -> Callable[[bytes], object]:
    return lambda data: call(decode_event(data))


def as_request(read: Any, kind: int, wire: str, facts: Facts = FACTS) -> Callable[[bytes], object]:
    to = reply_to(wire)
    return as_text(lambda text: read(text, event(kind, CLINK), to, facts))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _strings(member)


@cache
def found_in(*names: str) -> tuple[bytes, ...]:
    """Every text of these vectors that is long enough to be an input."""
    found = {text for name in names for text in _strings(vectors.load(name)) if 8 <= len(text) <= 4_000}
    return tuple(text.encode("utf-8", "surrogatepass") for text in sorted(found))


def of(*names: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: found_in(*names)


def these(*values: object) -> Callable[[], tuple[bytes, ...]]:
    made = [
        value if isinstance(value, bytes) else value if isinstance(value, str) else json.dumps(value)
        for value in values
    ]
    return lambda: tuple(value.encode() if isinstance(value, str) else value for value in made)


def events() -> tuple[bytes, ...]:
    rows = vectors.load("events.json")["events"]
    return tuple(json.dumps(row["event"]).encode() for row in rows)
