"""Open an account at a service that lets strangers in: ask, work as much as it wants to see, and ask once more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.beacon import ServiceAddress, beacon_on
from kitestring.client.clocks import clock_words
from kitestring.client.debits import LAST_NAMED_S
from kitestring.client.mining import Mining, mined_request
from kitestring.client.net import Net
from kitestring.client.session import Dialog, Exchange
from kitestring.codec import nip19, pointers
from kitestring.codec.pasted import tidy
from kitestring.codec.pointers import Noffer
from kitestring.codec.relay_url import usable_relays
from kitestring.codec.target import Target, classify
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event
from kitestring.nostr.work import MAX_WORK_BITS
from kitestring.transport.guard import normalise
from kitestring.transport.relays import RelayPool
from kitestring.wire.ask.enroll import REQUEST, EnrollOk, EnrollRefusal, EnrollReply, decode_reply

#: Bits that are mined for a service which does not answer a request without: what most of them want.
USUAL_BITS: Final = 18


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """The codes of our account, as the service wrote them ("" where it gave none), and the proof of work (bits) that it
    has cost."""

    noffer: str
    ndebit: str
    nmanage: str
    work_bits: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question and its end; ``trouble`` is what is known about silence, as part of a sentence."""

    reply: EnrollReply | None
    trouble: str = ""


def read_service(text: str, relays: Sequence[str] = ()) -> ServiceAddress:
    """The service of a pasted ``nprofile``, ``npub`` or ``noffer``; ``relays`` are asked before those that it names.
    Raises KitestringError."""
    try:
        target, bare = classify(tidy(text))
        found = _read(target, bare)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the service cannot be read: {error}") from error
    for url in relays:
        normalise(url)  # one that was typed is looked at, not left out
    wanted = tuple(dict.fromkeys((*relays, *found.relays)))
    named, left_out = usable_relays(wanted, pointers.MAX_RELAYS)
    if not named:
        raise KitestringError(
            Reason.MALFORMED, "this names no relay of the service: name one with --relay, such as wss://relay.example"
        )
    return ServiceAddress(found.pubkey, named, (*found.left_out, *left_out))


def _read(target: Target, bare: str) -> ServiceAddress:
    if target is Target.PUBKEY:
        return ServiceAddress(bare)
    if target is Target.NOFFER:
        offer = pointers.decode(bare)
        assert isinstance(offer, Noffer)  # noqa: S101 - it begins so
        return ServiceAddress(offer.pubkey, offer.relays, offer.left_out)
    if target in {Target.NPROFILE, Target.NPUB}:
        entity = nip19.decode(bare)
        assert isinstance(entity, nip19.Profile | nip19.PublicKey)  # noqa: S101 - it begins so
        return ServiceAddress(entity.pubkey, entity.relays if isinstance(entity, nip19.Profile) else ())
    raise CodecError("name it by an nprofile1…, npub1… or noffer1… text")


async def enroll(
    service: ServiceAddress,
    key: SecretKey,
    net: Net,
    *,
    known_bits: int | None = None,
    wait_s: float | None = None,
    mining: Mining | None = None,
) -> OpenedAccount:
    """Open the account of ``key``, or hear its codes again: the same key has the same account forever.

    Asked first with the work that its fresh beacon names (``known_bits`` where the caller knows better), without any
    where there is no such beacon; then at most once with what the answer wants. ``mining`` is told how far that is. The
    wait for an answer, ``wait_s`` seconds, begins when it is done.

    Raises KitestringError: the refusal of the service, INSUFFICIENT_POW where it wants more than is mined, UNAVAILABLE
    without an answer. To ask again is always safe.
    """
    dialog = _dialog(key, service)
    own, foreign = net.dialable(service.relays, "code of the service")
    wait_s = net.waits.enroll_s if wait_s is None else wait_s
    async with net.pool(own, key, foreign=foreign) as pool:
        wanted = await _told_by_beacon(pool, service, net) if known_bits is None else known_bits
        bits = wanted if 0 < wanted <= MAX_WORK_BITS else 0
        asked = await _ask(pool, dialog, await _request(dialog, net, bits, mining), net, wait_s)
        more = _bits_for(asked.reply, bits)
        if more:
            bits = more
            asked = await _ask(pool, dialog, await _request(dialog, net, bits, mining), net, wait_s)
    if not isinstance(asked.reply, EnrollOk):
        raise _failure(asked)
    return OpenedAccount(asked.reply.noffer, asked.reply.ndebit, asked.reply.nmanage, bits)


async def _told_by_beacon(pool: RelayPool, service: ServiceAddress, net: Net) -> int:
    """The work that the beacon of the service names, 0 where nobody knows one: then the service tells it."""
    try:
        beacon = await beacon_on(pool, service.pubkey, net)
    except KitestringError:
        return 0
    return beacon.enroll_difficulty or 0


def _dialog(key: SecretKey, service: ServiceAddress) -> Dialog:
    try:
        return Dialog.enroll(key, service.pubkey)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the service cannot be asked: {error}") from error


async def _request(dialog: Dialog, net: Net, bits: int, mining: Mining | None) -> Event:
    return await mined_request(dialog, REQUEST, net, bits, mining) if bits else dialog.request(REQUEST, net)


async def _ask(pool: RelayPool, dialog: Dialog, request: Event, net: Net, wait_s: float) -> _Asked:
    async with Exchange(pool, dialog, request, net) as exchange:
        reply = await exchange.next(decode_reply, wait_s)
        if reply is None:
            return _Asked(None, exchange.trouble())
        is_stale = isinstance(reply, EnrollRefusal) and reply.is_stale
        words = clock_words(exchange.ahead_s or 0) if is_stale else ""
        return _Asked(reply, f" ({words})" if words else "")


def _bits_for(reply: EnrollReply | None, done: int) -> int:
    """The work with which it is worth asking once more, else 0. Some services pass over a request without work."""
    if reply is None:
        return 0 if done else USUAL_BITS
    if isinstance(reply, EnrollRefusal):
        more = reply.mine_bits or 0
        return more if more > done else 0
    return 0


def _failure(asked: _Asked) -> KitestringError:
    refusal = asked.reply
    if not isinstance(refusal, EnrollRefusal):
        return KitestringError(
            Reason.UNAVAILABLE,
            f"the service has not answered{asked.trouble}: it may open no accounts, or be away; asking again is safe",
        )
    refused, hint = refusal.refused, ""
    if refused.reason is Reason.INSUFFICIENT_POW and refusal.asked_bits is not None and refusal.mine_bits is None:
        hint = f"; it asks for {refusal.asked_bits} bits of work, more than the {MAX_WORK_BITS} that are mined here"
    elif refused.reason is Reason.RATE_LIMITED:
        hint = _again_words(refusal)
    elif refusal.is_stale and refusal.actual_delta_ms is not None:
        hint = f"; by its clock the request is {refusal.actual_delta_ms / 60_000:,.1f} minutes from its own time"
    said = refused.message or f"code {refusal.code}"
    return KitestringError(
        refused.reason, f"the service opened no account: {said}{hint}{asked.trouble}", **refused.details
    )


def _again_words(refusal: EnrollRefusal) -> str:
    if refusal.retry_in_s is not None:
        return f"; it may be asked again in {refusal.retry_in_s:,} s"
    if refusal.retry_at is None or refusal.retry_at > LAST_NAMED_S:
        return ""
    return f"; it may be asked again at {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(refusal.retry_at))}"
