"""Proof of work counts as far as it was promised and is there."""

from __future__ import annotations

import msgspec
import pytest

from kitestring.nostr.work import work_bits
from tests.kit.transport.relays import note


@pytest.mark.parametrize(
    ("zeros", "tags", "bits"),
    [
        (20, [["nonce", "1", "20"]], 20),
        (21, [["nonce", "1", "20"]], 20),
        (19, [["nonce", "1", "20"]], 19),
        (0, [["nonce", "1", "20"]], 0),
        (256, [["nonce", "1", "256"]], 256),
        (30, [], 0),
        (30, [["nonce", "1"]], 0),
        (30, [["nonce", "1", ""]], 0),
        (30, [["nonce", "1", "-9"]], 0),
        (30, [["nonce", "1", "²"]], 0),
        (30, [["nonce", "1", "9" * 5_000]], 0),
        (30, [["nonce", "1", "8"], ["nonce", "1", "30"]], 8),
    ],
)
def test_leading_zero_bits_count_up_to_what_the_author_has_committed_to(
    zeros: int, tags: list[list[str]], bits: int
) -> None:
    number = 0 if zeros == 256 else 1 << (255 - zeros)
    event = msgspec.structs.replace(note(tags=tags), id=f"{number:064x}")
    assert work_bits(event) == bits
