"""Proof of work (NIP-13): what an event has cost its author, where keys cost nothing."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from kitestring.nostr.event import Event, canonical

#: The tag in which an author commits to a target: ``["nonce", "<any>", "<bits>"]``.
NONCE: Final = "nonce"
#: More work is never done: 16 million hashes, a quarter of a minute.
MAX_WORK_BITS: Final = 24
_DIGITS: Final = 20


def work_bits(event: Event) -> int:
    """The leading zero bits of the id, at most what its nonce tag commits to; 0 without a commitment.

    Luck without a target does not count: a flood has some lucky ids too.
    """
    target = next((tag[2] for tag in event.tags if len(tag) > 2 and tag[0] == NONCE), "")
    if not (target.isascii() and target.isdigit() and len(target) <= 3):
        return 0
    return min(256 - int(event.id, 16).bit_length(), int(target))


def find_nonce(pubkey: str, created_at: int, kind: int, tags: list[list[str]], content: str, bits: int) -> list[str]:
    """The nonce tag that has to stand behind ``tags`` for an id with so many leading zero bits.

    Takes some 2 ** bits hashes of a microsecond: call it in a thread. Raises ValueError above :data:`MAX_WORK_BITS`,
    CodecError as :func:`canonical`.
    """
    if not 0 < bits <= MAX_WORK_BITS:
        raise ValueError(f"proof of work is 1 to {MAX_WORK_BITS} bits")
    blank = "0" * _DIGITS
    whole = canonical(pubkey, created_at, kind, [*tags, [NONCE, blank, str(bits)]], content)
    head, tail = whole.split(f'["{NONCE}","{blank}","{bits}"]]'.encode())
    opening = f'["{NONCE}","'.encode()
    begun, tail = sha256(head + opening), f'","{bits}"]]'.encode() + tail
    limit, number = 1 << (256 - bits), 0
    while True:
        nonce = f"{number:0{_DIGITS}d}"
        trial = begun.copy()
        trial.update(nonce.encode() + tail)
        if int.from_bytes(trial.digest()) < limit:
            return [NONCE, nonce, str(bits)]
        number += 1
