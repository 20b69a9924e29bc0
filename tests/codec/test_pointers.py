from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.codec import bech32, pointers, tlv
from kitestring.codec.pointers import Ndebit, Nmanage, Noffer, Pointer, PriceType
from tests.kit.vectors import DIRECTORY, load

VECTORS = load("clink_pointers.json")
INTEROP = load("clinksdk_interop.json")["bech32_roundtrip"]
READ = [*VECTORS["published"], *VECTORS["own_accept"]]
KEY = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
OFF_CURVE = "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34"
RELAY = "wss://relay.example.com"


def expected(hrp: str, decoded: dict[str, Any]) -> Pointer:
    key, relays = decoded["pubkey"], tuple(decoded["relays"])
    if hrp == "noffer":
        price_type = PriceType[decoded["price_type"].upper()]
        fiat = decoded.get("fiat_price")
        return Noffer(key, relays, decoded["offer"], price_type, decoded["price_sats"], decoded["currency"], fiat)
    if hrp == "ndebit":
        return Ndebit(key, relays, decoded["pointer"], decoded["k1"])
    return Nmanage(key, relays, decoded["pointer"])


@pytest.mark.parametrize("case", READ, ids=lambda case: case["id"])
def test_a_pointer_that_peers_publish_is_read(case: dict[str, Any]) -> None:
    assert pointers.decode(case["string"]) == expected(case["hrp"], case["decoded"])
    _, data = bech32.decode(case["string"])
    assert [[kind, value.hex()] for kind, value in tlv.decode(data)] == case["tlv"]


@pytest.mark.parametrize(
    "case", [case for case in READ if case.get("canonical") or case.get("emit")], ids=lambda case: case["id"]
)
def test_our_form_is_exactly_the_one_of_the_peers(case: dict[str, Any]) -> None:
    assert pointers.encode(expected(case["hrp"], case["decoded"])) == case["string"]


@pytest.mark.parametrize("case", VECTORS["own_reject"], ids=lambda case: case["id"])
def test_a_pointer_that_must_be_refused_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        pointers.decode(case["string"])


@pytest.mark.parametrize("case", VECTORS["input_forms"], ids=lambda case: case["why"])
def test_a_pasted_form_is_unwrapped(case: dict[str, Any]) -> None:
    assert pointers.normalise_input(case["input"]) == case["extract"]
    assert pointers.decode(case["input"]) == pointers.decode(case["extract"])


def test_the_interop_file_of_clink_sdk_is_an_exact_copy() -> None:
    digest = sha256((DIRECTORY / "clinksdk_interop.json").read_bytes()).hexdigest()
    assert digest == "e162a033d7044e4b0795f0f9f9f41b9cbcfafd295c17b15a04636944d5946137"


@pytest.mark.parametrize("name", INTEROP)
def test_an_interop_vector_of_clink_sdk_makes_the_round_trip(name: str) -> None:
    decoded = {"relays": [INTEROP[name]["decoded"]["relay"]], "k1": None, **INTEROP[name]["decoded"]}
    if name == "noffer":
        decoded |= {"price_type": "fixed", "price_sats": decoded["price"], "currency": None}
    pointer = expected(name.partition("_")[0], decoded)
    assert pointers.decode(INTEROP[name]["encoded"]) == pointer
    assert pointers.encode(pointer) == INTEROP[name]["encoded"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
RELAYS = st.lists(st.sampled_from([RELAY, "ws://b.example:7/x"]), min_size=1, max_size=4).map(tuple)
OFFERS = st.one_of(
    st.builds(Noffer, st.just(KEY), RELAYS, TEXT),
    st.builds(
        Noffer,
        st.just(KEY),
        RELAYS,
        TEXT,
        st.sampled_from([PriceType.FIXED, PriceType.VARIABLE]),
        st.none() | st.integers(1, 2**32 - 1),
    ),
    st.builds(Noffer, st.just(KEY), RELAYS, TEXT, st.just(PriceType.VARIABLE), currency=st.just("EUR")),
)
K1 = st.binary(min_size=32, max_size=32).map(bytes.hex)
OTHERS = st.one_of(
    st.builds(Ndebit, st.just(KEY), RELAYS, st.none() | TEXT, st.none() | K1),
    st.builds(Nmanage, st.just(KEY), RELAYS, st.none() | TEXT),
)


@settings(max_examples=80, deadline=None)
@given(OFFERS | OTHERS)
def test_a_pointer_survives_the_round_trip(pointer: Pointer) -> None:
    assert pointers.decode(pointers.encode(pointer)) == pointer


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["noffer", "ndebit", "nmanage"]), st.lists(st.tuples(st.integers(0, 6), st.binary(max_size=34))))
def test_any_entries_are_read_or_refused_with_a_codec_error(hrp: str, entries: list[tuple[int, bytes]]) -> None:
    text = bech32.encode(hrp, tlv.encode([(0, bytes.fromhex(KEY)), (2, b"x"), *entries]))
    try:
        pointer = pointers.decode(text)
    except CodecError:
        return
    assert pointer.pubkey == KEY


