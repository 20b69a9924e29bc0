"""A service for the tests of other programs: real, on a sandbox, on a relay of this process, gone when it is closed.

:mod:`kitestring.testing` makes fixtures of it. It stands on a sandbox alone: a real node cannot be named here.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from kitestring.app.embedded.service import Service
from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.client.net import Waits
from kitestring.relay.server import Relay
from kitestring.sdk.sandbox import Sandbox
from kitestring.sdk.wallet import Wallet
from kitestring.transport.clock import SystemClock

T = TypeVar("T")

#: Seconds in which a service starts or stops; it needs less than one.
LIFE_LIMIT_S: Final = 60.0
#: Seconds that a stop waits for payments under way. A test that holds one wants to see the next start.
GRACE_S: Final = 0.2
#: Of the wallets of a test, which would rather know that a payment is under way than how it ends.
WAITS: Final = Waits(lookup_pauses_s=(0.0, 0.5))
#: Invoices of the world that a close looks through for payments that are still held.
MAX_HELD: Final = 1_000


class MovedClock(SystemClock):
    """The time of this machine, put ahead. Waits stay real."""

    def __init__(self) -> None:
        self.ahead_s = 0

    def now(self) -> int:
        return super().now() + self.ahead_s


class RunningService:
    """A service that runs in this process, on a thread of its own: tests with and without asyncio use it alike.

    ``sandbox`` is its world, which it makes itself unless one is given. Its files are in a directory of its own, which
    :meth:`close` removes with everything else. All methods wait until they are done; they may be called in a running
    event loop, which stands still for less than a second then.
    """

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._directory: Final = Path(tempfile.mkdtemp(prefix="kitestring-bench-"))
        self._thread: _Thread | None = None
        self._service: Service | None = None
        self.sandbox: Final = sandbox or Sandbox(self._directory / "sandbox.db")
        #: The time of this service, its relay and its wallets: hand it to a ``Wallet.open(…, clock=…)`` of your own.
        self.clock: Final = MovedClock()
        self._relay: Final = Relay(None, clock=self.clock, entropy=os.urandom)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start it, or do nothing while it runs. Raises KitestringError as :class:`~kitestring.Service` does."""
        if self._thread is None:
            self._thread = _Thread()
            self._thread.run(self._relay.start())
        if self._service is None:
            service = Service(
                backend=self.sandbox.url, relays=[self._relay.url], store=self._directory / "service.db",
                clock=self.clock, grace_s=GRACE_S,
            )  # fmt: skip
            self._thread.run(service.__aenter__())
            self._service = service

    def stop(self) -> None:
        """Stop the service; its relay, its ledger and its world stay. What is under way then is carried on by the next
        start."""
        if self._thread is not None and self._service is not None:
            service, self._service = self._service, None
            self._thread.run(service.__aexit__(None, None, None))

    def restart(self) -> None:
        """Stop and start it again, as after an update of the machine."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop everything and remove its files. What is still held in its world is cancelled."""
        try:
            if self._thread is not None:
                self._thread.run(self._end_payments())
                self.stop()
                self._thread.run(self._relay.stop())
        finally:
            if self._thread is not None:
                self._thread.close()
                self._thread = None
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _end_payments(self) -> None:
        for one in await self.sandbox.invoices(MAX_HELD):
            if one.state in {"held", "in_flight"}:
                await self.sandbox.cancel(one.payment_hash)

    # ------------------------------------------------------------ what a test needs of it

    def connect(
        self, name: str = "app", *, methods: Iterable[str] | None = None, budget: Budget | None = None,
        per_payment: Msat | None = None,
    ) -> str:  # fmt: skip
        """The URI of a new wallet connection, which nothing bounds but what is given. Raises
        KitestringError, CONFLICT for a name that is taken with other values."""
        made = self._run(self._running.add_grant(name, methods=methods, budget=budget, per_payment=per_payment))
        if made.nwc_uri is None:
            raise KitestringError(Reason.CONFLICT, f"the connection {name!r} is in use: choose another name")
        return made.nwc_uri

    def offer(self, label: str = "offer", *, price: Msat | None = None) -> str:
        """The code of an offer; ``price`` None = the payer names the amount. Raises KitestringError."""
        return self._run(self._running.add_offer(label, price=price)).noffer

    def wallet(self, uri: str) -> Wallet:
        """A wallet by the time of this service, to be entered with ``async with``. It asks for the end of a payment
        whose answer does not come for half a second; ``Wallet.open`` does so for 37."""
        return Wallet.open(uri, clock=self.clock, relays=[self._relay.url], waits=WAITS)

    def advance(self, seconds: int) -> None:
        """Put the clocks of the service, its relay, its wallets and its world ahead: budgets renew, connections end,
        invoices expire. Timers that run, such as that of a request, are not moved, and neither is this machine's
        clock, which a ``Wallet.open`` without ``clock=`` goes by. Raises KitestringError(AMOUNT_OUT_OF_RANGE)."""
        self._run(self.sandbox.advance(seconds))
        self.clock.ahead_s += seconds

    @property
    def _running(self) -> Service:
        if self._service is None:
            raise KitestringError(Reason.UNAVAILABLE, "the service is stopped: start() it")
        return self._service

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._thread is None:
            work.close()
            raise KitestringError(Reason.UNAVAILABLE, "the service is stopped: start() it")
        return self._thread.run(work)


class _Thread:
    """A thread with an event loop, which ends with all that is left on it."""

    def __init__(self) -> None:
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="kitestring-bench", daemon=True)
        self._thread.start()
        self._has_begun.wait(LIFE_LIMIT_S)

    async def _live(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._has_begun.set()
        await self._ended.wait()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of what is done there. Raises TimeoutError after a minute."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIFE_LIMIT_S)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(LIFE_LIMIT_S)
