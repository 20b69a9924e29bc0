"""The callers of the service: each wire says who may speak over it, and to which key."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.app.service.rates import CallerRates, Rates
from kitestring.base.grants import Grant
from kitestring.wire.grammar import Speakers, Wire
from kitestring.wire.registry import BY_KIND, BY_NAME
from kitestring.wire.reply_to import CONNECTION_KEY_PREFIX, SERVICE_KEY


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Somebody who may speak over ``wire``. ``name`` is what its rates are counted under, ``key_id`` the key that
    answers; a stranger has no ``grant``."""

    wire: Wire
    name: str
    key_id: str
    rates: CallerRates
    grant: Grant | None = None


class Callers:
    """The connections, and the key that strangers speak to."""

    def __init__(self, service_pubkey: str, rates: Rates) -> None:
        self._service_pubkey: Final = service_pubkey
        self._rates: Final = rates
        self._connections: dict[str, Caller] = {}

    def set_connection(self, grant: Grant) -> None:
        """Serve a connection as it is from now on. An ended one stays known: its app is told so instead of waiting."""
        self._connections[grant.service_pubkey] = Caller(
            BY_NAME[grant.wire],
            grant.grant_id,
            CONNECTION_KEY_PREFIX + grant.grant_id,
            self._rates.connections,
            grant,
        )

    def keys(self) -> list[str]:
        """The public keys that requests are addressed to."""
        return [self._service_pubkey, *self._connections]

    def is_ours(self, key: str) -> bool:
        return key == self._service_pubkey or key in self._connections

    def find(self, kind: int, recipient: str, author: str) -> Caller | None:
        """As whom ``author`` may send requests of this kind to our key ``recipient``; None = not at all."""
        wire = BY_KIND[kind]
        if wire.speakers is Speakers.STRANGERS:
            heard = recipient == self._service_pubkey
            return Caller(wire, author, SERVICE_KEY, self._rates.strangers) if heard else None
        caller = self._connections.get(recipient)
        if caller is None or caller.grant is None or caller.wire is not wire:
            return None
        return caller if caller.grant.caller == author else None
