"""Kinds belong to at most one class of storage, and to exactly one group of readers."""

from __future__ import annotations

import pytest

from kitestring.nostr import kinds
from kitestring.nostr.kinds import is_addressable, is_ephemeral, is_replaceable

CLASSES = (is_ephemeral, is_replaceable, is_addressable)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (kinds.OFFER, is_ephemeral),
        (kinds.NWC_REQUEST, is_ephemeral),
        (kinds.AUTH, is_ephemeral),
        (29_999, is_ephemeral),
        (20_000, is_ephemeral),
        (kinds.NWC_INFO, is_replaceable),
        (kinds.RELAY_LIST, is_replaceable),
        (0, is_replaceable),
        (3, is_replaceable),
        (19_999, is_replaceable),
        (kinds.BEACON, is_addressable),
        (39_999, is_addressable),
        (1, None),
        (kinds.DELETE, None),
        (9_999, None),
        (40_000, None),
    ],
)
def test_a_kind_has_the_class_nip01_gives_it(kind: int, expected: object) -> None:
    assert [check for check in CLASSES if check(kind)] == ([expected] if expected else [])


def test_every_kind_that_is_passed_on_is_either_for_everybody_or_for_two() -> None:
    groups = (kinds.PUBLIC, kinds.CONVERSATIONS, kinds.PROOFS)
    assert sum(map(len, groups)) == len(frozenset().union(*groups))
    assert kinds.CLINK < kinds.CONVERSATIONS
    #: Seals, zap requests and receipts are carried inside of others, or published to other people's relays.
    elsewhere = {kinds.SEAL, kinds.ZAP_REQUEST, kinds.ZAP_RECEIPT}
    named = {value for name, value in vars(kinds).items() if name.isupper() and isinstance(value, int)}
    assert named == frozenset().union(*groups) | elsewhere
