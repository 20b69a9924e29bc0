from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.codec import uri
from kitestring.codec.uri import NwcUri
from kitestring.crypto import secp
from tests.kit.changed import replace
from tests.kit.vectors import load

VECTORS = load("nwc_uris.json")
KEY = "b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4"
SECRET = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c"
CONNECTION = NwcUri(KEY, ("wss://a.example",), bytes.fromhex(SECRET))


@pytest.mark.parametrize("case", VECTORS["connection"], ids=lambda case: case.get("note", case["uri"][-30:]))
def test_a_connection_link_is_read(case: dict[str, Any]) -> None:
    read = uri.decode_nwc(case["uri"])
    secret = bytes.fromhex(case["secret"])
    assert read == NwcUri(case["wallet_pubkey"], tuple(case["relays"]), secret, case["lud16"])
    assert secp.xonly_public(read.secret).hex() == case["client_pubkey"]
    assert (uri.encode_nwc(read) == case["uri"]) is case["emit"]


@pytest.mark.parametrize("case", VECTORS["connection_invalid"], ids=lambda case: case["reason"])
def test_a_bad_connection_link_is_refused_without_showing_its_secret(case: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        uri.decode_nwc(case["uri"])
    assert SECRET[:8] not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["wss://a.example/?x=1&y=%20+", "ws://b:1", "wss://[::1]/é"]), min_size=1, max_size=3),
    st.none() | st.sampled_from(["a@b.example", "a+b@b.example"]),
)
def test_a_connection_survives_the_round_trip(relays: list[str], lud16: str | None) -> None:
    connection = NwcUri(KEY, tuple(relays), bytes.fromhex(SECRET), lud16)
    assert uri.decode_nwc(uri.encode_nwc(connection)) == connection


def test_the_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(CONNECTION)
    assert str(CONNECTION.secret) not in repr(CONNECTION)


@pytest.mark.parametrize(
    "change",
    [
        {"relays": ()},
        {"relays": ("wss://a.example",) * 9},
        {"relays": ("http://a.example",)},
        {"secret": bytes(32)},
        {"service_pubkey": KEY.upper()},
        {"service_pubkey": "0" * 64},
    ],
)
def test_an_unusable_connection_is_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        uri.encode_nwc(replace(CONNECTION, **change))


@pytest.mark.parametrize("lud16", ["", "a" * 400, "a%0a@b.example"])
def test_an_address_that_is_none_is_left_out(lud16: str) -> None:
    assert uri.decode_nwc(f"{uri.encode_nwc(CONNECTION)}&lud16={lud16}").lud16 is None


@pytest.mark.parametrize("text", ["", "nostr+walletconnect", "nostr+walletconnect://", "x" * 20_000])
def test_what_is_no_link_at_all_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        uri.decode_nwc(text)


def test_values_of_a_bitcoin_link_are_found_in_order_and_in_any_case() -> None:
    link = "BITCOIN:BC1Q?Lightning=LNBC1&amount=0.1&lightning=lnbc2&lno=lno1x&pop=a%3ab&lightning="
    assert uri.bip321_values(link, "lightning") == ["LNBC1", "lnbc2"]
    assert uri.bip321_values(link, "lno") == ["lno1x"]
    assert uri.bip321_values(link, "noffer") == []
    assert uri.bip321_values(link, "pop") == ["a:b"]


@pytest.mark.parametrize(
    "text",
    [
        "bitcoin:?req-x=1&lightning=a",
        "bitcoin:?lightning=a&req-pop=app%3a",
        "bitcoin:?lightning=a&req-%ff=1",
        "lightning:a",
        "bitcoin:" + "a" * 20_000,
        "bitcoin:?amount=42&amount=42",
        "bitcoin:?AMOUNT=42&amount=43",
        "bitcoin:?label=a&label=b",
        "bitcoin:?amount=50,000.00",
        "bitcoin:?amount=-1",
        "bitcoin:?amount=1e3",
        "bitcoin:?amount=.5",
        "bitcoin:?amount=1.",
        "bitcoin:?amount=%ff",
        "bitcoin:?amount=0.123456789012",
        "bitcoin:?amount=21000001",
    ],
)
def test_a_bitcoin_link_with_unknown_demands_or_an_amount_that_nobody_can_read_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        uri.bip321_values(text, "lightning")


@pytest.mark.parametrize(
    ("amount", "msat"),
    [
        ("20.3", 2_030_000_000_000),
        ("0.00000001", 1_000),
        ("0.00000000001", 1),
        ("50", 5_000_000_000_000),
        ("21000000", 2_100_000_000_000_000_000),
        ("0", None),
        ("", None),
    ],
)
def test_the_amount_of_a_bitcoin_link_is_exact(amount: str, msat: int | None) -> None:
    assert uri.decode_bip321(f"bitcoin:?lightning=a&amount={amount}").amount_msat == msat
    assert uri.decode_bip321("bitcoin:?lightning=a").amount_msat is None


def test_a_value_that_is_no_text_spoils_no_other() -> None:
    assert uri.bip321_values("bitcoin:?label=caf%E9&lightning=a&message=%ff", "lightning") == ["a"]
    link = f"{uri.encode_nwc(CONNECTION)}&relay=wss%3A%2F%2Fcaf%E9.example&relay=wss%3A%2F%2Fb.example&lud16=caf%E9"
    read = uri.decode_nwc(link)
    assert (read.relays, read.left_out, read.lud16) == (
        ("wss://a.example", "wss://b.example"), ("wss://caf\udce9.example",), None,
    )  # fmt: skip


def test_one_bad_relay_among_good_ones_is_left_out_and_named() -> None:
    bad = ["http://a.example", "wss://u:p@b.example", "", "wss://c.example#x"]
    link = uri.encode_nwc(CONNECTION) + "".join(f"&relay={quote(relay, safe='')}" for relay in bad)
    assert (uri.decode_nwc(link).relays, uri.decode_nwc(link).left_out) == (CONNECTION.relays, tuple(bad))
    many = uri.encode_nwc(CONNECTION) + "".join(f"&relay=wss://r{number}" for number in range(9))
    assert len(uri.decode_nwc(many).relays) == uri.MAX_RELAYS
    assert uri.decode_nwc(many).left_out == ("wss://r7", "wss://r8")


def test_a_connection_link_is_read_as_pasting_leaves_it() -> None:
    link = uri.encode_nwc(CONNECTION)
    for pasted in (
        f"\ufeff{link}",
        f"{link[:90]}\r\n  {link[90:]}\n",
        f"{link[:40]}\u200b{link[40:]}\u2060",
        f"\xa0{link} ",
    ):
        assert uri.decode_nwc(pasted) == CONNECTION


def test_a_relay_stays_as_it_is_written() -> None:
    link = uri.encode_nwc(replace(CONNECTION, relays=("wss://A.example:443/Path/",)))
    assert uri.decode_nwc(link).relays == ("wss://A.example:443/Path/",)
