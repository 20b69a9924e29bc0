"""Proof of work (NIP-13): what an event has cost its author, where keys cost nothing."""

from __future__ import annotations

from kitestring.nostr.event import Event

#: The tag in which an author commits to a target: ``["nonce", "<any>", "<bits>"]``.
NONCE = "nonce"


def work_bits(event: Event) -> int:
    """The leading zero bits of the id, at most what its nonce tag commits to; 0 without a commitment.

    Luck without a target does not count: a flood has some lucky ids too.
    """
    target = next((tag[2] for tag in event.tags if len(tag) > 2 and tag[0] == NONCE), "")
    if not (target.isascii() and target.isdigit() and len(target) <= 3):
        return 0
    zeros = 256 - int(event.id, 16).bit_length()
    return min(zeros, int(target))
