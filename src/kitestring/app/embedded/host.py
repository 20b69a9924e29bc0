"""The life of a service inside a program, and the owner's commands on it, whether it runs or not."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar

from kitestring.app.embedded.events import PaidCallback, ServiceEvents
from kitestring.app.embedded.stopped import StoppedDesk, stopped_commands
from kitestring.app.home.config import RELAYS, Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.home.signals import asked_to_stop
from kitestring.app.home.zones import load_zone
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.desk import Reading
from kitestring.app.service.core import GRACE_S, LISTEN_S, Core, Place
from kitestring.app.service.execute import Result
from kitestring.app.service.node_words import node_of
from kitestring.app.service.own_relay import relays_of
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ports import Clock
from kitestring.base.zones import UTC
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.relay.vouched import VouchedKeys
from kitestring.transport.clock import SystemClock

log = logging.getLogger("kitestring")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Office:
    """The owner's commands on a service, and its ledger. While the service does not run, only the commands are there
    that need neither node nor relay."""

    desk: Reading
    commands: OwnerCommands[Any]

    async def run(self, name: str, params: Mapping[str, object], key: str = "") -> Result:
        """Run a command for the owner, whose program this is; without a ``key`` each call has one of its own. Raises
        KitestringError."""
        return await self.commands.run(await self.commands.owner(), name, params, key or os.urandom(16).hex())


class Host:
    """One ledger, and the service on it while it runs."""

    def __init__(
        self,
        *,
        relays: Iterable[str],
        backend: str = "sandbox://",
        store: str | Path = "kitestring.db",
        zone: str = UTC.name,
        grace_s: float = GRACE_S,
        clock: Clock | None = None,
    ) -> None:
        path = Path(store).absolute()
        found = RELAYS.check([] if isinstance(relays, str) else list(relays))  # a text is a list of its letters
        if not found:
            raise KitestringError(Reason.MALFORMED, "name at least one relay: relays=['wss://relay.example.com']")
        self._relays: Final = found
        self._home: Final = DataDir(path.parent, path.parent, store=path)
        node = f"sandbox://{self._home.sandbox_db}" if backend == "sandbox://" else backend
        self._config: Final = Config(path.parent, node_url=node, relays=self._relays, zone_name=load_zone(zone).name)
        if clock is not None and not node.startswith("sandbox:"):  # deadlines of real money go by the real time
            raise KitestringError(Reason.MALFORMED, "clock= is for tests on a sandbox: leave it out with a real node")
        self._grace_s: Final = grace_s
        self._clock: Final[Clock] = clock or SystemClock()
        node_of(self._config, path.parent, self._clock, os.urandom)  # what cannot be opened is said here
        self._core: Core | None = None
        self._started = AsyncExitStack()
        self._callbacks: Final[list[PaidCallback]] = []
        self._streams: list[ServiceEvents] = []
        #: Of this program: of two commands on a service that does not run, the second waits.
        self._turn: Final = threading.Lock()

    @property
    def sandbox_url(self) -> str:
        """The world that this service stands on, for :meth:`kitestring.Sandbox.of`. Raises KitestringError(UNSUPPORTED)
        where it is a real node."""
        if not self._config.node_url.startswith("sandbox:"):
            raise KitestringError(Reason.UNSUPPORTED, "this service stands on a real node, which has no world to play")
        return self._config.node_url

    # ------------------------------------------------------------ life

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; what is in flight then gets ``grace_s``, the rest is carried on next time."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        stop = asked_to_stop()
        async with self:
            await stop.wait()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            started.enter_context(self._home.locked())
            clock, keyring = self._clock, self._keyring()
            vouched = VouchedKeys(own={keyring.service_id})
            relays, own = await started.enter_async_context(
                relays_of(self._config, self._home, keyring.service_id, clock, vouched)
            )
            place = Place(self._home.ledger, self._home.path, relays, vouched, own.known_by, own.url)
            is_new = not self._home.ledger.exists()
            core = await Core.open(self._config, place, keyring, clock=clock, entropy=os.urandom)
            started.push_async_callback(core.stop, self._grace_s)
            if is_new:
                self._home.hold_ledger()
            await core.start()
            self._core = core
            started.callback(self._forget)
            await self._begin(core, started)
            if not await core.listening(LISTEN_S):
                log.warning("no relay brings requests yet (%s); the service keeps trying", core.connections.why_deaf())
            self._started = started.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started.aclose()

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "a service is used by `async with`; in a program without asyncio write `from kitestring.blocking import "
            "Service`"
        )

    def __exit__(self, *_: object) -> None:
        """There is nothing to leave."""

    async def _begin(self, core: Core, started: AsyncExitStack) -> None:
        """Begin what runs beside the service, and leave its end in ``started``."""

    def _forget(self) -> None:
        self._core = None

    def _keyring(self) -> Keyring:
        self._home.need_ledger()
        keyring = Keyring(self._home.seed(os.urandom))
        self._home.check_owner(keyring.service_id)
        return keyring

    # ------------------------------------------------------------ commands

    @property
    def _running(self) -> Core:
        if self._core is None:
            raise KitestringError(Reason.UNAVAILABLE, "the service is not running: use it inside of `async with`")
        return self._core

    async def _ask(self, name: str, params: Mapping[str, object], key: str = "") -> Result:
        """Run a command of the owner, whether the service runs or not."""
        return await self._at_office(lambda office: office.run(name, params, key))

    async def _at_office(self, work: Callable[[Office], Awaitable[T]]) -> T:
        if self._core is not None:
            return await work(Office(self._core.desk, OwnerCommands(self._core.desk, all_commands())))
        return await asyncio.to_thread(self._stopped, work)

    def _alone(self, name: str, params: Mapping[str, object]) -> Result:
        """Run a command before the service runs, in a program that has no loop yet."""
        instead = "await add_grant(), add_offer(), add_pointer() or add_account()"
        if self._core is not None:
            raise KitestringError(Reason.MALFORMED, f"the service is running: {instead}")
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise KitestringError(Reason.MALFORMED, f"this would make a coroutine wait: {instead}")
        return self._stopped(lambda office: office.run(name, params))

    def _stopped(self, work: Callable[[Office], Awaitable[T]]) -> T:
        async def done() -> T:
            keyring = self._keyring()
            store = await SqliteStore.open(self._home.ledger, keyring.service_id)
            try:
                desk = StoppedDesk(self._config, keyring, store, self._relays)
                return await work(Office(desk, stopped_commands(desk)))
            finally:
                await store.close()

        with self._turn, self._home.locked():
            return asyncio.run(done())
