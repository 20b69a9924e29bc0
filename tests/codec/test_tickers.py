"""Where a price is asked, and how it is read out of answers as exchanges give them, and as they do not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kitestring.base.errors import CodecError
from kitestring.codec.tickers import DEFAULT_TICKERS, MAX_ANSWER_BYTES, TICKERS, own_ticker, read_price

#: Answers in the form of each exchange, cut to what surrounds the price.
ANSWERS = {
    "kraken": b'{"error":[],"result":{"XXBTZEUR":{"a":["97013.0","1","1.0"],"c":["97012.34","0.001"],"o":"96000.0"}}}',
    "coinbase": b'{"data":{"amount":"97012.34","base":"BTC","currency":"EUR"}}',
    "bitstamp": b'{"timestamp":"1760000000","high":"98000","last":"97012.34","open":"96000"}',
    "bitfinex": b"[97010,5.2,97015,4.1,120,0.0012,97012.34,310.5,98000,95000]",
    "coingecko": b'{"bitcoin":{"eur":97012.34}}',
    "gemini": b'{"bid":"97010.00","ask":"97015.00","last":"97012.34","volume":{"BTC":"1.0","timestamp":1760000000000}}',
    "binance": b'{"symbol":"BTCEUR","price":"97012.34000000"}',
    "bitpay": b'{"data":{"code":"EUR","name":"Eurozone Euro","rate":97012.34}}',
    "yadio": b'{"BTC":97012.34,"EUR":{"USD":1.16},"base":"EUR","timestamp":1760000000000}',
}
URLS = {
    "kraken": "https://api.kraken.com/0/public/Ticker?pair=XBTEUR",
    "coinbase": "https://api.coinbase.com/v2/prices/BTC-EUR/spot",
    "bitstamp": "https://www.bitstamp.net/api/v2/ticker/btceur/",
    "bitfinex": "https://api-pub.bitfinex.com/v2/ticker/tBTCEUR",
    "coingecko": "https://api.coingecko.com/api/v3/simple/price?ids=bitcoin&vs_currencies=eur",
    "gemini": "https://api.gemini.com/v1/pubticker/btceur",
    "binance": "https://api.binance.com/api/v3/ticker/price?symbol=BTCEUR",
    "bitpay": "https://bitpay.com/rates/BTC/EUR",
    "yadio": "https://api.yadio.io/exrates/EUR",
}


@pytest.mark.parametrize("name", TICKERS)
def test_each_exchange_is_asked_and_read_in_its_own_form(name: str) -> None:
    assert TICKERS[name].url("EUR") == URLS[name]
    assert TICKERS[name].read(ANSWERS[name], "EUR") == Decimal("97012.34")


def test_the_first_five_are_asked_where_nobody_says_otherwise() -> None:
    assert DEFAULT_TICKERS == ("kraken", "coinbase", "bitstamp", "bitfinex", "coingecko")


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        ("", b"97012.34"),
        ("", b' "97012.34"\n'),
        ("/a~1b/m~0n", b'{"a/b":{"m~n":97012.34}}'),
        ("/*/1/price", b'{"whatever":[0,{"price":"97012.34"}]}'),
        ("/*", b'{"a":1,"*":97012.34}'),
        ("/a", b'{"a":9.701234e4}'),
        ("/a", b'{"a":97012.34000000000000000001}'),
    ],
)
def test_a_price_is_read_where_the_place_says(place: str, answer: bytes) -> None:
    assert read_price(answer, place) == Decimal("97012.34")


def test_no_digit_goes_through_a_float() -> None:
    assert read_price(b"100.000001", "") == Decimal("100.000001")
    assert str(read_price(b"1234567.89", "")) == "1234567.89"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "not JSON"),
        (b"<html>down for maintenance</html>", "not JSON"),
        (b'{"a":97012.34', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 50_000, "not JSON"),
        (b" " * (MAX_ANSWER_BYTES + 1), "too long"),
        (b'{"a":97012.34,"a":9701.2}', "two members of one name"),
        (b'{"a":NaN}', "NaN is no price"),
        (b'{"a":Infinity}', "Infinity is no price"),
        (b'{"a":-97012.34}', "no price"),
        (b'{"a":0}', "no price"),
        (b'{"a":0.0000103}', "no price"),
        (b'{"a":1e400}', "no price"),
        (b'{"a":1e99999999999999999999}', "not JSON"),
        (b'{"a":' + b"9" * 60_000 + b"}", "no price"),
        (b'{"a":null}', "no number"),
        (b'{"a":true}', "no number"),
        (b'{"a":"97,012.34"}', "no number"),
        (b'{"a":"97012.34 EUR"}', "no number"),
        (b'{"a":"-97012"}', "no number"),
        (b'{"a":"NaN"}', "no number"),
        (b'{"a":"9e4"}', "no number"),
        ('{"a":"٩٧٠١٢"}'.encode(), "no number"),
        (b'{"a":[97012.34]}', "no number"),
        (b'{"b":97012.34}', "no number"),
        (b"[97012.34]", "no number"),
        (b"97012.34", "no number"),
    ],
)
def test_what_is_no_price_is_refused(answer: bytes, why: str) -> None:
    with pytest.raises(CodecError, match=why) as caught:
        read_price(answer, "/a")
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("place", "answer"),
    [("/*", b'{"a":97012,"b":97012}'), ("/*", b"[97012]"), ("/1", b"[97012]"), ("/-1", b"[97012]"),
     ("/a/b", b'{"a":97012}'), ("/" + "9" * 5_000, b"[97012]")],
)  # fmt: skip
def test_a_place_that_is_not_there_holds_no_price(place: str, answer: bytes) -> None:
    with pytest.raises(CodecError, match="no number where the price should be"):
        read_price(answer, place)


def test_a_url_of_the_owner_is_a_source_named_by_its_host() -> None:
    found = own_ticker("http://127.0.0.1:8080/{CURRENCY}?in={currency}#/{currency}/a%20b")
    assert found.name == "127.0.0.1:8080"
    assert found.url("EUR") == "http://127.0.0.1:8080/EUR?in=eur"
    assert found.read(b'{"eur":{"a b":97012.34}}', "EUR") == Decimal("97012.34")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "must look like"),
        ("ftp://host/", "must look like"),
        ("https:///x", "must look like"),
        ("https://host:x/", "must look like"),
        ("https://[::1/", "must look like"),
        ("https://host/#price", "what follows # is the place"),
    ],
)
def test_a_url_that_cannot_be_asked_is_refused_before_anybody_asks(pattern: str, why: str) -> None:
    with pytest.raises(CodecError, match=why):
        own_ticker(pattern)
