"""Words and proofs of relays, for the owner. In a file of their own, because every command loads them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec


class RelayWord(msgspec.Struct, frozen=True):
    """The word of one relay. ``carries``: it shows what was announced; if not, ``words`` say why."""

    relay: str
    carries: bool
    words: str = ""


@dataclass(slots=True)
class Carried:
    """The work of one relay: of ``asked`` requests those to the keys ``unheard`` did not come back. ``words`` are
    its own about one that it did not take, or why there is no connection; "" without any."""

    url: str
    connected: bool
    asked: int = 0
    unheard: set[str] = field(default_factory=set)
    words: str = ""


def auth_words(auth_s: float) -> str:
    """Say what it means that a relay has asked who we are, and that our answers take so many seconds more; "" for 0."""
    return f"asks each connection who it is, those used last first: about {math.ceil(auth_s)} s more" if auth_s else ""
