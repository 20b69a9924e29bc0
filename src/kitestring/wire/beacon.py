"""CLINK Beacon (kind 30078): the beacon of a service, and the two documents of its operator, as events.

All are addressable, so that relays keep one of each. The beacon is the service's own word; that somebody operates it
counts only where both say so, and the operator has not taken it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kitestring.base.errors import CodecError
from kitestring.codec.beacon import BeaconContent, decode_content, encode_content
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, tag_values
from kitestring.wire.clink import CLINK_VERSION
from kitestring.wire.grammar import Draft

#: The ``d`` tags of the three documents.
SERVICE_D: Final = "clink-node"
ATTEST_D: Final = "clink-node-operator"
REVOKE_D: Final = "clink-node-operator-revoke"
#: The ``d`` tag of services from before the text: shown, and not relied on.
LEGACY_D: Final = "Lightning.Pub"
OPERATOR: Final = "operator"
SERVICE: Final = "service"

#: Seconds between two beacons of a service that works.
EVERY_S: Final = 60
#: Seconds after which a beacon says nothing about now …
STALE_S: Final = 180
#: … and how far one may be ahead of our clock.
AHEAD_S: Final = 30
#: Services in one document of an operator: with so many the event is half as large as relays take.
MAX_SERVICES: Final = 400

_VERSION, _ONE = CLINK_VERSION
#: Members in which drafts have written the version, before it was a tag.
_OLD_VERSIONS: Final = ("clink_version", "version")

Freshness = Literal["fresh", "stale", "ahead"]
#: ``none``: the beacon names no operator. ``claimed``: it names one who does not say so. ``verified``: both do.
#: ``revoked``: the operator has taken it back.
Operated = Literal["none", "claimed", "verified", "revoked"]


@dataclass(frozen=True, slots=True)
class Beacon:
    """A beacon as it was published by ``service`` (64 hex digits) at ``created_at`` (Unix seconds).

    ``operator`` is the key that it names, "" without one: a claim. ``legacy``: of a form from before the text, which is
    for display only.
    """

    service: str
    created_at: int
    content: BeaconContent
    operator: str = ""
    legacy: bool = False

    def freshness(self, now: int) -> Freshness:
        """Whether it says something about now: not where it is too old, or further ahead than clocks differ."""
        return freshness(self.created_at, now)


def freshness(created_at: int, now: int) -> Freshness:
    """The same of a date (both in Unix seconds)."""
    if created_at > now + AHEAD_S:
        return "ahead"
    return "stale" if now - created_at > STALE_S else "fresh"


# ------------------------------------------------------------ write


def beacon_draft(content: BeaconContent, operator: str = "") -> Draft:
    """The beacon of a service; ``operator`` is a public key in hex, or "". Raises CodecError as the content does."""
    tags = [["d", SERVICE_D], [*CLINK_VERSION]]
    if operator:
        tags.append([OPERATOR, _require_key(operator)])
    return Draft(kinds.BEACON, tags, encode_content(content))


def operator_draft(d: str, services: Iterable[str]) -> Draft:
    """A document of an operator: the services that it attests, or those that it revokes, by ``d``. Raises CodecError
    for too many, or for what is no public key."""
    named = [[SERVICE, _require_key(service)] for service in dict.fromkeys(services)]
    if len(named) > MAX_SERVICES:
        raise CodecError(f"one operator key names at most {MAX_SERVICES} services: take another key for the others")
    return Draft(kinds.BEACON, [["d", d], [*CLINK_VERSION], *named])


def _require_key(key: str) -> str:
    if not _is_key(key):
        raise CodecError("a public key is 64 lower-case hex digits")
    return key


def _is_key(text: str) -> bool:
    try:
        return len(text) == 64 and bytes.fromhex(text).hex() == text
    except ValueError:
        return False


# ------------------------------------------------------------ read


def read_beacon(event: Event) -> Beacon:
    """The beacon in an event whose signature was checked. Raises CodecError where it is none, also where its content
    cannot be read."""
    d = first_tag(event, "d")
    if event.kind != kinds.BEACON or d not in {SERVICE_D, LEGACY_D}:
        raise CodecError("this is no beacon")
    content, members = decode_content(event.content)
    version = first_tag(event, _VERSION)
    legacy = d == LEGACY_D or (version is None and _has_old_version(members))
    if not legacy and version != _ONE:
        raise CodecError("the beacon is of another version than 1")
    operator = (first_tag(event, OPERATOR) or "").lower()
    named = operator if _is_key(operator) and not legacy else ""
    return Beacon(event.pubkey, event.created_at, content, named, legacy)


def _has_old_version(members: Mapping[str, object]) -> bool:
    return any(str(members.get(name)) == _ONE for name in _OLD_VERSIONS)


def attested(event: Event | None) -> frozenset[str]:
    """The services that the current attestation of an operator names; none without one, or in another version."""
    if event is None or first_tag(event, _VERSION) != _ONE:
        return frozenset()
    return services_in(event)


def revoked(event: Event | None) -> frozenset[str]:
    """The services that the current revocation names, whatever its version: a word that takes back counts as far as
    it can be read."""
    return frozenset() if event is None else services_in(event)


def services_in(event: Event) -> frozenset[str]:
    """The keys in the ``service`` tags; what is no key is left out."""
    return frozenset(key for value in tag_values(event, SERVICE) if _is_key(key := value.lower()))


def operated(beacon: Beacon, attestation: Collection[str], revocation: Collection[str]) -> Operated:
    """The word about the operator that ``beacon`` names, by what that operator attests and revokes now. The dates of
    the documents are not compared: a revocation wins."""
    if not beacon.operator:
        return "none"
    if beacon.service in revocation:
        return "revoked"
    return "verified" if beacon.service in attestation else "claimed"


def is_newer(event: Event, than: Event | None) -> bool:
    """Whether ``event`` replaces another one of its author and ``d`` (NIP-01): of one second, the lower id."""
    return than is None or (event.created_at, than.id) > (than.created_at, event.id)
