from __future__ import annotations

import pytest

from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.codec.target import Target, candidates, classify, link_amount
from tests.kit.vectors import load

KEY = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
INVOICES = [case["invoice"] for case in load("bolt11.json")["valid"]]
POINTERS = [(case["hrp"], case["string"]) for case in load("clink_pointers.json")["published"]]
ENTITIES = [(case["decoded"]["prefix"], case["string"]) for case in load("nip19.json")["valid"]]
CONNECTIONS = [case["uri"] for case in load("nwc_uris.json")["connection"]]


@pytest.mark.parametrize(
    ("kind", "text"),
    [*(("bolt11", text) for text in INVOICES), *POINTERS, *ENTITIES],
    ids=lambda value: value[:16],
)
def test_every_published_text_is_recognised_with_and_without_wrapping(kind: str, text: str) -> None:
    middle = len(text) // 2
    pasted = f"\ufeff{text[:middle]}\r\n\t{text[middle:]}\u200b\n"
    wrapped = [
        pasted,
        f"bitcoin:?label=%E9&lightning={pasted}",
        text,
        f" {text}\n",
        f"lightning:{text}",
        f"LIGHTNING://{text.upper()}",
        f"nostr:{text}",
    ]
    wrapped.append(f"bitcoin:bc1q?amount=1&lightning={text}")
    assert {classify(form) for form in wrapped} == {(Target(kind), text.lower())}


@pytest.mark.parametrize("text", CONNECTIONS, ids=lambda value: value[-20:])
def test_a_wallet_connection_is_recognised_and_left_as_it_is(text: str) -> None:
    assert classify(f" {text} ") == (Target.NWC, text)


@pytest.mark.parametrize(
    ("text", "kind", "normalised"),
    [
        ("Alice@Pay.example", "address", "alice@pay.example"),
        ("₿alice@pay.example", "address", "alice@pay.example"),
        ("lightning:alice+tip@pay.example", "address", "alice+tip@pay.example"),
        (KEY.upper(), "pubkey", KEY),
        ("LNURL1DP68", "lnurl", "lnurl1dp68"),
        ("lnurlp://a.example/x", "lnurl", "lnurlp://a.example/x"),
        ("https://a.example/?x=1&lightning=LNURL1DP68", "lnurl", "lnurl1dp68"),
        ("https://a.example/Paid", "url", "https://a.example/Paid"),
        ("lno1pg", "bolt12", "lno1pg"),
        ("bitcoin:?lno=LNO1PG", "bolt12", "lno1pg"),
        ("bitcoin:?noffer=noffer1x&lightning=lnbc1x", "bolt11", "lnbc1x"),
        ("bitcoin:?noffer=noffer1x", "noffer", "noffer1x"),
        ("lnBC1x", "bolt11", "lnBC1x"),
    ],
)
def test_other_forms_are_recognised_and_mixed_case_is_left_for_the_decoder(
    text: str, kind: str, normalised: str
) -> None:
    assert classify(text) == (Target(kind), normalised)


@pytest.mark.parametrize("text", ["", "hello", "bitcoin:1abc?amount=1", "lnxyz1", "nofferx", "a@", "x" * 20_000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        classify(text)


def test_a_link_may_carry_several_and_all_of_them_are_told_in_the_order_of_trying() -> None:
    link = "bitcoin:?lno=lno1x&noffer=noffer1x&lightning=hello&lightning=&lightning=LNBC1A&lightning=lightning:lnbc1b"
    assert candidates(link) == [
        (Target.BOLT11, "lnbc1a"),
        (Target.BOLT11, "lnbc1b"),
        (Target.NOFFER, "noffer1x"),
        (Target.BOLT12, "lno1x"),
    ]
    assert candidates("lnbc1a") == [(Target.BOLT11, "lnbc1a")]
    with pytest.raises(CodecError, match="this is no invoice"):
        candidates("bitcoin:?lightning=hello&noffer=hi")


@pytest.mark.parametrize("text", ["me@pay.exam\nple", "me@pay.example\nThanks", "https://a.example/\nx"])
def test_an_address_is_not_put_together_out_of_two_lines(text: str) -> None:
    with pytest.raises(CodecError, match="one line"):
        classify(text)


def test_only_a_bitcoin_link_names_an_amount() -> None:
    assert link_amount("\ufeffBITCOIN:?amount=0.00000021&lightning=a") == Msat(21_000)
    assert link_amount("lightning:lnbc1?amount=5") is None
    with pytest.raises(CodecError):
        link_amount("bitcoin:?amount=x")


@pytest.mark.parametrize("end", ["amount=0.1\n2", "amount=0.00021\n1&lightning=a", "amount=0.0\n0021&lightning=a"])
def test_an_amount_is_not_put_together_out_of_two_lines(end: str) -> None:
    for read in (link_amount, classify):
        with pytest.raises(CodecError, match="one line"):
            read(f"bitcoin:?noffer=noffer1x&{end}")


@pytest.mark.parametrize(
    "rest", ["amount=1\n&noffer=noffer1x", "noffer=noff\ner1x&amount=1\n", "Amount=1&nof\nfer=noffer1x"]
)
def test_elsewhere_a_link_may_be_wrapped(rest: str) -> None:
    assert link_amount(f"bitcoin:?{rest}") == Msat(100_000_000_000)
