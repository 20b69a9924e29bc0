"""A URI chooses where the money is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.codec.uri import encode_nwc
from kitestring.sdk.node import NodeSource
from kitestring.sdk.nwc import NwcSource
from kitestring.sdk.opening import open_source
from kitestring.sdk.wallet import Wallet
from tests.kit.client.hostile import (
    net,
    nwc_uri,
)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", Reason.UNSUPPORTED),
        ("ftp://example.com", Reason.UNSUPPORTED),
        ("sandbox://host", Reason.MALFORMED),
        ("nostr+walletconnect://00?relay=wss://r.example&secret=11", Reason.MALFORMED),
    ],
)
def test_a_bad_uri_is_refused_with_a_sentence(uri: str, reason: Reason, tmp_path: Path) -> None:
    with pytest.raises(KitestringError) as caught:
        Wallet.open(uri, data_dir=tmp_path)
    assert caught.value.reason is reason


@pytest.mark.parametrize("scheme", ["nostr+walletconnect://", "NOSTR+WALLETCONNECT://", " nostr+walletconnect:"])
def test_a_connection_uri_is_a_wallet_behind_its_relay(scheme: str) -> None:
    uri = encode_nwc(nwc_uri("wss://relay.example")).replace("nostr+walletconnect://", scheme)
    source = open_source(uri, net(), data_dir=None, environment={})
    assert isinstance(source, NwcSource)
    assert source.relays == ("wss://relay.example",)


def test_any_other_uri_is_a_node_asked_directly(tmp_path: Path) -> None:
    source = open_source(f" sandbox://{tmp_path / 'world.db'} ", net(), data_dir=tmp_path, environment={})
    assert isinstance(source, NodeSource)
    assert source.relays == ()


def test_a_node_has_no_encryption(tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match="only a wallet connection"):
        Wallet.open(f"sandbox://{tmp_path / 'world.db'}", data_dir=tmp_path, encryption="legacy")


def test_a_secret_of_the_environment_stays_there_until_it_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match="MACAROON"):
        open_source("lnd+https://127.0.0.1:1?macaroon=env:MACAROON", net(), data_dir=tmp_path, environment={})
