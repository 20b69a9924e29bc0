"""The service inside somebody's own program: ``from kitestring import Service``."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kitestring.app.home.config import RELAYS, Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.home.signals import asked_to_stop
from kitestring.app.owner.command import Manage, Read
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.desk import Desk, Managing
from kitestring.app.owner.offline import LedgerDesk
from kitestring.app.service.core import LISTEN_S, Core, Place
from kitestring.app.service.execute import Result, execute
from kitestring.app.service.own_relay import relays_of
from kitestring.app.service.relay_word import RelayWord
from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.ports import Entropy
from kitestring.base.store import Store
from kitestring.base.transactions import Write
from kitestring.crypto.keys import SecretKey
from kitestring.engine.limits import Limits
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.relay.vouched import VouchedKeys
from kitestring.transport.clock import SystemClock

log = logging.getLogger("kitestring")


@dataclass(frozen=True, slots=True)
class Connection:
    """A NWC connection. ``nwc_uri``, which holds its secret, is None once an app has used it. ``missing_on`` names the
    relays that do not carry the connection yet, each with its own words about it; the service goes on trying."""

    name: str
    connection_id: str
    nwc_uri: str | None = field(default=None, repr=False)
    missing_on: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfferCode:
    """An offer, and the static code that anybody can pay as often as they like."""

    label: str
    offer_id: str
    noffer: str


class Service:
    """A kitestring service on your own terms.

    ``backend`` is a node URL (``sandbox://``, ``lnd+https://HOST:PORT?cert=PATH&macaroon=PATH``), ``relays`` (at least
    one) are where it is reached, ``store`` is the file of the ledger; key, lock and sandbox live beside it under the
    same name. :meth:`run` serves until Ctrl-C; inside a program of your own use ``async with``.

    :meth:`grant` and :meth:`offer` are for before it runs; :meth:`add_grant` and :meth:`add_offer` for while it does.
    """

    def __init__(
        self, *, relays: Iterable[str], backend: str = "sandbox://", store: str | Path = "kitestring.db"
    ) -> None:
        path = Path(store).absolute()
        found = RELAYS.check([] if isinstance(relays, str) else list(relays))  # a text is a list of its letters
        if not found:
            raise KitestringError(Reason.MALFORMED, "name at least one relay: relays=['wss://relay.example.com']")
        self._relays: Final = found
        self._home: Final = DataDir(path.parent, path.parent, store=path)
        node = f"sandbox://{self._home.sandbox_db}" if backend == "sandbox://" else backend
        self._config: Final = Config(path.parent, node_url=node, relays=self._relays)
        self._core: Core | None = None
        self._started = AsyncExitStack()

    # ------------------------------------------------------------ before it runs

    def grant(
        self, name: str, *, methods: Iterable[str] | None = None, budget: Budget | None = None,
        per_payment: Msat | None = None, max_fee: Msat | None = None, account: str = "owner",
        expires_at: int | None = None,
    ) -> Connection:  # fmt: skip
        """Make a connection, or return the one of that name. ``methods`` None = all.

        ``per_payment`` bounds what one payment may cost with its routing fee, ``max_fee`` the fee (None = the limit of
        the settings). ``expires_at`` in Unix seconds. Raises KitestringError for what cannot be granted, CONFLICT where
        the one of that name has other values than those that are named here.
        """
        params = _grant_params(name, methods, budget, per_payment, max_fee, account, expires_at)
        return _connection(self._alone("connect", params))

    def offer(self, label: str, *, price: Msat | None = None) -> OfferCode:
        """Make an offer, or return the one of that label. ``price`` None = the payer names the amount.

        Raises KitestringError(CONFLICT) where the one of that label has another price.
        """
        return _code(self._alone("offer_create", _offer_params(label, price)))

    def _alone(self, name: str, params: dict[str, object]) -> Result:
        if self._core is not None:
            raise KitestringError(Reason.MALFORMED, "the service is running: await add_grant() or add_offer() instead")

        async def done() -> Result:
            keyring = self._keyring()
            store = await SqliteStore.open(self._home.ledger, keyring.service_id)
            try:
                desk = _StoppedDesk(self._home.path, keyring, store, self._relays, self._config.limits)
                return await _run(_stopped_commands(desk), name, params)
            finally:
                await store.close()

        with self._home.locked():
            return asyncio.run(done())

    def _keyring(self) -> Keyring:
        self._home.need_ledger()
        keyring = Keyring(self._home.seed(os.urandom))
        self._home.check_owner(keyring.service_id)
        return keyring

    # ------------------------------------------------------------ life

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; what is in flight then gets ten seconds, the rest is carried on next time."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        stop = asked_to_stop()
        async with self:
            await stop.wait()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            started.enter_context(self._home.locked())
            clock, keyring = SystemClock(), self._keyring()
            vouched = VouchedKeys(own={keyring.service_id})
            relays, own = await started.enter_async_context(
                relays_of(self._config, self._home, keyring.service_id, clock, vouched)
            )
            place = Place(self._home.ledger, self._home.path, relays, vouched, own.known_by, own.url)
            is_new = not self._home.ledger.exists()
            core = await Core.open(self._config, place, keyring, clock=clock, entropy=os.urandom)
            started.push_async_callback(core.stop)
            if is_new:
                self._home.hold_ledger()
            await core.start()
            self._core = core
            started.callback(self._forget)
            if not await core.listening(LISTEN_S):
                log.warning("no relay brings requests yet (%s); the service keeps trying", core.connections.why_deaf())
            self._started = started.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started.aclose()

    def _forget(self) -> None:
        self._core = None

    # ------------------------------------------------------------ while it runs

    async def add_grant(
        self, name: str, *, methods: Iterable[str] | None = None, budget: Budget | None = None,
        per_payment: Msat | None = None, max_fee: Msat | None = None, account: str = "owner",
        expires_at: int | None = None,
    ) -> Connection:  # fmt: skip
        """As :meth:`grant`, while the service runs: returns when the relays have said whether they carry it, after two
        seconds at the latest."""
        params = _grant_params(name, methods, budget, per_payment, max_fee, account, expires_at)
        return _connection(await _run(self._commands, "connect", params))

    async def add_offer(self, label: str, *, price: Msat | None = None) -> OfferCode:
        """As :meth:`offer`, while the service runs."""
        return _code(await _run(self._commands, "offer_create", _offer_params(label, price)))

    @property
    def _commands(self) -> OwnerCommands[Desk]:
        if self._core is None:
            raise KitestringError(Reason.UNAVAILABLE, "the service is not running: use `async with service`")
        return OwnerCommands(self._core.desk, all_commands())


class _StoppedDesk(LedgerDesk, Managing):
    """A stopped service whose ledger is open for writing: what needs neither node nor relay can be managed."""

    def __init__(self, data_dir: Path, keyring: Keyring, store: Store, relays: tuple[str, ...], limits: Limits) -> None:
        super().__init__(data_dir, keyring.service_id, store, relays, limits)
        self._ledger, self._keyring = store, keyring
        self._one_at_a_time = asyncio.Lock()

    @property
    def one_at_a_time(self) -> asyncio.Lock:
        return self._one_at_a_time

    @property
    def entropy(self) -> Entropy:
        return os.urandom

    def relays_for_codes(self) -> tuple[str, ...]:
        return self.relay_urls()

    def connection_pubkey(self, grant_id: str) -> str:
        return self._keyring.connection_key(grant_id).public_hex

    async def execute(self, request_id: str, grant_id: str, writes: tuple[Write, ...], result: Result) -> Result | None:
        return await execute(self._ledger, request_id, grant_id, writes, result, self.clock.now())

    def client_key(self, salt: bytes) -> SecretKey:
        return self._keyring.client_key(salt)

    async def grant_changed(self, grant_id: str) -> None:
        """Served from the next start on."""

    async def relay_words(self, _grant: Grant) -> tuple[RelayWord, ...]:
        """Told to no relay before the next start."""
        return ()


def _stopped_commands(desk: _StoppedDesk) -> OwnerCommands[Managing]:
    fitting = {name: spec for name, spec in all_commands().items() if isinstance(spec, Read | Manage)}
    return OwnerCommands[Managing](desk, fitting)


async def _run(commands: OwnerCommands[Any], name: str, params: dict[str, object]) -> Result:
    """Run a command for the owner, whose program this is; each call has a key of its own."""
    return await commands.run(await commands.owner(), name, params, os.urandom(16).hex())


def _offer_params(label: str, price: Msat | None) -> dict[str, object]:
    return {"label": label, "price_msat": None if price is None else int(price)}


def _grant_params(
    name: str, methods: Iterable[str] | None, budget: Budget | None, per_payment: Msat | None,
    max_fee: Msat | None, account: str, expires_at: int | None,
) -> dict[str, object]:  # fmt: skip
    params: dict[str, object] = {"name": name, "account": account, "expires_at": expires_at}
    if methods is not None:
        params["methods"] = sorted(methods)
    if budget is not None:
        params |= {"budget_msat": int(budget.limit_msat), "period": budget.period, "length_s": budget.length_s}
    if per_payment is not None:
        params["per_payment_msat"] = int(per_payment)
    if max_fee is not None:
        params["fee_cap_msat"] = int(max_fee)
    return params


def _connection(result: Result) -> Connection:
    missing_on = {row["relay"]: row["words"] for row in result["relays"] if not row["carries"]}
    return Connection(result["name"], result["connection_id"], result["nwc_uri"], missing_on)


def _code(result: Result) -> OfferCode:
    return OfferCode(result["label"], result["offer_id"], result["noffer"])
