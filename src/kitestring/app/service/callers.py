"""The callers of the service: each wire says who may speak over it, and to which key."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.app.service.throttling import CallerThrottle, Throttles
from kitestring.base.enrolments import is_enrolled
from kitestring.base.grants import Grant
from kitestring.wire.grammar import Speakers, Wire
from kitestring.wire.registry import BY_KIND, BY_NAME
from kitestring.wire.reply_to import CONNECTION_KEY_PREFIX, SERVICE_KEY


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Somebody who may speak over ``wire``. ``name`` is what its throttle are counted under, ``key_id`` the key that
    answers, ``grant`` that of a connection.

    ``known`` is the id of a grant of this caller, under which is kept what it was refused; a stranger, of whom nothing
    is kept, has none. ``known_since`` (Unix seconds) is when that began, for who was a stranger before.
    ``is_enrolled``: the caller has made itself known, and nobody else has given it anything.
    """

    wire: Wire
    name: str
    key_id: str
    throttle: CallerThrottle
    grant: Grant | None = None
    known: str = ""
    known_since: int = 0
    is_enrolled: bool = False


class Callers:
    """The connections, and the key that everybody else speaks to."""

    def __init__(self, service_pubkey: str, throttles: Throttles) -> None:
        self._service_pubkey: Final = service_pubkey
        self._throttles: Final = throttles
        self._connections: dict[str, Caller] = {}
        #: Callers with grants on a wire of strangers, by wire and public key; and the grants of each, with their dates.
        self._known: dict[tuple[str, str], Caller] = {}
        self._grants: dict[tuple[str, str], dict[str, int]] = {}
        self._whose: dict[str, tuple[str, str]] = {}
        self._enrolled: set[str] = set()  # of these grants, those that keys have made themselves

    def set_grant(self, grant: Grant) -> None:
        """Serve the caller of a grant as that is from now on.

        An ended connection stays known: its app is told so instead of waiting. Over a wire of strangers a caller is
        known for as long as one of its grants is not revoked.
        """
        wire = BY_NAME.get(grant.wire)
        if wire is None:  # the owner's
            return
        if wire.speakers is Speakers.STRANGERS:
            self._set_known(wire, grant)
            return
        self._connections[grant.service_pubkey] = Caller(
            wire,
            grant.grant_id,
            CONNECTION_KEY_PREFIX + grant.grant_id,
            self._throttles.connections,
            grant,
            grant.grant_id,
        )

    def _set_known(self, wire: Wire, grant: Grant) -> None:
        before = self._whose.pop(grant.grant_id, None)
        if before is not None:
            self._lose(wire, before, grant.grant_id)
        if grant.caller and grant.revoked_at is None:
            who = self._whose[grant.grant_id] = wire.name, grant.caller
            if is_enrolled(grant.account_id):
                self._enrolled.add(grant.grant_id)
            self._grants.setdefault(who, {})[grant.grant_id] = grant.created_at
            self._name(wire, who)

    def _name(self, wire: Wire, who: tuple[str, str]) -> None:
        """Name the caller by its oldest grant: the others may come and go."""
        grants = self._grants[who]
        since, grant_id = min((since, grant_id) for grant_id, since in grants.items())
        alone = self._enrolled.issuperset(grants)
        throttle = self._throttles.enrolled if alone else self._throttles.connections
        self._known[who] = Caller(wire, who[1], SERVICE_KEY, throttle, None, grant_id, since, alone)

    def _lose(self, wire: Wire, who: tuple[str, str], grant_id: str) -> None:
        left = self._grants[who]
        del left[grant_id]
        self._enrolled.discard(grant_id)
        if left:
            self._name(wire, who)
        else:
            del self._grants[who], self._known[who]

    def keys(self) -> list[str]:
        """The public keys that requests are addressed to."""
        return [self._service_pubkey, *self._connections]

    def is_ours(self, key: str) -> bool:
        return key == self._service_pubkey or key in self._connections

    def find(self, kind: int, recipient: str, author: str) -> Caller | None:
        """As whom ``author`` may send requests of this kind to our key ``recipient``; None = not at all."""
        wire = BY_KIND[kind]
        if wire.speakers is Speakers.STRANGERS:
            if recipient != self._service_pubkey:
                return None
            known = self._known.get((wire.name, author))
            return known or Caller(wire, author, SERVICE_KEY, self._throttles.strangers(wire.name))
        caller = self._connections.get(recipient)
        if caller is None or caller.grant is None or caller.wire is not wire:
            return None
        return caller if caller.grant.caller == author else None
