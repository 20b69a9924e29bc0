"""The reader of CLINK beacons: whether a service works, what it says about itself, and who operates it.

All of it is the service's own word but one thing: an operator is ``verified`` only where that key says so too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.documents import Documents, find_documents
from kitestring.client.net import Net
from kitestring.client.session import MAX_TROUBLE_CHARS, reach
from kitestring.codec import nip19, pointers
from kitestring.codec.beacon import BeaconContent
from kitestring.codec.target import Target, classify
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.transport.relays import RelayPool
from kitestring.wire.beacon import (
    ATTEST_D,
    LEGACY_D,
    REVOKE_D,
    SERVICE_D,
    Beacon,
    Operated,
    attested,
    operated,
    read_beacon,
    revoked,
)

_AHEAD: Final = ", ahead"
#: The form of the text, whatever its age, before an older one: dates of different documents are not compared.
_BEST_FIRST: Final = (SERVICE_D, LEGACY_D, f"{SERVICE_D}{_AHEAD}", f"{LEGACY_D}{_AHEAD}")
_NO_CONTENT: Final = BeaconContent()


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """A service: its public key (64 hex digits) and relays at which it listens. ``left_out`` are texts in its code that
    stand in place of a relay and are none."""

    pubkey: str
    relays: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ServiceBeacon:
    """The word of a service about itself, as of ``asked_at`` (Unix seconds).

    ``state``: ``fresh``, so that the service works; ``stale`` (older than three minutes); ``ahead`` (dated in the
    future, which says nothing); ``none``. ``operated``: ``verified`` where the operator that it names says so too;
    ``claimed`` where only the service says so, which anybody can; ``revoked``; ``none``. ``told_by`` are the relays
    that have answered.
    """

    service: str
    asked_at: int
    state: Literal["fresh", "stale", "ahead", "none"]
    beacon: Beacon | None = None
    operated: Operated = "none"
    told_by: tuple[str, ...] = ()

    @property
    def is_fresh(self) -> bool:
        """Whether the service works, by its own word of the last three minutes."""
        return self.state == "fresh"

    @property
    def age_s(self) -> int | None:
        """Seconds since it was dated, below zero for one from the future; None without one."""
        return None if self.beacon is None else self.asked_at - self.beacon.created_at

    @property
    def content(self) -> BeaconContent:
        """All that it says, for display; nothing without one."""
        return _NO_CONTENT if self.beacon is None else self.beacon.content

    @property
    def operator(self) -> str:
        """The key that operates the service, by its own word and that of the service; "" unless ``verified``."""
        return self.beacon.operator if self.beacon is not None and self.operated == "verified" else ""

    @property
    def is_reliable(self) -> bool:
        """Whether what it says may decide what is asked of the service: it is fresh, and in the form of the text."""
        return self.beacon is not None and self.is_fresh and not self.beacon.legacy

    @property
    def enroll_difficulty(self) -> int | None:
        """The bits of proof of work that a new account needs now; None where that is not known for certain."""
        return self.content.enroll_difficulty if self.is_reliable else None

    def serves(self, kind: int) -> bool | None:
        """Whether it answers requests of this kind now, such as 21001 for offers; None where that is not known."""
        listed = self.content.supported_kinds
        return kind in listed if self.is_reliable and listed is not None else None


def read_service(text: str) -> ServiceAddress:
    """The service that is meant by an npub, an nprofile, 64 hex digits, or by one of its codes (noffer, ndebit,
    nmanage). Raises KitestringError."""
    try:
        kind, bare = classify(text)
        if kind in {Target.NOFFER, Target.NDEBIT, Target.NMANAGE}:
            code = pointers.decode(bare)
            return ServiceAddress(code.pubkey, code.relays, code.left_out)
        if kind is Target.NPROFILE:
            profile = nip19.decode(bare)
            if isinstance(profile, nip19.Profile):
                return ServiceAddress(nip19.read_public_key(profile.pubkey), profile.relays)
        if kind in {Target.NPUB, Target.PUBKEY}:
            return ServiceAddress(nip19.read_public_key(bare))
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, str(error)) from error
    sentence = "this names no service: take its npub, nprofile or public key, or one of its codes (noffer1…, ndebit1…)"
    raise KitestringError(Reason.MALFORMED, sentence)


async def ask_beacon(service: ServiceAddress, net: Net, relays: Sequence[str] = ()) -> ServiceBeacon:
    """Ask the relays of a service, and ``relays`` of the caller's own, for its beacon, and for the words of the
    operator that it names. A key alone is asked for at ``relays``, else at the own ones of ``net``.

    Raises KitestringError: MALFORMED where no relay is known, UNAVAILABLE where none answers.
    """
    key = SecretKey.generate(net.entropy)
    async with pool_to(service, net, relays, key) as pool:
        await reach(pool, net.waits)
        return await beacon_on(pool, service.pubkey, net)


def pool_to(service: ServiceAddress, net: Net, relays: Sequence[str], key: SecretKey) -> RelayPool:
    """A pool, not started yet, to the relays of a service and the caller's own. Raises KitestringError."""
    if relays and not service.relays:
        return net.pool(relays, key)
    own, foreign = net.dialable(service.relays, "service")
    return net.pool((*relays, *own), key, foreign=foreign)


async def beacon_on(pool: RelayPool, service: str, net: Net) -> ServiceBeacon:
    """The beacon of ``service`` on the relays of ``pool``. Raises KitestringError(UNAVAILABLE) where none answers."""
    now = net.clock.now()
    found = await find_documents(pool, kinds.BEACON, service, (SERVICE_D, LEGACY_D), net.waits, _slots(now))
    event = next((found.newest[slot] for slot in _BEST_FIRST if slot in found.newest), None)
    if event is None and not found.told_by:
        why = found.trouble[:MAX_TROUBLE_CHARS]
        raise KitestringError(Reason.UNAVAILABLE, f"no relay answers ({why}); try again, or name another with --relay")
    if event is None:
        return ServiceBeacon(service, now, "none", told_by=found.told_by)
    beacon = read_beacon(event)
    state = beacon.freshness(now)
    word = operated(beacon, (), ())
    if beacon.operator and state != "ahead":
        of_operator = await find_documents(pool, kinds.BEACON, beacon.operator, (ATTEST_D, REVOKE_D), net.waits)
        word = _judged(beacon, of_operator)
    return ServiceBeacon(service, now, state, beacon, word, found.told_by)


def _slots(now: int) -> Callable[[Event], str | None]:
    """Beacons from the future compete with one another alone: a clock that was wrong hides no right one."""

    def slot(event: Event) -> str | None:
        try:
            beacon = read_beacon(event)
        except CodecError:
            return None
        form = LEGACY_D if beacon.legacy else SERVICE_D
        return f"{form}{_AHEAD}" if beacon.freshness(now) == "ahead" else form

    return slot


def _judged(beacon: Beacon, documents: Documents) -> Operated:
    """Without a relay that answers in full, nobody knows of a revocation."""
    if not documents.told_by and REVOKE_D not in documents.newest:
        return "claimed"
    attestation, revocation = (documents.newest.get(name) for name in (ATTEST_D, REVOKE_D))
    return operated(beacon, attested(attestation), revoked(revocation))
