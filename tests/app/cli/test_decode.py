"""What a code says, without asking anybody and without its secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.app.cli.decode import explain
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.text import is_safe
from kitestring.codec import nip19
from kitestring.codec.pointers import Ndebit, Nmanage, Noffer, PriceType, encode
from kitestring.crypto import secp
from tests.kit.app.console import kitestring
from tests.kit.app.desk import RELAY
from tests.kit.clock import NOW
from tests.kit.codec.invoices import NODE_KEY, PAYMENT_HASH, invoice

KEY = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
LINK = (
    "nostr+walletconnect://b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4"
    "?relay=wss%3A%2F%2Frelay.example&secret=71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c"
)


DECODED: dict[str, tuple[str, dict[str, Any]]] = {
    "a wallet connection": (
        LINK,
        {"type": "nwc", "relays": ["wss://relay.example"], "secret": "(not shown)"},
    ),
    "a secret key": (
        "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5",
        {"type": "nsec", "pubkey": "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"},
    ),
    "a public key": (
        "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg",
        {"type": "npub", "pubkey": "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"},
    ),
}


@pytest.mark.parametrize("name", DECODED)
def test_decode_explains_a_code_without_its_secret(name: str) -> None:
    code, expected = DECODED[name]
    told = json.loads(kitestring("--json", "decode", code).stdout)
    assert expected.items() <= told.items()
    for text in (kitestring("decode", code).output, json.dumps(told)):
        assert "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c" not in text
        assert "67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa" not in text


def test_an_invoice_is_explained_with_its_amount_its_payee_and_its_times() -> None:
    told = explain(f"lightning:{invoice(21_000, description='tea', name_payee=True)}")
    assert (told["type"], told["network"], told["amount_msat"], told["description"]) == (
        "bolt11", "regtest", 21_000, "tea",
    )  # fmt: skip
    assert (told["payment_hash"], told["created_at"], told["expires_at"]) == (PAYMENT_HASH, NOW, NOW + 3_600)
    assert told["payee"] == secp.compressed_public(NODE_KEY).hex()
    assert explain(invoice(None))["amount_msat"] is None


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        (invoice(description="tea\x1b[2K\npaid\u202e"), "description", "tea [2K paid"),
        (encode(Noffer(KEY, (RELAY,), "tips\x9b2K\x00")), "offer", "tips 2K"),
        (encode(Ndebit(KEY, (RELAY,), "a\nb")), "pointer", "a b"),
        (nip19.encode(nip19.Address("a\nkind  1", KEY, 1)), "identifier", "a kind  1"),
    ],
)
def test_the_texts_in_a_code_are_a_strangers(code: str, name: str, text: str) -> None:
    assert explain(code)[name] == text
    for out in (kitestring("decode", code).stdout, kitestring("--json", "decode", code).stdout):
        assert text in out
        assert all(is_safe(line) for line in out.split("\n"))


@pytest.mark.parametrize(
    ("pointer", "members"),
    [
        (
            Noffer(KEY, (RELAY,), "tea", PriceType.FIXED, 5),
            {"offer": "tea", "price_type": "fixed", "price_msat": 5_000},
        ),
        (Noffer(KEY, (RELAY,), "tips"), {"offer": "tips", "price_type": "spontaneous", "price_msat": None}),
        (Ndebit(KEY, (RELAY,), "p", "0a" * 32), {"pointer": "p", "session": "(secret, not shown)"}),
        (Nmanage(KEY, (RELAY,), "p"), {"pointer": "p"}),
    ],
)
def test_a_pointer_is_explained_with_its_service_and_relays(
    pointer: Noffer | Ndebit | Nmanage, members: dict[str, Any]
) -> None:
    told = explain(encode(pointer))
    assert (told["service_pubkey"], told["relays"]) == (KEY, [RELAY])
    assert members.items() <= told.items()
    assert "0a" * 32 not in str(told)


@pytest.mark.parametrize(
    ("price_type", "words"), [(PriceType.VARIABLE, "variable: the service names"), (PriceType.SPONTANEOUS, "the payer")]
)
def test_the_kind_of_a_price_is_said_in_words_to_people_alone(price_type: PriceType, words: str) -> None:
    code = encode(Noffer(KEY, (RELAY,), "tips", price_type))
    assert words in kitestring("decode", code).stdout
    assert json.loads(kitestring("decode", code, "--json").stdout)["price_type"] == price_type.name.lower()


def test_what_a_code_has_in_place_of_a_relay_is_named() -> None:
    told = explain(f"\ufeff{LINK}&relay=http%3A%2F%2Fa%1b&label=%E9\n")
    assert (told["relays"], told["left_out"]) == (["wss://relay.example"], ["http://a"])
    assert explain(LINK)["left_out"] == []


def test_a_bare_key_is_shown_as_people_write_it() -> None:
    assert explain(KEY)["npub"].startswith("npub1")


@pytest.mark.parametrize(
    "code", ["user@host.example", "lnurl1dp68gurn8ghj7um9wfmxjcm99e3k7mf0v9cxj0m385ekvcenxc6r2c35"]
)
def test_a_kind_that_is_known_by_name_alone_is_said_to_be_one(code: str) -> None:
    with pytest.raises((KitestringError, CodecError)):
        explain(code)
