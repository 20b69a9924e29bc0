"""Each kind of code has one type of answer, told apart by its type."""

from __future__ import annotations

from collections import Counter
from typing import get_args, get_type_hints

import pytest

from kitestring.app.cli.decode import _READERS, explain
from kitestring.app.cli.results.decoded import DECODED
from kitestring.codec.nip19 import Address, EventPointer, Note, Profile, PublicKey, encode
from tests.kit.app.answers import hold_one

KEY = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


def test_every_kind_that_is_read_has_one_type() -> None:
    kinds = Counter(kind for one in DECODED for kind in get_args(get_type_hints(one)["type"]))
    assert kinds == Counter(dict.fromkeys(_READERS, 1))


@pytest.mark.parametrize(
    "entity",
    [
        PublicKey(KEY),
        Profile(KEY, ("wss://relay.example",)),
        Note(KEY),
        EventPointer(KEY, (), None, None),
        EventPointer(KEY, ("wss://relay.example",), KEY, 1),
        Address("x", KEY, 30_000, ()),
    ],
)
def test_a_pointer_of_nostr_is_explained_as_its_type_says(entity: PublicKey) -> None:
    hold_one("decode", explain(encode(entity)))
