"""Proof of work counts as far as it was promised and is there."""

from __future__ import annotations

import msgspec
import pytest

from kitestring.nostr.event import sign_event, verify_event
from kitestring.nostr.work import MAX_WORK_BITS, NONCES, NonceSearch, find_nonce, work_bits
from tests.kit.clock import NOW
from tests.kit.transport.relays import ALICE, BOB, note


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


@pytest.mark.parametrize("content", ["", 'a "nonce" [\\] in the text', '["nonce","00000000000000000000","8"]'])
def test_work_that_was_done_is_found_in_the_event(content: str) -> None:
    tags = [["p", BOB.public_hex], ["clink_version", "1"]]
    tags.append(find_nonce(ALICE.public_hex, NOW, 21001, tags, content, 8))
    event = sign_event(ALICE, kind=21001, tags=tags, content=content, created_at=NOW)
    assert verify_event(event)
    assert (work_bits(event), event.id[:2]) == (8, "00")


def test_a_search_in_parts_finds_what_a_search_at_once_finds_and_nothing_where_there_is_nothing() -> None:
    where = (ALICE.public_hex, NOW, 21004, [["p", BOB.public_hex]], "x", 11)
    found = find_nonce(*where)
    number = int(found[1])
    search = NonceSearch(*where)
    parts = [search.look(high, 1) for high in range(number // NONCES + 1)]
    assert parts == [None] * (number // NONCES) + [found]


@pytest.mark.parametrize("bits", [-1, 0, MAX_WORK_BITS + 1])
def test_work_without_end_is_not_begun(bits: int) -> None:
    with pytest.raises(ValueError, match="1 to 24 bits"):
        find_nonce(ALICE.public_hex, NOW, 21001, [], "", bits)
