"""Public tickers, one row each: where the price of a bitcoin in a currency is asked, and where it stands in the answer.

A source is one URL. ``{CURRENCY}`` and ``{currency}`` in it stand for the code, in upper and lower case; what follows
``#`` is the place of the price in the JSON answer, a pointer of RFC 6901 (``#/result/price``). A ``*`` in it is the
only member, whatever its name. Without a place the whole answer is the price.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from kitestring.base.currency import rounded_price
from kitestring.base.errors import CodecError, KitestringError

#: Bytes of an answer that are read: one that names every currency has about 10 kB.
MAX_ANSWER_BYTES: Final = 65_536
#: The longest digits of a price that any ticker writes are about 20; a text with separators is not guessed at.
_DIGITS: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,30})?", re.ASCII)
_ONLY: Final = "*"


@dataclass(frozen=True, slots=True)
class Ticker:
    """A source of prices; ``pattern`` is its URL with the place of the price."""

    name: str
    pattern: str

    def url(self, currency: str) -> str:
        """The URL at which the price in a currency is asked."""
        asked = self.pattern.partition("#")[0]
        return asked.replace("{CURRENCY}", currency).replace("{currency}", currency.lower())

    def read(self, answer: bytes, currency: str) -> Decimal:
        """The price of one bitcoin in the answer. Raises CodecError."""
        return read_price(answer, self._place(currency))

    def _place(self, currency: str) -> str:
        place = unquote(self.pattern.partition("#")[2])
        return place.replace("{CURRENCY}", currency).replace("{currency}", currency.lower())


_ROWS: Final = (
    Ticker("kraken", "https://api.kraken.com/0/public/Ticker?pair=XBT{CURRENCY}#/result/*/c/0"),
    Ticker("coinbase", "https://api.coinbase.com/v2/prices/BTC-{CURRENCY}/spot#/data/amount"),
    Ticker("bitstamp", "https://www.bitstamp.net/api/v2/ticker/btc{currency}/#/last"),
    Ticker("bitfinex", "https://api-pub.bitfinex.com/v2/ticker/tBTC{CURRENCY}#/6"),
    Ticker(
        "coingecko",
        "https://api.coingecko.com/api/v3/simple/price?ids=bitcoin&vs_currencies={currency}#/bitcoin/{currency}",
    ),
    Ticker("gemini", "https://api.gemini.com/v1/pubticker/btc{currency}#/last"),
    Ticker("binance", "https://api.binance.com/api/v3/ticker/price?symbol=BTC{CURRENCY}#/price"),
    Ticker("bitpay", "https://bitpay.com/rates/BTC/{CURRENCY}#/data/rate"),
    Ticker("yadio", "https://api.yadio.io/exrates/{CURRENCY}#/BTC"),
)
#: The sources by name.
TICKERS: Final[Mapping[str, Ticker]] = {row.name: row for row in _ROWS}
#: Those that are asked where the owner names none: the first five.
DEFAULT_TICKERS: Final = tuple(TICKERS)[:5]


def own_ticker(pattern: str) -> Ticker:
    """The source at a URL of the owner's; its name is host and port. Raises CodecError."""
    place = pattern.partition("#")[2]
    try:
        parts = urlsplit(pattern.partition("#")[0])
        is_whole = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise CodecError("it must look like https://example.com/btc-{currency}#/place/of/the/price")
    if place and not place.startswith("/"):
        raise CodecError("what follows # is the place of the price in the answer, such as #/result/price")
    return Ticker(parts.netloc.rpartition("@")[2], pattern)


def read_price(answer: bytes, place: str) -> Decimal:
    """The price of one bitcoin at ``place`` of a JSON answer, a number or a text of digits, to nine digits.

    Raises CodecError for an answer that is no JSON or has two meanings, and for what is no price.
    """
    found = _at(_loads(answer), place)
    if isinstance(found, str) and _DIGITS.fullmatch(found):
        found = Decimal(found)
    if not isinstance(found, Decimal):
        raise CodecError("there is no number where the price should be")
    try:
        return rounded_price(found)
    except KitestringError as error:
        raise CodecError(error.message) from error


def _loads(answer: bytes) -> Any:
    if len(answer) > MAX_ANSWER_BYTES:
        raise CodecError("the answer is too long")
    try:
        return _DECODER.decode(answer.decode())
    except CodecError:
        raise
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise CodecError("the answer is not JSON") from error


def _no_number(word: str) -> Decimal:
    raise CodecError(f"{word} is no price of a bitcoin")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise CodecError("the answer has two members of one name")
    return found


#: Reads every number as a decimal.
_DECODER: Final = json.JSONDecoder(
    parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number, object_pairs_hook=_object
)


def _at(value: Any, place: str) -> Any:
    """The value at a JSON pointer (RFC 6901), None where there is nothing."""
    for part in place.split("/")[1:]:
        if isinstance(value, dict):
            members = list(value.values())
            name = part.replace("~1", "/").replace("~0", "~")
            value = members[0] if part == _ONLY and len(members) == 1 else value.get(name)
        elif isinstance(value, list) and part.isascii() and part.isdecimal() and len(part) <= 3:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value
