"""From a name to an offer: what ``name@domain`` or a Nostr profile says about where its owner is paid by CLINK."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.net import Net
from kitestring.client.session import reach
from kitestring.codec.address import InternetAddress
from kitestring.codec.nip19 import Profile
from kitestring.codec.pointers import Noffer
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.border import FetchError
from kitestring.transport.fetch import FetchCaps
from kitestring.transport.guard import MAX_FOREIGN_RELAYS
from kitestring.transport.relays import RelayPool
from kitestring.wire.ask.hints import MAX_DOCUMENT_BYTES, Hints, read_lnurlp, read_nostr_json, read_profile

#: Of a question for each document. NIP-05 allows no redirect.
NOSTR_JSON_CAPS: Final = FetchCaps(total_s=10.0, body_bytes=MAX_DOCUMENT_BYTES, redirects=0)
LNURLP_CAPS: Final = FetchCaps(total_s=10.0, body_bytes=MAX_DOCUMENT_BYTES, redirects=2)
#: Profiles of one relay whose signatures are looked at: it is asked for one.
MAX_PROFILES: Final = 4


# ---------------------------------------------------------------- an address


async def find_at(address: InternetAddress, net: Net) -> Noffer:
    """The offer of ``name@domain``: of its nostr.json, else of its LNURL-pay reply; both are asked together.

    Raises KitestringError: UNSUPPORTED where only LNURL is there, UNKNOWN_TARGET where nobody of that name takes
    payments, and why the domain cannot be asked.
    """
    questions = (
        (address.nostr_json, NOSTR_JSON_CAPS, partial(read_nostr_json, name=address.name)),
        (address.lnurlp, LNURLP_CAPS, read_lnurlp),
    )
    asking = [asyncio.create_task(_hints(url, caps, read, net)) for url, caps, read in questions]
    try:
        answers: list[Hints | FetchError] = []
        for task in asking:
            answers.append(told := await task)
            if isinstance(told, Hints) and told.offer is not None:
                return told.offer
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    raise _nothing_at(address, answers)


async def _hints(url: str, caps: FetchCaps, read: Callable[[str], Hints], net: Net) -> Hints | FetchError:
    """Read what a document says, whatever its status and type are; nothing where it is none."""
    try:
        answer = await net.fetcher().fetch(url, caps=caps)
    except FetchError as error:
        return error
    try:
        return read(answer.body.decode(errors="replace"))
    except CodecError:
        return Hints()


def _nothing_at(address: InternetAddress, answers: list[Hints | FetchError]) -> KitestringError:
    if any(isinstance(told, Hints) and told.takes_lnurl for told in answers):
        sentence = f"{address} takes payments by LNURL alone, which kitestring does not pay yet: ask for an invoice"
        return KitestringError(Reason.UNSUPPORTED, sentence)
    failure = next((told for told in answers if isinstance(told, FetchError)), None)
    if failure is not None:
        return KitestringError(failure.reason, f"{address} cannot be looked up: {failure.message}")
    sentence = f"{address} names no offer and takes no payments: check how it is written"
    return KitestringError(Reason.UNKNOWN_TARGET, sentence)


# ---------------------------------------------------------------- a profile


async def find_of(person: Profile, net: Net) -> Noffer:
    """The offer in the newest profile (kind 0) of a key, as the relays named beside the key and the caller's own know
    it.

    Raises KitestringError: UNAVAILABLE without a relay, UNKNOWN_TARGET without a profile or an offer in it.
    """
    own, foreign = _relays(person, net)
    pool = net.pool(own, SecretKey.generate(net.entropy), foreign=foreign)
    newest = await _profile(person.pubkey, pool, net)
    if newest is None:
        sentence = (
            "no relay that was asked knows the profile of this key: take the nprofile1… of it, which names relays"
        )
        raise KitestringError(Reason.UNKNOWN_TARGET, sentence)
    try:
        hints = read_profile(newest.content)
    except CodecError:
        hints = Hints()
    if hints.offer is not None:
        return hints.offer
    also = f", but the address {hints.lud16}: pay that one if you know it" if hints.lud16 else ""
    raise KitestringError(Reason.UNKNOWN_TARGET, f"the profile of this key names no offer{also}")


def _relays(person: Profile, net: Net) -> tuple[list[str], list[str]]:
    """The relays to ask: those that the code names, as far as they may be dialled, and the caller's own."""
    if not (person.relays or net.own_relays):
        sentence = "an npub1… does not say where its profile is: take the nprofile1… of it, which names relays"
        raise KitestringError(Reason.MALFORMED, sentence)
    if not net.own_relays:
        return net.dialable(person.relays, "profile")
    try:
        named, foreign = net.dialable(person.relays, "profile")
    except KitestringError:
        named, foreign = [], []  # the caller's own are asked all the same
    return list(dict.fromkeys((*named, *net.own_relays)))[:MAX_FOREIGN_RELAYS], foreign


async def _profile(pubkey: str, pool: RelayPool, net: Net) -> Event | None:
    found = _Newest(pubkey)
    async with pool:
        await reach(pool, net.waits)
        wanted = Filter(kinds={kinds.METADATA}, authors={pubkey}, limit=1)
        asked = pool.subscribe("profile", lambda _: (wanted,), found.hear)
        await pool.until(asked.settled, net.waits.eose_s)
        if found.event is None:  # a relay that is still being dialled may know it
            await pool.until(lambda: found.event is not None, net.waits.others_s)
    return found.event


class _Newest:
    """The newest profile that the key has signed, whatever relays send beside it."""

    def __init__(self, pubkey: str) -> None:
        self.event: Event | None = None
        self._pubkey: Final = pubkey
        self._looked_at: Final = Counter[str]()

    def hear(self, event: Event, url: str) -> None:
        """Take an event of a relay."""
        is_newer = self.event is None or event.created_at > self.event.created_at
        if event.kind != kinds.METADATA or event.pubkey != self._pubkey or not is_newer:
            return
        self._looked_at[url] += 1
        if self._looked_at[url] <= MAX_PROFILES and verify_event(event):
            self.event = event
