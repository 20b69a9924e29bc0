"""Secret keys: range, redaction, and derivation that must never change."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kitestring.base.errors import CodecError
from kitestring.crypto import secp
from kitestring.crypto.keys import SecretKey, derive, parse_public

SECRET = "5c0c523f52a5b6fad39ed2403092df8cebc36318b39383bca6c00808626fab3a"
SEED = bytes(range(32))


def test_a_key_shows_itself_nowhere_but_in_hex() -> None:
    key = SecretKey.from_hex(SECRET)
    shown = [repr(key), str(key), f"{key}", f"{key!r}", repr([key]), repr({"key": key})]
    assert not [text for text in shown if SECRET[:8] in text.lower()]
    assert key.hex() == SECRET
    assert "redacted" in repr(key)


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_is_neither_pickled_nor_copied(take: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="not copied or pickled"):
        take(SecretKey.from_hex(SECRET))


def test_a_key_takes_no_further_attributes() -> None:
    with pytest.raises(AttributeError):
        setattr(SecretKey.from_hex(SECRET), "note", "x")  # noqa: B010  # mypy knows that there is no such attribute


@pytest.mark.parametrize("text", ["", "zz" * 32, SECRET[:-2], SECRET + "00", " " + SECRET[1:], "0" * 64, "f" * 64])
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(CodecError) as caught:
        SecretKey.from_hex(text)
    assert SECRET[:8] not in str(caught.value)


def test_upper_case_hex_is_read() -> None:
    assert SecretKey.from_hex(SECRET.upper()) == SecretKey.from_hex(SECRET)


def test_equal_keys_are_one_in_a_set_and_nothing_else_is_equal() -> None:
    key = SecretKey.from_hex(SECRET)
    assert {key, SecretKey.from_hex(SECRET)} == {key}
    assert key != SecretKey(b"\x01" * 32)
    assert key != SECRET


def test_generate_draws_again_until_the_bytes_are_a_key() -> None:
    draws = iter([bytes(32), b"\xff" * 32, b"\x05" * 32])
    assert SecretKey.generate(lambda size: next(draws)[:size]).hex() == "05" * 32


def test_generate_gives_up_on_a_source_that_never_gives_a_key() -> None:
    with pytest.raises(CodecError, match="randomness"):
        SecretKey.generate(bytes)


def test_a_signature_is_the_keys_and_changes_with_the_auxiliary_randomness() -> None:
    key, message = SecretKey.from_hex(SECRET), b"m" * 32
    assert secp.schnorr_verify(key.public_bytes, message, key.sign(message))
    assert key.sign(message) == key.sign(message, bytes(32)) != key.sign(message, b"\x01" * 32)
    digest_signature, recid = key.sign_recoverable(message)
    assert secp.ecdsa_recover(message, digest_signature, recid)[1:] == key.public_bytes


@pytest.mark.parametrize("text", ["", "F" * 64, "f" * 63, "0x" + "1" * 62, "1" * 62 + " 1", "é" * 64])
def test_a_public_key_is_64_lower_case_hex_characters(text: str) -> None:
    with pytest.raises(CodecError, match="64 lower-case hex"):
        parse_public(text)


def test_a_peer_off_the_curve_shares_nothing() -> None:
    with pytest.raises(CodecError, match="curve"):
        SecretKey.from_hex(SECRET).shared_x("f" * 64)


DERIVED = [
    ("offer", "main", "365107a0e5c2f98752acadf242177c874ca69e964ff42a882ffa4a99dd681c2e"),
    ("nwc", "1", "4e0f1eac9aca7253abfd713c6dc08f2b8db5c237e40a2861b11b258e0e5634ca"),
    ("service", "", "2621ab9ec7b528da53e0dfa4c1924ce4036a75de437d6fc57f0136426911aac3"),
    ("nwc", "é", "9deac472f4fd60147a6ed423dd813df0d4fe3463dcf429e91eb7cdc6a5cddd5b"),
]


@pytest.mark.parametrize(("purpose", "ident", "public"), DERIVED)
def test_derived_keys_never_change(purpose: str, ident: str, public: str) -> None:
    assert derive(SEED, purpose, ident).public_hex == public


def test_derivation_is_hkdf_of_purpose_nul_name() -> None:
    expected = HKDF(SHA256(), 32, None, b"nwc\x00phone").derive(SEED)
    assert derive(SEED, "nwc", "phone").hex() == expected.hex()


def test_purpose_and_name_cannot_be_shifted_into_each_other() -> None:
    assert derive(SEED, "ab", "c") != derive(SEED, "a", "bc")
    for purpose, ident in [("a\0b", "c"), ("a", "b\0c"), ("", "x")]:
        with pytest.raises(CodecError, match="NUL"):
            derive(SEED, purpose, ident)


def test_a_draw_out_of_range_is_repeated_with_a_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    first = derive(SEED, "nwc", "phone").hex()
    real = secp.is_valid_secret
    monkeypatch.setattr(secp, "is_valid_secret", lambda secret: secret.hex() != first and real(secret))
    expected = HKDF(SHA256(), 32, None, b"nwc\x00phone\x00\x01").derive(SEED)
    assert derive(SEED, "nwc", "phone").hex() == expected.hex()


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_has_32_bytes(seed: bytes) -> None:
    with pytest.raises(CodecError, match="32 bytes"):
        derive(seed, "nwc", "phone")
