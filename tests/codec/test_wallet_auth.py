"""Requests for a connection: three generations are read, and nothing in them is guessed."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.codec.wallet_auth import (
    MAX_LENGTH,
    MAX_METHODS,
    MAX_RELAYS,
    MAX_STATE_CHARS,
    decode_wallet_auth,
    is_wallet_auth,
)
from tests.kit.vectors import load

VECTORS = load("nwc_uris.json")
KEY = "b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4"
STATE = "9f2c4a7be1d3480c" * 2
WHOLE = f"nostr+walletauth://{KEY}?relay=wss%3A%2F%2Fa.example&state={STATE}&request_methods=get_info"
#: Members of the vectors under our names, and what they are where they are not said.
MEMBERS: dict[str, tuple[str, Any]] = {
    "client_pubkey": ("client", ""), "relays": ("relays", []), "state": ("state", ""),
    "request_methods": ("methods", []), "optional_request_methods": ("optional", []),
    "notification_types": ("notifications", []), "isolated": ("isolated", False), "expires_at": ("expires_at", None),
    "max_amount_msat": ("max_amount_msat", None), "renewal_period": ("renewal", "never"), "name": ("name", ""),
    "return_to": ("return_to", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", VECTORS["wallet_auth"], ids=lambda case: case["generation"])
def test_a_request_of_each_generation_is_read(case: dict[str, Any]) -> None:
    found = decode_wallet_auth(case["uri"])
    for member, (name, default) in MEMBERS.items():
        value = getattr(found, name)
        plain = list(value) if isinstance(value, tuple) else int(value) if isinstance(value, Msat) else value
        assert plain == (case.get(member) or default), member
    assert found.is_linked == case["generation"].startswith("2024")
    assert is_wallet_auth(case["uri"])


@pytest.mark.parametrize("case", VECTORS["wallet_auth_invalid"], ids=lambda case: case["reason"])
def test_a_wrong_request_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        decode_wallet_auth(case["uri"])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (WHOLE.replace("nostr+walletauth", "nostr+walletconnect"), "no request"),
        (WHOLE.replace("nostr+walletauth", "nostr+walletauth+a/b"), "no request"),
        ("nostr+walletauth", "no request"),
        (WHOLE.replace(KEY, KEY[:-1]), "key of the app"),
        (WHOLE.replace(KEY, "0" * 64), "key of the app"),
        (WHOLE.replace("wss%3A", "https%3A"), "no relay"),
        (WHOLE + f"&state={STATE}", "two values of 'state'"),
        (WHOLE + "&max_amount=5&budget_renewal=daily&renewal_period=daily", "two values of 'renewal_period'"),
        (WHOLE.replace(STATE, "z" * 32), "can be guessed"),
        (WHOLE.replace(STATE, "a" * (MAX_STATE_CHARS + 1)), "can be guessed"),
        (WHOLE.replace("get_info", ""), "names no method"),
        (WHOLE.replace("get_info", "Pay%0A"), "a list of at most"),
        (WHOLE.replace("get_info", "+".join(f"m{n}" for n in range(9))), "a list of at most"),
        (WHOLE.replace("get_info", "%20".join(f"m{n}" for n in range(MAX_METHODS + 1))), "a list of at most"),
        (WHOLE + "&expires_at=soon", "no whole number"),
        (WHOLE + "&max_amount=1.5", "no whole number"),
        (WHOLE + "&max_amount=9999999999999999", "no possible amount"),
        (WHOLE.replace("state", "secret") + "&budget=1e4/daily", "no number of sats"),
        (WHOLE.replace("state", "secret") + "&budget=10/hourly", "the period is one of"),
        (WHOLE + "&x=" + "a" * MAX_LENGTH, "longer"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(text: str, word: str) -> None:
    with pytest.raises(CodecError, match=word):
        decode_wallet_auth(text)


def test_the_words_of_the_app_are_cut_and_have_no_control_characters() -> None:
    found = decode_wallet_auth(WHOLE + "&name=" + "%1B%5B2J" + "n" * 100 + "&return_to=app%3A%0A" + "r" * 2_000)
    assert found.name.isprintable()
    assert len(found.name) <= 64
    assert found.return_to.isprintable()
    assert len(found.return_to) <= 1_024


def test_relays_that_cannot_be_used_or_are_too_many_are_left_out() -> None:
    many = "".join(f"&relay=wss%3A%2F%2F{number}.example" for number in range(9))
    found = decode_wallet_auth(WHOLE + "&relay=ftp%3A%2F%2Fx" + many)
    assert found.relays == ("wss://a.example", "wss://0.example", "wss://1.example", "wss://2.example")
    assert len(found.relays) == MAX_RELAYS


def test_a_method_that_is_named_twice_counts_once_and_an_old_budget_may_have_no_period() -> None:
    found = decode_wallet_auth(WHOLE.replace("state", "secret").replace("get_info", "get_info,get_info") + "&budget=7")
    assert found.methods == ("get_info",)
    assert (found.max_amount_msat, found.renewal) == (Msat(7_000), "never")


@pytest.mark.parametrize("text", ["nostr+walletconnect://x", "nostr:walletauth", "", "nostrnwc://connect"])
def test_other_links_are_no_requests(text: str) -> None:
    assert not is_wallet_auth(text)
