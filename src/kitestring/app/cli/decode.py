"""``kitestring decode``: what a code says, without asking anybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from kitestring.app.cli.given import CodeType
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import facts, label, msat, shown
from kitestring.base.text import clean

if TYPE_CHECKING:
    from kitestring.app.service.execute import Result


#: An invoice's description, the longest text in a code, has 639 bytes.
MAX_TEXT_CHARS: Final = 1_000


#: Kinds of text that hold nothing to explain, or that kitestring knows by name alone.
_UNREAD: Final = {
    "bolt12": "this is a BOLT12 offer, which kitestring does not read yet; a CLINK offer begins with noffer1",
    "address": "this is an address: what it leads to is only known by asking; `kitestring pay ADDRESS` does",
    "lnurl": "this is an LNURL, which kitestring does not read yet",
    "url": "this is a web address, and no code",
}
_NOT_READ: Final = "kitestring knows the kind of this text by its beginning alone, and does not read it"
#: The words of the protocol, and what they mean to a payer.
_PRICES: Final = {
    "fixed": "the price stands in the code",
    "variable": "the service names the price when it is asked",
    "spontaneous": "the payer names the amount",
}


@click.command("decode")
@click.argument("code", type=CodeType())
@common
def command(shell: Shell, code: str) -> None:
    """Explain CODE: a Lightning invoice, a noffer, ndebit or nmanage code, a wallet connection, a Nostr key or pointer.

    Secrets in it are not shown, but those on a command line can be seen by other programs: name such a CODE by
    env:NAME, file:PATH, or - for standard input. Nothing is asked over the network.
    """
    result = explain(code)
    meaning = _PRICES.get(str(result.get("price_type")), "")
    told = {**result, "price_type": f"{result['price_type']}: {meaning}"} if meaning else result
    shell.show(result, facts([(label(name), shown(name, value)) for name, value in told.items()]))


def explain(code: str) -> Result:
    """The contents of ``code`` as JSON values. Raises CodecError, or KitestringError for a kind known by name only."""
    from kitestring.base.errors import KitestringError, Reason
    from kitestring.codec.target import classify

    kind, text = classify(code)
    reader = _READERS.get(kind.value)
    if reader is None:
        raise KitestringError(Reason.UNSUPPORTED, _UNREAD.get(kind.value, _NOT_READ))
    return {"type": kind.value, **{name: _seen(value) for name, value in reader(text).items()}}


def _seen(value: object) -> object:
    """A value as it may be shown: a code is a stranger's, and so are the texts in it."""
    if isinstance(value, str):
        return clean(value, MAX_TEXT_CHARS)
    return [_seen(one) for one in value] if isinstance(value, list | tuple) else value


def _invoice(text: str) -> Result:
    from kitestring.codec import bolt11

    found = bolt11.decode(text)
    return {
        "network": found.network,
        "amount_msat": None if found.amount_msat is None else int(found.amount_msat),
        "description": found.description or None,
        "description_hash": found.description_hash or None,
        "payment_hash": found.payment_hash,
        "payee": found.payee,
        "created_at": found.timestamp,
        "expires_at": found.expires_at,
        "min_final_cltv": found.min_final_cltv,
        "route_hints": len(found.route_hints),
    }


def _pointer(text: str) -> Result:
    from kitestring.codec import pointers

    found = pointers.decode(text)
    shown: Result = {"service_pubkey": found.pubkey, "relays": list(found.relays), "left_out": list(found.left_out)}
    if isinstance(found, pointers.Noffer):
        price_msat = None if found.price_sats is None else msat(found.price_sats)
        shown |= {"offer": found.offer, "price_type": found.price_type.name.lower(), "price_msat": price_msat}
        return {**shown, "currency": found.currency, "fiat_price": found.fiat_price}
    has_secret = isinstance(found, pointers.Ndebit) and found.k1 is not None
    return {**shown, "pointer": found.pointer, "session": "(secret, not shown)" if has_secret else None}


def _connection(text: str) -> Result:
    from kitestring.codec.uri import decode_nwc
    from kitestring.crypto.keys import SecretKey

    found = decode_nwc(text)
    return {
        "service_pubkey": found.service_pubkey,
        "client_pubkey": SecretKey(found.secret).public_hex,
        "relays": list(found.relays),
        "left_out": list(found.left_out),
        "secret": "(not shown)",
        "lud16": found.lud16,
    }


def _entity(text: str) -> Result:
    import dataclasses

    from kitestring.codec import nip19

    found = nip19.decode(text)
    members = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return {name: "(not shown)" if isinstance(value, bytes) else value for name, value in members.items()}


def _secret_key(text: str) -> Result:
    from kitestring.codec import nip19
    from kitestring.crypto.keys import SecretKey

    return {"secret": "(not shown)", "pubkey": SecretKey(nip19.decode_secret(text)).public_hex}


def _key(text: str) -> Result:
    from kitestring.codec import nip19

    return {"pubkey": text, "npub": nip19.encode(nip19.PublicKey(text))}


_READERS: Final[dict[str, Callable[[str], Result]]] = {
    "bolt11": _invoice,
    "noffer": _pointer,
    "ndebit": _pointer,
    "nmanage": _pointer,
    "nwc": _connection,
    "nsec": _secret_key,
    "pubkey": _key,
    **dict.fromkeys(("npub", "nprofile", "note", "nevent", "naddr"), _entity),
}
