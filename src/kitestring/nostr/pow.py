"""Proof of work in event ids (NIP-13): what an id shows and what its author committed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Ids have 256 bits, so a committed target has at most three digits.
MAX_TARGET_DIGITS: Final = 3


def leading_zero_bits(event_id: str) -> int:
    """The difficulty an id (64 hex characters) shows, 0 … 256."""
    return 256 - int(event_id, 16).bit_length()


def committed_target(tags: Sequence[Sequence[str]]) -> int:
    """The third element of the first ``nonce`` tag, 0 when it is missing or no number."""
    for tag in tags:
        if tag and tag[0] == "nonce":
            target = tag[2] if len(tag) > 2 else ""
            return int(target) if target.isascii() and target.isdigit() and len(target) <= MAX_TARGET_DIGITS else 0
    return 0


def proven_bits(event_id: str, tags: Sequence[Sequence[str]]) -> int:
    """The target that its author committed to, if the id shows as much, else 0; luck does not count."""
    target = committed_target(tags)
    return target if target <= leading_zero_bits(event_id) else 0