def offer(*entries: tuple[int, bytes]) -> str:
    return bech32.encode("noffer", tlv.encode([(0, bytes.fromhex(KEY)), (1, RELAY.encode()), (2, b"x"), *entries]))


@pytest.mark.parametrize(
    "entries",
    [
        [(4, b"")],
        [(4, bytes(9))],
        [(5, b"\xff")],
        [(5, b"")],
        [(5, b"US D")],
        [(5, b"USD"), (3, b"\x02")],
        [(9, b""), (9, b"")],
    ],
)
def test_a_bad_price_or_currency_is_refused(entries: list[tuple[int, bytes]]) -> None:
    with pytest.raises(CodecError):
        pointers.decode(offer(*entries))


def test_a_price_of_zero_means_that_the_code_does_not_say() -> None:
    read = pointers.decode(offer((3, b"\x00"), (4, bytes(4))))
    assert isinstance(read, Noffer)
    assert (read.price_type, read.price_sats) == (PriceType.FIXED, None)


def test_a_price_beyond_32_bits_is_left_to_the_service() -> None:
    written = pointers.encode(Noffer(KEY, (RELAY,), "x", PriceType.FIXED, 1 << 32))
    assert pointers.decode(written) == Noffer(KEY, (RELAY,), "x", PriceType.FIXED)


def test_a_fiat_price_is_read_for_display_and_never_written() -> None:
    read = pointers.decode(offer((3, b"\x01"), (4, b"\x01\xf3"), (5, b"usd")))
    assert read == Noffer(KEY, (RELAY,), "x", PriceType.VARIABLE, None, "USD", 499)
    assert pointers.decode(pointers.encode(read)) == Noffer(KEY, (RELAY,), "x", PriceType.VARIABLE, None, "USD")


@pytest.mark.parametrize(
    "pointer",
    [
        Noffer(OFF_CURVE, (RELAY,), "x"),
        Noffer("00", (RELAY,), "x"),
        Noffer(KEY, (), "x"),
        Noffer(KEY, (RELAY,) * 5, "x"),
        Noffer(KEY, ("https://a.example",), "x"),
        Noffer(KEY, ("wss://" + "a" * 250,), "x"),
        Noffer(KEY, (RELAY,), ""),
        Noffer(KEY, (RELAY,), "\ud800"),
        Noffer(KEY, (RELAY,), "x" * 256),
        Noffer(KEY, (RELAY,), "x", PriceType.SPONTANEOUS, 1),
        Noffer(KEY, (RELAY,), "x", PriceType.FIXED, 0),
        Noffer(KEY, (RELAY,), "x", PriceType.FIXED, 21 * 10**14 + 1),
        Noffer(KEY, (RELAY,), "x", PriceType.FIXED, None, "EUR"),
        Noffer(KEY, (RELAY,), "x", PriceType.VARIABLE, 1, "EUR"),
        Noffer(KEY, (RELAY,), "x", PriceType.VARIABLE, None, "eur"),
        Ndebit(KEY, (RELAY,), None, "01" * 31),
    ],
)
def test_what_a_peer_could_misread_is_not_written(pointer: Pointer) -> None:
    with pytest.raises(CodecError):
        pointers.encode(pointer)


def test_a_bitcoin_link_without_a_code_is_refused() -> None:
    with pytest.raises(CodecError, match="noffer"):
        pointers.decode("bitcoin:?lightning=lnbc1")


def _code(*relays: bytes) -> str:
    entries = [(3, b"\x02"), (2, b"tips"), *((1, relay) for relay in relays), (0, bytes.fromhex(KEY))]
    return bech32.encode("noffer", tlv.encode(entries), limit=5_000)


def test_one_bad_relay_among_good_ones_is_left_out_and_named() -> None:
    found = pointers.decode(_code(b"http://a", b"wss://B.example/", b"\xff"))
    assert (found.relays, found.left_out) == (("wss://B.example/",), ("http://a", "\udcff"))
    for only_bad in (_code(b"http://a"), _code(b"\xff", b"wss://u@a")):
        with pytest.raises(CodecError, match="relay"):
            pointers.decode(only_bad)


def test_the_first_code_of_a_link_that_can_be_read_counts() -> None:
    good = _code(b"wss://a.example")
    assert pointers.decode(f"bitcoin:?noffer={good[:-1]}&noffer={good}&label=%E9") == pointers.decode(good)
    with pytest.raises(CodecError):
        pointers.decode(f"bitcoin:?noffer={good[:-1]}&noffer=noffer1")
    with pytest.raises(CodecError, match="carries no noffer code"):
        pointers.decode("bitcoin:?lightning=lnbc1")
