"""The parts of a running service that carriers are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kitestring.app.service.announcer import Announcer
from kitestring.app.service.background import Background
from kitestring.app.service.notifier import Notifier
from kitestring.app.service.rendezvous import Rendezvous
from kitestring.app.service.wires import Wires
from kitestring.base.ports import Clock
from kitestring.base.store import Store
from kitestring.transport.relays import RelayPool


@dataclass(frozen=True, slots=True)
class Seams:
    """One value instead of a list of arguments: a carrier takes of it what it needs."""

    pool: RelayPool
    store: Store
    wires: Wires
    clock: Clock
    announcer: Announcer
    #: Calls back when a witness outside knows how far the ledger has come; False, and never, if too much waits for it.
    when_witnessed: Callable[[Callable[[], None]], bool]
    notifier: Notifier
    rendezvous: Rendezvous
    #: For work of carriers that have nobody else to end it: it is cancelled when the service stops.
    background: Background
