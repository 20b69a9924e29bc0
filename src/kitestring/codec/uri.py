"""Links: NWC connections (NIP-47) and as much of BIP-321 as finding what can be paid over Lightning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.codec.pasted import tidy
from kitestring.codec.relay_url import require_relay_url, usable_relays
from kitestring.crypto import secp

#: A connection has a few hundred characters; a BIP-321 link may carry several offers and invoices.
MAX_LENGTH: Final = 16_384
#: More than any client connects to; each costs a socket.
MAX_RELAYS: Final = 8
#: Of a Lightning address: local part 64, domain 255, the sign between.
MAX_LUD16_LENGTH: Final = 320

NWC_SCHEMES: Final = ("nostr+walletconnect", "nostrwalletconnect")

_KEY: Final = re.compile(r"[0-9a-f]{64}", re.IGNORECASE | re.ASCII)
#: Parameters of BIP-321 that a payer must understand begin so. None are understood here: for a proof of payment
#: (``req-pop``) an address of the payee's would have to be opened.
_REQUIRED: Final = "req-"
#: Parameters that a link has once, even if the values are equal.
_ONCE: Final = frozenset({"amount", "label", "message", "pop"})
#: An amount in bitcoin, to a millisatoshi.
_BITCOIN: Final = re.compile(r"([0-9]{1,8})(?:\.([0-9]{1,11}))?", re.ASCII)
_MSAT_DIGITS: Final = 11


@dataclass(frozen=True, slots=True)
class NwcUri:
    """One NWC connection as its client holds it: the first relay is the preferred one, ``secret`` the client's key.

    ``left_out`` are values of the link that are no relays, or one too many: a stranger's texts.
    """

    service_pubkey: str
    relays: tuple[str, ...]
    secret: bytes = field(repr=False)
    lud16: str | None = None
    left_out: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class BitcoinLink:
    """A ``bitcoin:`` link as far as paying over Lightning goes: its amount, and each parameter's values in order."""

    amount_msat: Msat | None
    values: Mapping[str, list[str]]


def encode_nwc(uri: NwcUri) -> str:
    """``nostr+walletconnect://…`` with all values percent-encoded. Raises CodecError."""
    _require_key(uri.service_pubkey)
    _require_secret(uri.secret)
    values = [("relay", relay) for relay in _require_relays(uri.relays)]
    values.append(("secret", uri.secret.hex()))
    if uri.lud16:
        values.append(("lud16", uri.lud16))
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in values)
    return f"{NWC_SCHEMES[0]}://{uri.service_pubkey}?{query}"


def decode_nwc(text: str) -> NwcUri:
    """Read a connection link, also in the forms of 2023, without percent-encoding, and as mail programs leave it.

    Raises CodecError (never showing the secret) without a relay, without exactly one secret, or for a bad key.
    """
    scheme, separator, rest = _bounded(text).partition(":")
    if not separator or scheme.lower() not in NWC_SCHEMES:
        raise CodecError("this is no wallet connection: it must begin with nostr+walletconnect://")
    base, _, query = rest.removeprefix("//").partition("?")
    values: dict[str, list[str]] = {"relay": [], "secret": [], "lud16": []}
    for name, value in parameters(query):
        if name in values:
            values[name].append(value)
    secrets = values["secret"]
    if len(secrets) != 1 or not _KEY.fullmatch(secrets[0]):
        raise CodecError("a wallet connection has exactly one secret of 64 hex digits")
    lud16 = next(iter(values["lud16"]), "")
    relays, left_out = usable_relays(values["relay"], MAX_RELAYS)
    return NwcUri(
        service_pubkey=_require_key(base.rstrip("/").lower()),
        relays=relays or _require_relays(values["relay"]),
        secret=_require_secret(bytes.fromhex(secrets[0])),
        lud16=lud16 if 0 < len(lud16) <= MAX_LUD16_LENGTH and lud16.isprintable() else None,
        left_out=left_out,
    )


def is_bip321(text: str) -> bool:
    """Whether this is a ``bitcoin:`` link."""
    return text.strip()[:8].lower() == "bitcoin:"


def decode_bip321(text: str) -> BitcoinLink:
    """Read a ``bitcoin:`` link. Values that nobody needs may be anything.

    Raises CodecError if it is no such link, demands something (``req-…``), says something twice that is said once, or
    names an amount that cannot be read.
    """
    bare = _bounded(text)
    if not is_bip321(bare):
        raise CodecError("this is no bitcoin: link")
    _, _, query = bare.partition("?")
    values: dict[str, list[str]] = {}
    for name, value in parameters(query):
        if name.startswith(_REQUIRED):
            raise CodecError(f"the link demands {name[:40]!r}, which is not known here")
        if name in _ONCE and name in values:
            raise CodecError(f"the link has two values of {name!r}")
        values.setdefault(name, []).append(value)
    return BitcoinLink(_read_bitcoin(next(iter(values.get("amount", ())), "")), values)


def encode_bip321(invoice: str) -> str:
    """The link that asks for a Lightning payment alone. The amount is the invoice's: said twice it could differ."""
    return f"bitcoin:?lightning={quote(invoice, safe='')}"


def bip321_values(text: str, name: str) -> list[str]:
    """All values of one parameter (``lightning``, ``lno``, ``noffer``) of a ``bitcoin:`` link, in order. Raises as
    :func:`decode_bip321`."""
    return [value for value in decode_bip321(text).values.get(name, ()) if value]


def _read_bitcoin(text: str) -> Msat | None:
    """None where the payer chooses, which some links say with a zero."""
    if not text:
        return None
    found = _BITCOIN.fullmatch(text)
    whole, fraction = found.groups(default="") if found else ("", "")
    amount = int(whole + fraction.ljust(_MSAT_DIGITS, "0")) if found else MAX_MSAT + 1
    if amount > MAX_MSAT:
        raise CodecError("the amount of the link is no number of bitcoin such as 0.00021")
    return Msat(amount) if amount else None


def parameters(query: str) -> Iterator[tuple[str, str]]:
    """Names (in lower case) and percent-decoded values of a query; a plus sign stays one. What is no text (``%E9``) has
    half of a surrogate pair for each byte, so that nothing takes it for one."""
    for part in query.partition("#")[0].split("&"):
        name, separator, value = part.partition("=")
        if separator:
            yield unquote(name).lower(), unquote(value, errors="surrogateescape")


def _bounded(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise CodecError(f"the link is longer than {MAX_LENGTH} characters")
    return tidy(text)


def _require_key(text: str) -> str:
    if not _KEY.fullmatch(text) or text != text.lower() or not secp.is_valid_public(bytes.fromhex(text)):
        raise CodecError("the service key of a wallet connection is 64 hex digits of a point on the curve")
    return text


def _require_secret(secret: bytes) -> bytes:
    if not secp.is_valid_secret(secret):
        raise CodecError("the secret of a wallet connection is not a valid key")
    return secret


def _require_relays(relays: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    if not 1 <= len(relays) <= MAX_RELAYS:
        raise CodecError(f"a wallet connection names 1 to {MAX_RELAYS} relays")
    return tuple(require_relay_url(relay) for relay in relays)
