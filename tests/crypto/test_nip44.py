"""NIP-44: the published cases, the longer prefix, and damage of every kind."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.crypto import nip44
from kitestring.crypto.failure import MAX_TEXT_BYTES, DecryptError
from kitestring.crypto.keys import SecretKey
from kitestring.crypto.nip44 import conversation_key, decrypt, encrypt, padded_length, seal
from tests.kit.vectors import DIRECTORY, load, text

V2: dict[str, Any] = load("nip44.vectors.json")["v2"]
VALID: dict[str, Any] = V2["valid"]
INVALID: dict[str, Any] = V2["invalid"]
EXTENDED: dict[str, Any] = load("nip44_extended.json")
KEY, NONCE = b"\x01" * 32, b"\x02" * 32
PAYLOAD = encrypt("hello", KEY, NONCE)


def raw(value: str) -> bytes:
    return bytes.fromhex(value)


def test_the_vectors_are_the_published_ones() -> None:
    digest = sha256((DIRECTORY / "nip44.vectors.json").read_bytes()).hexdigest()
    assert digest == "269ed0f69e4c192512cc779e78c555090cebc7c785b609e338a62afc3ce25040"


@pytest.mark.parametrize("case", VALID["get_conversation_key"])
def test_conversation_keys(case: dict[str, str]) -> None:
    assert conversation_key(SecretKey.from_hex(case["sec1"]), case["pub2"]).hex() == case["conversation_key"]


@pytest.mark.parametrize("case", INVALID["get_conversation_key"], ids=lambda case: case["note"])
def test_there_is_no_conversation_with_what_is_no_key(case: dict[str, str]) -> None:
    with pytest.raises(CodecError):
        conversation_key(SecretKey.from_hex(case["sec1"]), case["pub2"])


@pytest.mark.parametrize("case", VALID["get_message_keys"]["keys"])
def test_message_keys(case: dict[str, str]) -> None:
    keys = nip44.message_keys(raw(VALID["get_message_keys"]["conversation_key"]), raw(case["nonce"]))
    assert keys.hex() == case["chacha_key"] + case["chacha_nonce"] + case["hmac_key"]


@pytest.mark.parametrize(("size", "padded"), VALID["calc_padded_len"])
def test_padded_lengths(size: int, padded: int) -> None:
    assert padded_length(size) == padded


@pytest.mark.parametrize("case", VALID["encrypt_decrypt"])
def test_payloads_both_ways_and_from_both_sides(case: dict[str, str]) -> None:
    ours, theirs = SecretKey.from_hex(case["sec1"]), SecretKey.from_hex(case["sec2"])
    key = conversation_key(ours, theirs.public_hex)
    assert key.hex() == case["conversation_key"]
    assert encrypt(case["plaintext"], key, raw(case["nonce"])) == case["payload"]
    assert decrypt(case["payload"], conversation_key(theirs, ours.public_hex)) == case["plaintext"]


@pytest.mark.parametrize("case", VALID["encrypt_decrypt_long_msg"])
def test_long_payloads(case: dict[str, Any]) -> None:
    plaintext = case["pattern"] * case["repeat"]
    payload = encrypt(plaintext, raw(case["conversation_key"]), raw(case["nonce"]))
    assert sha256(plaintext.encode()).hexdigest() == case["plaintext_sha256"]
    assert sha256(payload.encode()).hexdigest() == case["payload_sha256"]
    assert decrypt(payload, raw(case["conversation_key"])) == plaintext


@pytest.mark.parametrize("size", INVALID["encrypt_msg_lengths"])
def test_a_text_that_is_empty_or_too_long_is_not_encrypted(size: int) -> None:
    with pytest.raises(CodecError, match="1 to 65535 bytes"):
        encrypt("x" * size, KEY, NONCE)


@pytest.mark.parametrize("case", INVALID["decrypt"], ids=lambda case: case["note"])
def test_published_bad_payloads(case: dict[str, str]) -> None:
    with pytest.raises(DecryptError):
        decrypt(case["payload"], raw(case["conversation_key"]))


@pytest.mark.parametrize("case", EXTENDED["valid"], ids=lambda case: str(case["plaintext"]["times"]))
def test_the_longer_prefix_is_read_up_to_the_limit(case: dict[str, Any]) -> None:
    plaintext, key = text(case["plaintext"]), raw(case["conversation_key"])
    size, long = len(plaintext), case["prefix_bytes"] == 6
    prefix = bytes(2) + size.to_bytes(4) if long else size.to_bytes(2)
    payload = seal(prefix + plaintext.encode().ljust(case["padded_len"], b"\0"), key, raw(case["nonce"]))
    assert len(payload) == case["payload_chars"]
    assert sha256(payload.encode()).hexdigest() == case["payload_sha256"]
    assert decrypt(payload, key, max_bytes=131_072) == plaintext
    if size <= MAX_TEXT_BYTES:
        assert decrypt(payload, key) == plaintext
    else:
        with pytest.raises(DecryptError):
            decrypt(payload, key)


@pytest.mark.parametrize("case", EXTENDED["invalid"], ids=lambda case: case["reason"])
def test_forged_lengths(case: dict[str, str]) -> None:
    with pytest.raises(DecryptError):
        decrypt(case["payload"], raw(case["conversation_key"]))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=600), st.binary(min_size=32, max_size=32))
def test_what_is_encrypted_is_decrypted(plaintext: str, nonce: bytes) -> None:
    assert decrypt(encrypt(plaintext, KEY, nonce), KEY) == plaintext


def test_every_flipped_bit_is_noticed() -> None:
    sealed = b64decode(PAYLOAD)
    for position in range(len(sealed)):
        forged = bytearray(sealed)
        forged[position] ^= 1
        with pytest.raises(DecryptError):
            decrypt(b64encode(forged).decode(), KEY)


@pytest.mark.parametrize(
    "payload",
    [
        PAYLOAD[:-4],
        PAYLOAD + "AAAA",
        PAYLOAD[:-1] + "\n",
        " " + PAYLOAD[1:],
        PAYLOAD[:40] + "é" + PAYLOAD[41:],
        PAYLOAD[:40] + "\ud800" + PAYLOAD[41:],
        PAYLOAD[:40] + "-" + PAYLOAD[41:],
        "A" * 200_000,
        "?" * 132,
    ],
    ids=["short", "long", "newline", "blank", "accent", "surrogate", "url alphabet", "huge", "not base64"],
)
def test_damaged_payloads_fail_alike(payload: str) -> None:
    with pytest.raises(DecryptError) as caught:
        decrypt(payload, KEY)
    assert str(caught.value) == "the content cannot be decrypted"
    assert caught.value.__cause__ is None


def test_a_text_that_is_not_utf8_fails_like_a_forged_one() -> None:
    with pytest.raises(DecryptError):
        decrypt(seal(b"\x00\x02\xff\xfe".ljust(34, b"\0"), KEY, NONCE), KEY)


def test_a_lone_surrogate_is_not_encrypted() -> None:
    with pytest.raises(CodecError, match="Unicode"):
        encrypt("\ud800", KEY, NONCE)


@pytest.mark.parametrize(("key", "nonce"), [(KEY[:31], NONCE), (KEY, NONCE[:31]), (KEY, b"")])
def test_keys_and_nonces_have_32_bytes(key: bytes, nonce: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        encrypt("x", key, nonce)
