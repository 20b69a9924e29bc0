"""The money of a service: its balance, its transactions, and what becomes true while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any, Final, Literal, TypeVar

from kitestring.app.embedded.events import ServiceEvents, as_told, stop, tell_paid
from kitestring.app.embedded.host import Host, Office
from kitestring.app.embedded.values import words
from kitestring.app.owner.accounts import find_account
from kitestring.app.service.core import Core
from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind
from kitestring.base.money import Msat
from kitestring.base.outcomes import Transaction
from kitestring.base.store import Scope

F = TypeVar("F", bound=Callable[[Transaction], Any])

#: Rows of one answer.
MAX_ROWS: Final = 1_000


class Bookkeeping(Host):
    """Looking at money, and being told of it."""

    async def balance(self) -> Msat:
        """The amount that the owner can spend now. Raises KitestringError(UNAVAILABLE) while the service does not run,
        and where the node cannot be asked."""
        found = await self._ask("balance", {})
        if found["balance_msat"] is None:
            raise KitestringError(Reason.UNAVAILABLE, found["unknown_because"])
        return Msat(found["balance_msat"])

    async def transactions(
        self, *, since: int = 0, until: int = 0, limit: int = 20, offset: int = 0,
        direction: Literal["", "incoming", "outgoing"] = "", unpaid: bool = False, account: str = "",
    ) -> tuple[Transaction, ...]:  # fmt: skip
        """Payments in and out of ``account`` ("" = of all), the newest first, at most 1,000. Times are Unix seconds;
        ``unpaid`` adds invoices that nobody has paid, and payments that are open or have failed. Raises
        KitestringError."""
        if direction not in {"", "incoming", "outgoing"} or not 1 <= limit <= MAX_ROWS:
            raise KitestringError(
                Reason.MALFORMED, f"direction is incoming or outgoing, and limit is from 1 to {MAX_ROWS}"
            )
        query = ListTransactions(
            from_=since, until=until, limit=limit, offset=offset, direction=direction, unpaid_incoming=unpaid,
            unpaid_outgoing=unpaid,
        )  # fmt: skip

        async def listed(office: Office) -> tuple[Transaction, ...]:
            account_id = (await find_account(office.desk, account)).account_id if account else ""
            names = await office.desk.store.renamed_accounts()
            found = await office.desk.store.transactions(Scope(account_id=account_id), query)
            return tuple(as_told(one, names) for one in found)

        return await self._at_office(listed)

    async def cancel_invoice(self, invoice: str, *, key: str = "") -> None:
        """Let nobody pay an open invoice any more, before it expires: the invoice itself, or its payment hash (the
        first 8 digits are enough). Returns when the node has said so, also where it had expired.

        A program that may be killed and ask again names a ``key`` (1 to 128 visible ASCII characters without spaces).
        Raises KitestringError: CONFLICT where it was paid first, which is credited, and for a hold invoice;
        PAYMENT_IN_FLIGHT while the node cannot be told, and is as soon as it can; UNSUPPORTED where it cannot cancel
        any; UNKNOWN_TARGET when there is no such invoice; UNAVAILABLE while the service does not run."""
        await self._ask("invoice_cancel", {"invoice": invoice}, key)

    # ------------------------------------------------------------ news

    def events(self, *, since: int | None = None, kinds: Iterable[str] = ()) -> ServiceEvents:
        """Everything that becomes true from now on: ``async for event in service.events()``.

        ``since`` is the ``position`` of the last event that was dealt with: then what came since comes first, and
        nothing is left out; 0 begins with the oldest that is kept. ``kinds`` are those that are wanted, such as
        ``["received"]`` (none named = all). Raises KitestringError: UNAVAILABLE while the service does not run,
        MALFORMED for a kind that there is not.
        """
        wanted = frozenset(words(kinds, "kinds"))
        known = [kind.value for kind in EventKind]
        if unknown := sorted(wanted.difference(known)):
            raise KitestringError(Reason.MALFORMED, f"{unknown[0]!r} is no kind of event; there are {', '.join(known)}")
        made = ServiceEvents(self._running, since, frozenset(EventKind(kind) for kind in wanted or known))
        self._streams = [one for one in self._streams if not one.is_closed] + [made]
        return made

    def on_paid(self, callback: F) -> F:
        """Call a function, as ``@service.on_paid``, with the :class:`Transaction` of each invoice that is paid, also of
        one that was paid while the service was away. The first service with a callback begins with now.

        A coroutine is awaited, a plain function is called in a thread; they come one after the other. What raises is
        logged, and counts as told. After a crash the last one may come again: its ``payment_hash`` says so. Raises
        KitestringError while the service runs already.
        """
        if self._core is not None:
            raise KitestringError(Reason.MALFORMED, "the service is running: name its callbacks before")
        self._callbacks.append(callback)
        return callback

    async def _begin(self, core: Core, started: AsyncExitStack) -> None:
        started.push_async_callback(self._end_streams)
        if self._callbacks:
            started.push_async_callback(stop, asyncio.create_task(tell_paid(core, tuple(self._callbacks))))

    async def _end_streams(self) -> None:
        while self._streams:
            await self._streams.pop().close()
