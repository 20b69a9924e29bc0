"""Reading commands without a running service: the same handlers on the stored ledger, opened read-only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir, not_running
from kitestring.app.home.keyring import Keyring
from kitestring.app.owner import commands as control
from kitestring.app.owner.desk import Desk
from kitestring.app.service.execute import Result
from kitestring.app.service.own_relay import own_relays
from kitestring.base.commands import AnyCommand, Journaled
from kitestring.base.errors import KitestringError
from kitestring.base.node import Backend
from kitestring.base.outcomes import Outcome
from kitestring.base.ports import Clock, Entropy
from kitestring.base.records import NodeView
from kitestring.base.store import Store
from kitestring.base.transactions import Write
from kitestring.codec.bolt11 import Invoice
from kitestring.codec.pointers import Noffer
from kitestring.transport.clock import SystemClock


class OfflineDesk(Desk):
    """A desk with the ledger alone: whatever needs the node or the relays says how to start the service."""

    def __init__(self, config: Config, keyring: Keyring, store: Store, relays: tuple[str, ...]) -> None:
        self._config, self._keyring, self._store, self._relays = config, keyring, store, relays
        self._clock = SystemClock()

    @property
    def store(self) -> Store:
        return self._store

    @property
    def backend(self) -> Backend:
        raise self._stopped()

    @property
    def config(self) -> Config:
        return self._config

    @property
    def keyring(self) -> Keyring:
        return self._keyring

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def entropy(self) -> Entropy:
        return os.urandom

    def relay_urls(self) -> tuple[str, ...]:
        return self._relays

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        raise self._stopped()

    async def perform(self, request_id: str, grant_id: str, command: Journaled, wait_s: float) -> Outcome | None:
        raise self._stopped()

    async def execute(self, request_id: str, name: str, writes: tuple[Write, ...], result: Result) -> Result:
        raise self._stopped()

    async def resolve_payment(self, payment_id: str, note: str) -> None:
        raise self._stopped()

    async def grants_changed(self) -> None:
        raise self._stopped()

    async def resolve_offer(self, noffer: Noffer, amount_sats: int | None, description: str) -> Invoice:
        raise self._stopped()

    async def node_view(self) -> NodeView:
        raise self._stopped()

    def _stopped(self) -> KitestringError:
        return not_running(self._config.data_dir)


async def run_offline(config: Config, name: str, params: dict[str, Any]) -> Result:
    """One reading command on the ledger of a stopped service. Raises KitestringError."""
    home = DataDir(config.data_dir, config.runtime_dir)
    keyring = Keyring(home.read_seed())
    home.check_owner(keyring.service_id)
    if not home.ledger.exists():
        raise not_running(home.path)
    store = await _open(home.ledger, keyring.service_id)
    try:
        return await control.run(OfflineDesk(config, keyring, store, own_relays(config, home)), name, params)
    finally:
        await store.close()


async def _open(ledger: Path, service_id: str) -> Store:
    from kitestring.ledger.sqlite.store import SqliteStore  # noqa: PLC0415

    return await SqliteStore.open(ledger, service_id, readonly=True)
