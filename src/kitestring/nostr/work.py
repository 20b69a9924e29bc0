"""Proof of work (NIP-13): what an event has cost its author, where keys cost nothing."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from kitestring.nostr.event import Event, canonical

#: The tag in which an author commits to a target: ``["nonce", "<any>", "<bits>"]``.
NONCE: Final = "nonce"
#: More work is never done: 16 million hashes, a quarter of a minute.
MAX_WORK_BITS: Final = 24
#: Nonces that one round of a search tries.
NONCES: Final = 1_000
_DIGITS: Final = 20
_HIGH_DIGITS: Final = 17
_ROUNDS: Final = 1_000


def work_bits(event: Event) -> int:
    """The leading zero bits of the id, at most what its nonce tag commits to; 0 without a commitment.

    Luck without a target does not count: a flood has some lucky ids too.
    """
    target = next((tag[2] for tag in event.tags if len(tag) > 2 and tag[0] == NONCE), "")
    if not (target.isascii() and target.isdigit() and len(target) <= 3):
        return 0
    return min(256 - int(event.id, 16).bit_length(), int(target))


class NonceSearch:
    """The search for the nonce tag that has to stand behind ``tags`` for an id with so many leading zero bits. What
    stands before the nonce is hashed once.

    Raises ValueError above :data:`MAX_WORK_BITS`, CodecError as :func:`canonical`.
    """

    __slots__ = ("_begun", "_bits", "_endings", "_limit")

    def __init__(self, pubkey: str, created_at: int, kind: int, tags: list[list[str]], content: str, bits: int) -> None:
        if not 0 < bits <= MAX_WORK_BITS:
            raise ValueError(f"proof of work is 1 to {MAX_WORK_BITS} bits")
        blank = "0" * _DIGITS
        whole = canonical(pubkey, created_at, kind, [*tags, [NONCE, blank, str(bits)]], content)
        head, tail = whole.split(f'["{NONCE}","{blank}","{bits}"]]'.encode())
        tail = f'","{bits}"]]'.encode() + tail
        self._bits: Final = str(bits)
        self._begun: Final = sha256(head + f'["{NONCE}","'.encode())
        self._endings: Final = [b"%03d" % low + tail for low in range(NONCES)]
        self._limit: Final = (1 << (256 - bits)).to_bytes(32)

    def look(self, first: int, rounds: int) -> list[str] | None:
        """The tag, if one of the nonces from ``first`` times :data:`NONCES` on will do; so many ``rounds`` of
        :data:`NONCES` are tried. Takes about half a millisecond a round: call it in a thread."""
        limit, endings = self._limit, self._endings
        for high in range(first, first + rounds):
            start = f"{high:0{_HIGH_DIGITS}d}"
            begun = self._begun.copy()
            begun.update(start.encode())
            for low, ending in enumerate(endings):
                trial = begun.copy()
                trial.update(ending)
                if trial.digest() < limit:
                    return [NONCE, f"{start}{low:03d}", self._bits]
        return None


def find_nonce(pubkey: str, created_at: int, kind: int, tags: list[list[str]], content: str, bits: int) -> list[str]:
    """The tag that :class:`NonceSearch` looks for, whatever it takes: some 2 ** bits hashes of half a microsecond. Call
    it in a thread, and for few bits: nobody can end it."""
    search, high = NonceSearch(pubkey, created_at, kind, tags, content, bits), 0
    while (found := search.look(high, _ROUNDS)) is None:
        high += _ROUNDS
    return found
