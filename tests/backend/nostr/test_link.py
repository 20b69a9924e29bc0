"""The link of a wallet in the setting `node`: what it may look like, and where its secret may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.backend.nostr.link import WalletLink, read_link
from kitestring.backend.registry import BackendUrl
from kitestring.base.errors import KitestringError, Reason
from kitestring.codec.uri import encode_nwc
from tests.kit.client.hostile import nwc_uri

SECRET = nwc_uri("").secret.hex()
BASE = encode_nwc(nwc_uri("wss://one.example")).partition("?")[0]
RELAYS = "relay=wss%3A%2F%2Fone.example&relay=wss://two.example"


def read(text: str, **environment: str) -> WalletLink:
    return read_link(BackendUrl.parse(text), environment)


def test_a_link_is_read_as_wallets_give_it() -> None:
    link = read(f"{BASE}?{RELAYS}&secret={SECRET}&lud16=a@b.example&%26secret=shop")
    assert link.uri.relays == ("wss://one.example", "wss://two.example")
    assert (link.uri.secret.hex(), link.encryption, link.is_literal) == (SECRET, "auto", True)
    assert read(f"{BASE}?{RELAYS}&secret={SECRET}&encryption=legacy").encryption == "legacy"


def test_the_secret_may_be_in_a_file_or_in_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "wallet secret"
    file.write_text(f" {SECRET}\n")
    for secret in (f"file:{file}", f"file%3A{file}", "env:WALLET"):
        link = read(f"{BASE}?{RELAYS}&secret={secret}", WALLET=SECRET)
        assert (link.uri.secret.hex(), link.is_literal) == (SECRET, False)


@pytest.mark.parametrize(("text", "words"), [
    (f"nostr+walletauth://{SECRET}?{RELAYS}&secret={SECRET}", "the link of a wallet"),
    (f"{BASE}?{RELAYS}", "exactly one secret"),
    (f"{BASE}?secret={SECRET}", "names 1 to 8 relays"),
    (f"{BASE}?{RELAYS}&secret={SECRET}x", "64 hex digits"),
    (f"{BASE}?{RELAYS}&secret=env:ABSENT", "there is no variable ABSENT"),
    (f"{BASE}?{RELAYS}&secret=file:/not/there", "/not/there cannot be read"),
    (f"{BASE}?{RELAYS}&secret={SECRET}&encryption=rot13", "one of auto, nip44, legacy"),
    (f"nostr+walletconnect://{'f' * 64}?{RELAYS}&secret={SECRET}", "a point on the curve"),
])  # fmt: skip
def test_what_is_no_link_is_refused_without_showing_its_secret(text: str, words: str) -> None:
    with pytest.raises(KitestringError, match=words) as caught:
        read(text)
    assert caught.value.reason in {Reason.MALFORMED, Reason.UNSUPPORTED}
    assert SECRET not in caught.value.message


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    for content in (b"\xff" * 64, b"0" * 10_000):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(KitestringError):
            read(f"{BASE}?{RELAYS}&secret=file:{tmp_path / 'other'}")
