"""The kind of a pasted text: the first look of ``kitestring pay`` and ``kitestring decode``."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.codec.pasted import is_wrapped, tidy
from kitestring.codec.uri import MAX_LENGTH, NWC_SCHEMES, BitcoinLink, decode_bip321, is_bip321


class Target(StrEnum):
    """Kinds of text; the value is the name in JSON output."""

    BOLT11 = "bolt11"
    BOLT12 = "bolt12"
    NOFFER = "noffer"
    NDEBIT = "ndebit"
    NMANAGE = "nmanage"
    NWC = "nwc"
    LNURL = "lnurl"
    ADDRESS = "address"
    NPUB = "npub"
    NPROFILE = "nprofile"
    NSEC = "nsec"
    NOTE = "note"
    NEVENT = "nevent"
    NADDR = "naddr"
    PUBKEY = "pubkey"
    URL = "url"


#: Longer prefixes first where one begins like another.
_PREFIXES: Final = (
    ("lnurl1", Target.LNURL),
    ("lno1", Target.BOLT12),
    *((f"{target.value}1", target) for target in (Target.NOFFER, Target.NDEBIT, Target.NMANAGE)),
    *((f"{target.value}1", target) for target in (Target.NPUB, Target.NPROFILE, Target.NSEC)),
    *((f"{target.value}1", target) for target in (Target.NOTE, Target.NEVENT, Target.NADDR)),
)
_INVOICE: Final = re.compile(r"ln(?:bcrt|bc|tbs|tb)[0-9]", re.IGNORECASE | re.ASCII)
_ADDRESS: Final = re.compile(
    r"₿?([a-z0-9_.+-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[0-9]{1,5})?)", re.IGNORECASE | re.ASCII
)
_PUBKEY: Final = re.compile(r"[0-9a-f]{64}", re.IGNORECASE | re.ASCII)
_WRAPPERS: Final = ("lightning", "nostr", "noffer", "ndebit", "nmanage")
_LNURL_SCHEMES: Final = ("lnurlp", "lnurlw", "lnurlc", "keyauth")
#: A whole amount, with what ends it, on one line.
_AMOUNT: Final = re.compile(r"[?&]amount=[0-9.]+(?=\s*[&#]|\s*\Z)", re.IGNORECASE | re.ASCII)
#: In this order: an invoice is paid at once, an offer asks first.
_LINK_VALUES: Final = ("lightning", "noffer", "lno")
#: Kinds without a checksum: two lines joined could be somebody else's.
_UNCHECKED: Final = frozenset({Target.ADDRESS, Target.URL})


def classify(text: str) -> tuple[Target, str]:
    """The first of :func:`candidates`."""
    return candidates(text)[0]


def candidates(text: str) -> list[tuple[Target, str]]:
    """Every kind that a text can be taken for, and the text without wrapping: bech32 in lower case, links as they are.

    A ``bitcoin:`` link may carry several, in the order in which they are to be tried; anything else is one. The kind is
    told by its beginning alone; whether the rest is valid, its own decoder says. Raises CodecError if it is of no known
    kind.
    """
    if len(text) > MAX_LENGTH:
        raise CodecError(f"the text is longer than {MAX_LENGTH} characters")
    bare = tidy(text)
    if not is_bip321(bare):
        found = _classify_one(_unwrap(bare))
        if found[0] in _UNCHECKED and is_wrapped(text):
            raise CodecError("an address stands on one line")
        return [found]
    link = _link(text, bare)
    values = [value for name in _LINK_VALUES for value in link.values.get(name, ()) if value]
    if not values:
        raise CodecError("the bitcoin: link carries nothing that can be paid over Lightning")
    return _classify_each(values)


def link_amount(text: str) -> Msat | None:
    """The amount that a ``bitcoin:`` link names; None for any other text. Raises CodecError as :func:`candidates`."""
    bare = tidy(text[: MAX_LENGTH + 1])
    return _link(text, bare).amount_msat if is_bip321(bare) else None


def _link(text: str, bare: str) -> BitcoinLink:
    """Nothing tells digits of an amount from those of the next line, and nothing checks them."""
    link = decode_bip321(bare)
    if link.amount_msat is not None and is_wrapped(text) and not _AMOUNT.search(text):
        raise CodecError("the amount of a link stands on one line")
    return link


def _classify_each(values: list[str]) -> list[tuple[Target, str]]:
    found: list[tuple[Target, str]] = []
    first_error: CodecError | None = None
    for value in values:
        try:
            found.append(_classify_one(_unwrap(value.strip())))
        except CodecError as error:
            first_error = first_error or error
    if not found and first_error is not None:
        raise first_error
    return found


def _classify_one(bare: str) -> tuple[Target, str]:
    scheme = bare.partition(":")[0].lower()
    if scheme in NWC_SCHEMES:
        return Target.NWC, bare
    if scheme in _LNURL_SCHEMES:
        return Target.LNURL, bare
    if scheme in {"https", "http"}:
        return _classify_url(bare)
    lower = bare.lower()
    normalised = lower if bare in (lower, bare.upper()) else bare
    for prefix, target in _PREFIXES:
        if lower.startswith(prefix):
            return target, normalised
    if _INVOICE.match(lower):
        return Target.BOLT11, normalised
    if _PUBKEY.fullmatch(lower):
        return Target.PUBKEY, lower
    if address := _ADDRESS.fullmatch(lower):
        return Target.ADDRESS, address[1]
    raise CodecError("this is no invoice, offer, address, key or wallet connection that kitestring knows")


def _unwrap(text: str) -> str:
    scheme, separator, rest = text.partition(":")
    return rest.removeprefix("//").strip() if separator and scheme.lower() in _WRAPPERS else text


def _classify_url(url: str) -> tuple[Target, str]:
    """LUD-01: a web page may carry an LNURL for wallets in its query."""
    match = re.search(r"[?&]lightning=(lnurl1[0-9a-z]+)", url, re.IGNORECASE | re.ASCII)
    return (Target.LNURL, match[1].lower()) if match else (Target.URL, url)
