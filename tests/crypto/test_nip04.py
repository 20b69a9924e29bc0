"""NIP-04: payloads of four implementations, and malformed ones that all fail alike."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.crypto.failure import MAX_TEXT_BYTES, DecryptError
from kitestring.crypto.keys import SecretKey
from kitestring.crypto.nip04 import decrypt, encrypt
from tests.kit.vectors import load, text

VECTORS: dict[str, Any] = load("nip04.json")
KEY, IV = b"\x01" * 32, b"\x02" * 16


@pytest.mark.parametrize("case", VECTORS["decrypt"], ids=lambda case: case["id"])
def test_payloads_of_other_implementations_are_read_by_both_sides(case: dict[str, Any]) -> None:
    one, two = SecretKey.from_hex(case["sk1"]), SecretKey.from_hex(case["sk2"])
    assert (one.public_hex, two.public_hex) == (case["pk1"], case["pk2"])
    assert one.shared_x(two.public_hex).hex() == two.shared_x(one.public_hex).hex() == case["shared_x"]
    assert decrypt(case["payload"], bytes.fromhex(case["shared_x"])) == text(case["plaintext"])


@pytest.mark.parametrize("case", VECTORS["deterministic"], ids=lambda case: case["plaintext"])
def test_payloads_with_a_fixed_iv(case: dict[str, str]) -> None:
    key = bytes.fromhex(case["shared_x"])
    assert encrypt(case["plaintext"], key, bytes.fromhex(case["iv"])) == case["payload"]
    assert decrypt(case["payload"], key) == case["plaintext"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["reason"])
def test_malformed_payloads(case: dict[str, str]) -> None:
    one, two = SecretKey.from_hex(case["sk1"]), SecretKey.from_hex(case["sk2"])
    with pytest.raises(DecryptError):
        decrypt(case["payload"], one.shared_x(two.public_hex))


def _raw(padded: bytes) -> str:
    """A payload of whole blocks with any padding at all."""
    encryptor = Cipher(AES256(KEY), CBC(IV)).encryptor()
    return f"{b64encode(encryptor.update(padded)).decode()}?iv={b64encode(IV).decode()}"


@pytest.mark.parametrize(
    "padded",
    [b"x" * 15 + b"\x00", b"x" * 15 + b"\x11", b"x" * 14 + b"\x03\x02", b"\xff" * 15 + b"\x01", b"x" * 15 + b"\xff"],
    ids=["zero", "seventeen", "uneven", "not utf-8", "255"],
)
def test_bad_padding_and_bad_text_fail_alike(padded: bytes) -> None:
    with pytest.raises(DecryptError) as caught:
        decrypt(_raw(padded), KEY)
    assert str(caught.value) == "the content cannot be decrypted"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("payload", ["", "?iv=", "AAAA", "\ud800?iv=", "A" * 200_000, _raw(b"x" * 16)[:-1]])
def test_what_is_no_payload_at_all(payload: str) -> None:
    with pytest.raises(DecryptError):
        decrypt(payload, KEY)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), st.binary(min_size=16, max_size=16))
def test_what_is_encrypted_is_decrypted(plaintext: str, iv: bytes) -> None:
    assert decrypt(encrypt(plaintext, KEY, iv), KEY) == plaintext


def test_the_longest_text_is_read_back_and_a_longer_one_not_written() -> None:
    longest = "x" * MAX_TEXT_BYTES
    assert decrypt(encrypt(longest, KEY, IV), KEY) == longest
    with pytest.raises(CodecError, match="at most"):
        encrypt(longest + "x", KEY, IV)
    with pytest.raises(CodecError, match="Unicode"):
        encrypt("\udfff", KEY, IV)


def test_the_limit_of_a_text_is_the_readers() -> None:
    payload = encrypt("x" * 100, KEY, IV)
    assert decrypt(payload, KEY, 100) == "x" * 100
    for less in (99, 50):
        with pytest.raises(DecryptError):
            decrypt(payload, KEY, less)
