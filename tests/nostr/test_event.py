"""Events: ids byte for byte as NIP-01 says, strict decoding, signatures."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import (
    MAX_EVENT_BYTES,
    Event,
    decode_event,
    encode_event,
    event_id,
    first_tag,
    sign_event,
    tag_values,
    verify_event,
)
from tests.kit.vectors import load

KEY = SecretKey(b"\x03" * 32)
CASES: list[dict[str, Any]] = load("events.json")["events"]
EVENT = sign_event(KEY, kind=1, tags=[["p", "a" * 64], ["t"], []], content="hello", created_at=1_760_000_000)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
#: NIP-01 names these; JSON demands an escape for the other C0 characters too.
SHORT = {"\n": "\\n", '"': '\\"', "\\": "\\\\", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def escaped(character: str) -> str:
    return SHORT.get(character) or (f"\\u{ord(character):04x}" if character < " " else character)


def changed(**members: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(EVENT) | members)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_published_events_are_judged_as_they_are(case: dict[str, Any]) -> None:
    fields = case["event"]
    computed = event_id(*(fields[name] for name in ("pubkey", "created_at", "kind", "tags", "content")))
    assert computed == case.get("computed_id", fields.get("id"))
    assert (computed == fields.get("id")) is bool(case["id_valid"])
    try:
        verdict = verify_event(decode_event(json.dumps(fields)))
    except CodecError:  # examples without an id or a signature
        verdict = False
    assert verdict is bool(case["id_valid"] and case["sig_valid"])


def test_the_id_hashes_exactly_the_bytes_of_nip01_at_every_code_point() -> None:
    blocks = [range(start, start + 0x800) for start in range(0, 0x110000, 0x800) if not 0xD800 <= start < 0xE000]
    for block in blocks:
        content = "".join(map(chr, block))
        expected = f'[0,"{KEY.public_hex}",1,1,[["t","{(body := "".join(map(escaped, content)))}"]],"{body}"]'
        assert event_id(KEY.public_hex, 1, 1, [["t", content]], content) == sha256(expected.encode()).hexdigest()


@pytest.mark.parametrize("surrogate", ["\ud800", "x\udfff", "\udc00\ud800"])
def test_a_lone_surrogate_is_never_hashed_signed_written_or_verified(surrogate: str) -> None:
    with pytest.raises(CodecError, match="Unicode"):
        sign_event(KEY, kind=1, tags=[], content=surrogate, created_at=1)
    with pytest.raises(CodecError, match="Unicode"):
        event_id(KEY.public_hex, 1, 1, [["t", surrogate]], "")
    event = Event(EVENT.id, EVENT.pubkey, 1, 1, [], surrogate, EVENT.sig)
    assert not verify_event(event)
    with pytest.raises(CodecError, match="Unicode"):
        encode_event(event)


def test_an_escaped_lone_surrogate_is_refused() -> None:
    with pytest.raises(CodecError):
        decode_event(encode_event(EVENT).replace(b"hello", b"\\ud800"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 65_535), st.lists(st.lists(TEXT, max_size=4), max_size=4), TEXT, st.integers(0, 2**53 - 1))
def test_a_signed_event_survives_the_wire(kind: int, tags: list[list[str]], content: str, created_at: int) -> None:
    event = sign_event(KEY, kind=kind, tags=tags, content=content, created_at=created_at)
    assert decode_event(encode_event(event)) == event
    assert verify_event(decode_event(json.dumps(json.loads(encode_event(event)))))


@pytest.mark.parametrize("member", ["pubkey", "created_at", "kind", "tags", "content", "id", "sig"])
def test_an_event_changed_in_any_member_does_not_verify(member: str) -> None:
    other = sign_event(SecretKey(b"\x04" * 32), kind=2, tags=[], content="other", created_at=2)
    assert verify_event(decode_event(changed()))
    assert not verify_event(decode_event(changed(**{member: getattr(other, member)})))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id", "A" * 64),
        ("id", "a" * 63),
        ("id", "é" * 64),
        ("pubkey", "g" * 64),
        ("pubkey", EVENT.pubkey.upper()),
        ("pubkey", None),
        ("sig", "f" * 127),
        ("sig", "F" * 128),
        ("sig", "0" * 127 + "\n"),
        ("created_at", 1.0),
        ("created_at", "1"),
        ("created_at", True),
        ("created_at", -1),
        ("created_at", 2**53),
        ("kind", -1),
        ("kind", 65_536),
        ("kind", 1.5),
        ("tags", {}),
        ("tags", ["p"]),
        ("tags", [[1]]),
        ("tags", [["p", None]]),
        ("content", None),
        ("content", {}),
    ],
)
def test_a_member_of_the_wrong_shape_is_refused(member: str, value: object) -> None:
    with pytest.raises(CodecError, match="not a Nostr event"):
        decode_event(changed(**{member: value}))


@pytest.mark.parametrize("member", ["id", "pubkey", "created_at", "kind", "tags", "content", "sig"])
def test_no_member_may_be_missing(member: str) -> None:
    fields = {name: value for name, value in msgspec.to_builtins(EVENT).items() if name != member}
    with pytest.raises(CodecError):
        decode_event(msgspec.json.encode(fields))


def test_unknown_members_are_ignored() -> None:
    assert decode_event(changed(relay="wss://relay.example")) == EVENT


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        "[]",
        "null",
        "\ud800",
        b"\xff",
        b"{",
        encode_event(EVENT) + b"x",
        encode_event(EVENT).replace(b"hello", b"\xed\xa0\x80"),
        '{"tags":' + "[" * 100_000,
        '{"x":' * 20_000,
    ],
    ids=[
        "empty",
        "array",
        "null",
        "surrogate",
        "not utf-8",
        "cut",
        "more",
        "utf-8 surrogate",
        "deep tags",
        "deep rest",
    ],
)
def test_what_is_no_event_is_one_kind_of_error(raw: bytes | str) -> None:
    with pytest.raises(CodecError, match="not a Nostr event"):
        decode_event(raw)


def test_the_size_limit_counts_bytes() -> None:
    room = MAX_EVENT_BYTES - len(changed(content=""))
    assert decode_event(changed(content="x" * room)).content == "x" * room
    for oversized in (changed(content="x" * (room + 1)), changed(content="é" * room).decode()):
        with pytest.raises(CodecError, match="larger than"):
            decode_event(oversized)


@pytest.mark.parametrize(("kind", "created_at"), [(-1, 1), (65_536, 1), (1, -1), (1, 2**53)])
def test_an_event_that_could_not_be_read_back_is_not_signed(kind: int, created_at: int) -> None:
    with pytest.raises(CodecError, match="out of range"):
        sign_event(KEY, kind=kind, tags=[], content="", created_at=created_at)


def test_the_auxiliary_randomness_changes_the_signature_but_not_the_id() -> None:
    other = sign_event(KEY, kind=1, tags=EVENT.tags, content="hello", created_at=1_760_000_000, aux=b"\x01" * 32)
    assert (other.id == EVENT.id, other.sig == EVENT.sig) == (True, False)
    assert verify_event(other)


def test_the_first_tag_of_a_name_decides_even_without_a_value() -> None:
    tags = [[], ["e"], ["p", "one", "more"], ["p", "two"], ["e", "three"]]
    event = sign_event(KEY, kind=1, tags=tags, content="", created_at=1)
    assert first_tag(event, "p") == "one"
    assert first_tag(event, "e") is None
    assert first_tag(event, "x") is None
    assert tag_values(event, "p") == ["one", "two"]
    assert tag_values(event, "e") == ["three"]
