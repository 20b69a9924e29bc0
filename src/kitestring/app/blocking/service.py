"""The service of a program without asyncio."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from kitestring.app.blocking.twin import Blocks, Gives, Stream, Twin
from kitestring.app.blocking.worker import Worker
from kitestring.app.embedded.events import ServiceEvent
from kitestring.app.embedded.service import Service
from kitestring.base.outcomes import Transaction
from kitestring.base.zones import UTC

F = TypeVar("F", bound=Callable[[Transaction], Any])


class BlockingService(Twin):
    """As :class:`kitestring.Service`, for ``with`` and without ``await``. Several threads may use it at the same time.

    ``grant`` and ``add_grant`` are the same here, and so are the others of these pairs: all work before the service
    runs and while it does.
    """

    def __init__(
        self,
        *,
        relays: Iterable[str],
        backend: str = "sandbox://",
        store: str | Path = "kitestring.db",
        zone: str = UTC.name,
    ) -> None:
        super().__init__(Service(relays=relays, backend=backend, store=store, zone=zone), Worker())

    grant = add_grant = Blocks(Service.add_grant)
    update_grant = Blocks(Service.update_grant)
    grants = Blocks(Service.grants)
    budgets = Blocks(Service.budgets)
    pause = Blocks(Service.pause)
    resume = Blocks(Service.resume)
    rotate = Blocks(Service.rotate)
    revoke = Blocks(Service.revoke)

    offer = add_offer = Blocks(Service.add_offer)
    update_offer = Blocks(Service.update_offer)
    offers = Blocks(Service.offers)
    delete_offer = Blocks(Service.delete_offer)

    account = add_account = Blocks(Service.add_account)
    accounts = Blocks(Service.accounts)
    fund = Blocks(Service.fund)
    withdraw = Blocks(Service.withdraw)
    transfer = Blocks(Service.transfer)
    rename_account = Blocks(Service.rename_account)
    close_account = Blocks(Service.close_account)

    balance = Blocks(Service.balance)
    transactions = Blocks(Service.transactions)
    cancel_invoice = Blocks(Service.cancel_invoice)
    events = Gives(Service.events, Stream[ServiceEvent])

    pointer = add_pointer = Blocks(Service.add_pointer)
    add_session = Blocks(Service.add_session)
    sessions = Blocks(Service.sessions)
    session_used = Blocks(Service.session_used)

    @property
    def sandbox_url(self) -> str:
        """The world that this service stands on. Raises KitestringError(UNSUPPORTED) where it is a real node."""
        inner: Service = self._inner
        return inner.sandbox_url

    def on_paid(self, callback: F) -> F:
        """As :meth:`kitestring.Service.on_paid`; the function is called in a thread of its own, and may use the
        service."""
        inner: Service = self._inner
        return inner.on_paid(callback)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM, in the main thread; what is in flight then gets ten seconds, the rest is
        carried on next time."""
        self._worker.stop()
        self._inner.run()

    def __enter__(self) -> Self:
        self._worker.wait(self._inner.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._worker.wait(lambda: self._inner.__aexit__(None, None, None))
        finally:
            self._worker.stop()
