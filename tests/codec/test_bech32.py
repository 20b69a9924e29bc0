from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.codec import bech32
from kitestring.codec.bech32 import Variant
from tests.kit.vectors import load

VECTORS = load("bech32.json")
LISTS = {"bech32": Variant.BECH32, "bech32m": Variant.BECH32M}
BIP173_LIMIT = 90


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in LISTS for text in VECTORS[name]["valid"]])
def test_a_valid_text_of_the_bips_is_read_and_written_again(name: str, text: str) -> None:
    hrp, symbols = bech32.decode_symbols(text, variant=LISTS[name], limit=BIP173_LIMIT)
    assert bech32.encode_symbols(hrp, symbols, variant=LISTS[name]) == text.lower()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in LISTS for text in VECTORS[name]["invalid"]])
def test_an_invalid_text_of_the_bips_is_refused(name: str, text: str) -> None:
    with pytest.raises(CodecError):
        bech32.decode_symbols(text, variant=LISTS[name], limit=BIP173_LIMIT)


@pytest.mark.parametrize("name", LISTS)
def test_the_other_checksum_is_refused_unless_both_are_asked_for(name: str) -> None:
    text = VECTORS[name]["valid"][3]
    other = Variant.BECH32M if LISTS[name] is Variant.BECH32 else Variant.BECH32
    with pytest.raises(CodecError, match="checksum"):
        bech32.decode_symbols(text, variant=other)
    assert bech32.decode_digits(text, variant=None).variant is LISTS[name]


@settings(max_examples=60, deadline=None)
@given(st.text("abcxyz012_~", min_size=1, max_size=20), st.binary(max_size=900), st.sampled_from(Variant))
def test_bytes_survive_the_round_trip_in_both_cases(hrp: str, data: bytes, variant: Variant) -> None:
    text = bech32.encode(hrp, data, variant=variant)
    assert bech32.decode(text, variant=variant) == (hrp, data)
    assert bech32.decode(text.upper(), variant=variant) == (hrp, data)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=1400), st.data())
def test_one_wrong_character_is_always_noticed_also_beyond_1023_characters(data: bytes, draw: st.DataObject) -> None:
    text = bech32.encode("ln", data)
    position = draw.draw(st.integers(3, len(text) - 1))
    wrong = draw.draw(st.sampled_from([c for c in bech32.CHARSET if c != text[position]]))
    with pytest.raises(CodecError):
        bech32.decode(text[:position] + wrong + text[position + 1 :])


def checksum_of_the_bip(hrp: str, symbols: bytes) -> bytes:
    """The loop of BIP-173, the slow and certain way."""
    register = 1
    high, low = [ord(c) >> 5 for c in hrp], [ord(c) & 31 for c in hrp]
    for symbol in (*high, 0, *low, *symbols, 0, 0, 0, 0, 0, 0):
        top, register = register >> 25, (register & 0x1FFFFFF) << 5 ^ symbol
        for i, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            register ^= term if top >> i & 1 else 0
    return bytes((register ^ 1) >> shift & 31 for shift in range(25, -1, -5))


@pytest.mark.parametrize("length", [0, 1, 1000, 1020, 1030, 2100, 7900])
def test_the_checksum_is_that_of_the_bip_at_every_length(length: int) -> None:
    symbols = bytes(i * 7 % 31 + 1 for i in range(length))
    _, _, written = bech32.encode_symbols("lnbc", symbols).rpartition("1")
    assert bytes(map(bech32.CHARSET.index, written[-6:])) == checksum_of_the_bip("lnbc", symbols)


def test_the_kelvin_sign_is_not_taken_for_a_k() -> None:
    text = bech32.encode("npub", bytes(range(32))).upper()
    assert "K" in text
    with pytest.raises(CodecError, match="a character"):
        bech32.decode(text.replace("K", "\u212a"))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_no_text_raises_anything_but_a_codec_error(text: str) -> None:
    for candidate in (text, f"a1{text}"):
        try:
            bech32.decode(candidate)
        except CodecError:
            continue


@pytest.mark.parametrize("wrong", ["_", "+", "-", " ", "\n", "b", "i", "o", "1", "\u212a", "٣"])
def test_characters_that_int_or_lower_would_let_pass_are_refused(wrong: str) -> None:
    text = bech32.encode("npub", bytes(32))
    for candidate in (text[:20] + wrong + text[20:], text[:20] + wrong + text[21:], text + wrong):
        with pytest.raises(CodecError):
            bech32.decode(candidate)


def test_non_zero_or_long_padding_is_refused() -> None:
    for symbols in (b"\x00\x01", b"\x00", b"\x00\x00\x00"):
        text = bech32.encode_symbols("x", symbols)
        with pytest.raises(CodecError, match="padding"):
            bech32.decode(text)
    assert bech32.decode(bech32.encode_symbols("x", b"\x00\x04")) == ("x", b"\x01")


def test_the_limit_counts_for_reading_and_writing() -> None:
    text = bech32.encode("x", bytes(50))
    assert bech32.encode("x", bytes(50), limit=len(text)) == text
    assert bech32.decode(text, limit=len(text)) == ("x", bytes(50))
    with pytest.raises(CodecError, match="longer"):
        bech32.decode(text, limit=len(text) - 1)
    with pytest.raises(CodecError, match="longer"):
        bech32.encode("x", bytes(50), limit=len(text) - 1)
    with pytest.raises(CodecError, match="longer"):
        bech32.encode("x", bytes(bech32.MAX_LENGTH))


@pytest.mark.parametrize("hrp", ["", "A", "x" * 84, "ü", "a b", "\x7f"])
def test_a_prefix_that_bech32_does_not_allow_is_not_written(hrp: str) -> None:
    with pytest.raises(CodecError):
        bech32.encode(hrp, b"")


def test_a_symbol_of_more_than_5_bits_is_not_written() -> None:
    with pytest.raises(CodecError, match="5 bits"):
        bech32.encode_symbols("x", b"\x20")
