"""Reading commands without a running service: the same handlers on the stored ledger, opened read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir, not_running
from kitestring.app.home.keyring import Keyring
from kitestring.app.owner.command import Read
from kitestring.app.owner.commands import OwnerCommands, command
from kitestring.app.owner.desk import Reading
from kitestring.app.service.execute import Result
from kitestring.app.service.own_relay import own_relays
from kitestring.base.commands import PayInvoice
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.ports import Clock, CurrencyRates
from kitestring.base.store import Reads, Store
from kitestring.base.zones import Zone
from kitestring.engine.context import NoRates
from kitestring.policy.costs import fee_cap_of, service_fee_of
from kitestring.transport.clock import SystemClock


class LedgerDesk(Reading):
    """The reading role on the ledger in ``data_dir`` alone: no node stands behind it."""

    def __init__(self, config: Config, service_id: str, store: Reads, relays: tuple[str, ...]) -> None:
        self._config, self._service_id, self._store, self._relays = config, service_id, store, relays
        self._clock = SystemClock()

    @property
    def store(self) -> Reads:
        return self._store

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def service_id(self) -> str:
        return self._service_id

    @property
    def zone(self) -> Zone:
        return self._config.zone

    @property
    def rates(self) -> CurrencyRates:
        """Of none: nobody outside is asked for the sake of a stopped service."""
        return NoRates()

    def relay_urls(self) -> tuple[str, ...]:
        return self._relays

    def fee_cap(self, command: PayInvoice, grant: Grant | None) -> Msat:
        limits = self._config.limits
        return fee_cap_of(command, grant, limits.fee_ppm, limits.fee_min_msat)

    def service_fee(self, command: PayInvoice, grant: Grant | None) -> Msat:
        return service_fee_of(command, grant, self._config.limits.service_fee)

    async def balance(self, grant_id: str) -> Outcome:
        """Refused: only the node knows it."""
        stopped = not_running(self._config.data_dir)
        return Refused(stopped.reason, stopped.message, stopped.details)


async def run_offline(config: Config, name: str, params: dict[str, Any]) -> Result:
    """One reading command on the ledger of a stopped service, for its owner. Raises KitestringError."""
    home = DataDir(config.data_dir, config.runtime_dir)
    keyring = Keyring(home.read_seed())
    home.check_owner(keyring.service_id)
    spec = command(name)
    if not isinstance(spec, Read) or not home.ledger.exists():
        raise not_running(home.path)
    store = await _open(home.ledger, keyring.service_id)
    try:
        desk = LedgerDesk(config, keyring.service_id, store, own_relays(config, home))
        commands = OwnerCommands[Reading](desk, {name: spec})
        return await commands.run(await commands.owner(), name, params)
    finally:
        await store.close()


async def _open(ledger: Path, service_id: str) -> Store:
    from kitestring.ledger.sqlite.store import SqliteStore  # noqa: PLC0415 - loads slowly, and few commands need it

    return await SqliteStore.open(ledger, service_id, readonly=True)
