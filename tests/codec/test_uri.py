from __future__ import annotations

from typing import Any

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
    st.lists(st.sampled_from(["wss://a.example/?x=1&y=%20+", "ws://b:1", "wss://[::1]/é#z"]), min_size=1, max_size=3),
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
    "text", ["bitcoin:?req-x=1&lightning=a", "lightning:a", "bitcoin:?a=%ff", "bitcoin:" + "a" * 20_000]
)
def test_a_bitcoin_link_with_unknown_demands_or_bad_text_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        uri.bip321_values(text, "lightning")
