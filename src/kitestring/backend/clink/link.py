"""``clink://?noffer=…&ndebit=…``: the codes of a wallet as a node's URL, and the key that it knows us by."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from kitestring.backend.nostr.link import read_secret
from kitestring.backend.registry import BackendContext, BackendUrl
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_SATS, Msat, sat
from kitestring.client.debits import requestor_key
from kitestring.client.requestor import requestor_seed
from kitestring.codec import bolt11, pointers
from kitestring.codec.pointers import Ndebit, Noffer, Pointer, PriceType
from kitestring.codec.relay_url import usable_relays
from kitestring.codec.uri import parameters
from kitestring.crypto.keys import SecretKey

SCHEME: Final = "clink"
#: Relays that are dialled for one code.
MAX_RELAYS: Final = pointers.MAX_RELAYS
#: Services that are known to answer one request, and one invoice, once and for all: see :mod:`.words`.
KNOWN_SERVICES: Final = ("kitestring",)
_FORM: Final = f"{SCHEME}://?noffer=noffer1…&ndebit=ndebit1…"
_MEMBERS: Final = ("noffer", "ndebit", "balance_sat", "network", "service", "key", "relay")


@dataclass(frozen=True, slots=True)
class ClinkWalletLink:
    """``opening_msat`` is what the owner says that the wallet held before its first use here. ``network`` "" = it is
    asked for. ``is_known``: the service is one of :data:`KNOWN_SERVICES`. ``secret`` "" = the key of the data
    directory."""

    noffer: Noffer
    ndebit: Ndebit
    opening_msat: Msat
    network: str
    is_known: bool
    secret: str = field(default="", repr=False)

    @property
    def wallet_id(self) -> str:
        """The name of the wallet: whoever answers for it, and which of their wallets it is. Its relays may change."""
        parts = (self.noffer.pubkey, self.noffer.offer, self.ndebit.pubkey, self.ndebit.pointer or "")
        return sha256("\0".join((SCHEME, *parts)).encode()).hexdigest()

    def key(self, context: BackendContext) -> SecretKey:
        """The key that the wallet knows us by. Raises KitestringError where its file cannot be used."""
        if not self.secret:
            return requestor_key(requestor_seed(context.data_dir, context.entropy), self.ndebit.pubkey)
        try:
            return SecretKey.from_hex(self.secret)
        except CodecError:
            raise KitestringError(
                Reason.MALFORMED, "the key of the CLINK wallet is not 64 hexadecimal digits of a secret key"
            ) from None


def read_link(url: BackendUrl, context: BackendContext) -> ClinkWalletLink:
    """Raises KitestringError with what to write instead; it never shows the key."""
    if url.scheme != SCHEME or url.host or url.path.strip("/"):
        raise _refused(f"write {_FORM}, the two codes of a wallet")
    url.only(*_MEMBERS)
    network, service = url.query.get("network", ""), url.query.get("service", "")
    if network and network not in bolt11.PREFIXES:
        raise _refused(f"network in a {SCHEME}:// address is one of {', '.join(bolt11.PREFIXES)}")
    if service and service not in KNOWN_SERVICES:
        raise _refused(
            f"service in a {SCHEME}:// address is {' or '.join(KNOWN_SERVICES)}: leave it out for any other one"
        )
    key = url.query.get("key", "")
    if key and not key.startswith(("file:", "env:")):
        raise _refused(f"key in a {SCHEME}:// address is file:PATH or env:NAME: a secret does not stand in it")
    opening_sats = url.integer("balance_sat", 0)
    if opening_sats > MAX_SATS:
        raise _refused(f"balance_sat in a {SCHEME}:// address is at most {MAX_SATS}")
    noffer, ndebit = _pointer(url, "noffer"), _pointer(url, "ndebit")
    if context.own_key in {noffer.pubkey, ndebit.pubkey}:
        raise _refused(
            "a code in this address is one of this very service: it would wait for itself with each payment; take the "
            "codes of the wallet behind it"
        )
    more = _more(url)
    return ClinkWalletLink(
        _offer(noffer, more), _debit(ndebit, more), sat(opening_sats), network, bool(service),
        read_secret(key, context.environment),
    )  # fmt: skip


def _pointer(url: BackendUrl, name: str) -> Pointer:
    text = url.query.get(name, "")
    if not text:
        raise _refused(f"a {SCHEME}:// address needs {name}=, the code of the wallet that begins with {name}1: {_FORM}")
    try:
        return pointers.decode(text)
    except CodecError as error:
        raise _refused(f"{name} in the {SCHEME}:// address cannot be read: {error}") from error


def _more(url: BackendUrl) -> list[str]:
    return [value for name, value in parameters(url.text.partition("?")[2]) if name == "relay"]


def _offer(found: Pointer, more: list[str]) -> Noffer:
    if not isinstance(found, Noffer):
        raise _refused("what stands at noffer= is no offer: its code begins with noffer1")
    if found.price_type is not PriceType.SPONTANEOUS:
        raise _refused(
            "the offer at noffer= has a price of its own, so nothing else could be received: take one of the wallet "
            "whose payer names the amount"
        )
    relays = _relays(found.relays, more, "noffer")
    return Noffer(found.pubkey, relays, found.offer)


def _debit(found: Pointer, more: list[str]) -> Ndebit:
    if not isinstance(found, Ndebit):
        raise _refused("what stands at ndebit= is no debit code: it begins with ndebit1")
    if found.k1 is not None:
        raise _refused("the code at ndebit= is good for one payment: take one that the wallet gives away for good")
    return Ndebit(found.pubkey, _relays(found.relays, more, "ndebit"), found.pointer)


def _relays(named: tuple[str, ...], more: list[str], code: str) -> tuple[str, ...]:
    relays = tuple(dict.fromkeys((*named, *more)))[:MAX_RELAYS]
    if not relays:
        raise _refused(f"the code at {code}= names no relay: add relay=wss://…, where its service listens")
    return relays


def _refused(sentence: str) -> KitestringError:
    return KitestringError(Reason.MALFORMED, sentence)


def named_relays(node_url: str) -> tuple[str, ...]:
    """The relays at which the wallet of the setting ``node`` listens; none where another node stands there, or nothing
    that can be read: whoever opens it says what is wrong."""
    if not node_url.startswith(f"{SCHEME}:"):
        return ()
    try:
        url = BackendUrl.parse(node_url)
        found = [_pointer(url, name).relays for name in ("noffer", "ndebit")]
    except KitestringError:
        return ()
    return usable_relays(dict.fromkeys((*found[0], *found[1], *_more(url))), 2 * MAX_RELAYS)[0]
