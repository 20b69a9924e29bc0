from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.codec import bech32, nip19, tlv
from kitestring.codec.nip19 import Address, EventPointer, Note, Nsec, Profile, PublicKey
from tests.kit.vectors import load

VECTORS = load("nip19.json")
KEY = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
NSEC = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
HEX32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
RELAYS = st.lists(st.sampled_from(["wss://a.example", "ws://b.example:1/x"]), max_size=3).map(tuple)
KIND = st.integers(0, 2**32 - 1)


def expected(decoded: dict[str, Any]) -> nip19.Entity:
    relays = tuple(decoded.get("relays", ()))
    match decoded["prefix"]:
        case "npub":
            return PublicKey(decoded["hex"])
        case "nsec":
            return Nsec(bytes.fromhex(decoded["hex"]))
        case "note":
            return Note(decoded["hex"])
        case "nprofile":
            return Profile(decoded["pubkey"], relays)
        case "nevent":
            return EventPointer(decoded["id"], relays, decoded["author"], decoded["kind"])
    return Address(decoded["identifier"], decoded["author"], decoded["kind"], relays)


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["string"][:24])
def test_a_published_text_is_read(case: dict[str, Any]) -> None:
    entity = nip19.decode(case["string"])
    assert entity == expected(case["decoded"])
    assert nip19.decode(nip19.encode(entity)) == entity
    types = [kind for kind, _ in case["decoded"].get("tlv", [])]
    if types == sorted(types):
        assert nip19.encode(entity) == case["string"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["reason"])
def test_a_broken_text_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        nip19.decode(case["string"])


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.builds(PublicKey, HEX32),
        st.builds(Note, HEX32),
        st.builds(Profile, HEX32, RELAYS),
        st.builds(EventPointer, HEX32, RELAYS, st.none() | HEX32, st.none() | KIND),
        st.builds(Address, st.text(st.characters(exclude_categories=["Cs"]), max_size=60), HEX32, KIND, RELAYS),
    )
)
def test_an_entity_survives_the_round_trip(entity: nip19.Entity) -> None:
    text = nip19.encode(entity)
    assert nip19.decode(text) == entity
    assert nip19.decode(f" nostr:{text.upper()}\n") == entity


@pytest.mark.parametrize(
    ("hrp", "data"),
    [
        ("npub", bytes(31)),
        ("note", bytes(33)),
        ("nsec", bytes(32)),
        ("lnurl", bytes(32)),
        ("nprofile", tlv.encode([(1, b"wss://a.example")])),
        ("nprofile", tlv.encode([(0, bytes(31))])),
        ("nevent", tlv.encode([(0, bytes(32)), (2, bytes(31))])),
        ("nevent", tlv.encode([(0, bytes(32)), (3, bytes(2))])),
        ("naddr", tlv.encode([(0, b"x"), (2, bytes(32))])),
        ("naddr", tlv.encode([(0, b"x"), (3, bytes(4))])),
    ],
)
def test_wrong_lengths_and_missing_parts_are_refused(hrp: str, data: bytes) -> None:
    with pytest.raises(CodecError):
        nip19.decode(bech32.encode(hrp, data))


def test_unknown_parts_and_hints_that_are_no_relays_are_ignored() -> None:
    data = tlv.encode([(9, b"?"), (0, bytes.fromhex(KEY)), (1, b"http://a.example"), (1, b"wss://b.example")])
    assert nip19.decode(bech32.encode("nprofile", data)) == Profile(KEY, ("wss://b.example",))


def test_more_than_5000_characters_are_refused() -> None:
    data = tlv.encode([(0, bytes.fromhex(KEY)), *[(1, b"wss://" + b"a" * 249)] * 13])
    with pytest.raises(CodecError, match="5000"):
        nip19.decode(bech32.encode("nprofile", data))
    with pytest.raises(CodecError, match="5000"):
        nip19.encode(Profile(KEY, ("wss://" + "a" * 249,) * 13))


def test_a_secret_key_never_shows_itself() -> None:
    entity = nip19.decode(NSEC)
    assert isinstance(entity, Nsec)
    assert entity.secret.hex()[:8] not in repr(entity)
    assert str(entity.secret) not in repr(entity)


def test_a_secret_key_is_read_from_both_forms() -> None:
    secret = nip19.decode_secret(NSEC)
    assert nip19.decode_secret(secret.hex()) == secret
    assert nip19.encode(Nsec(secret)) == NSEC
    for wrong in ("00" * 32, "ff" * 32, "zz" * 32, nip19.encode(PublicKey(KEY)), ""):
        with pytest.raises(CodecError):
            nip19.decode_secret(wrong)


@pytest.mark.parametrize("form", [KEY, KEY.upper(), f" {KEY}\n", nip19.encode(PublicKey(KEY))])
def test_a_public_key_is_read_from_both_forms(form: str) -> None:
    assert nip19.read_public_key(form) == KEY


@pytest.mark.parametrize(
    "text", ["", "ab", "g" * 64, "ff" * 32, " ".join(["ab"] * 21) + "  x", nip19.encode(Note(KEY)), KEY + "00"]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(CodecError, match="no public key"):
        nip19.read_public_key(text)


@pytest.mark.parametrize(
    "entity",
    [
        PublicKey("00"),
        PublicKey("0 " * 32),
        Profile(KEY, ("http://a.example",)),
        EventPointer(KEY, kind=1 << 32),
        Address("x" * 256, KEY, 1),
    ],
)
def test_what_nobody_could_read_is_not_written(entity: nip19.Entity) -> None:
    with pytest.raises(CodecError):
        nip19.encode(entity)


def test_a_relay_that_is_none_is_left_out() -> None:
    data = tlv.encode([(0, bytes.fromhex(KEY)), (1, b"\xff"), (1, b"http://a"), (1, b"wss://a.example")])
    assert nip19.decode(bech32.encode("nprofile", data, limit=5_000)) == Profile(KEY, ("wss://a.example",))


def test_a_text_is_read_as_pasting_leaves_it() -> None:
    text = nip19.encode(PublicKey(KEY))
    assert nip19.decode(f"\ufeffnostr:{text[:20]}\n  {text[20:]}\u200b") == PublicKey(KEY)
