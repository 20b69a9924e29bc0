"""What a connection is shown is what it may see: random books, and every way in which an app learns of a payment."""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.service.delivery import Route
from kitestring.app.service.notices import NOTICES, give_notice
from kitestring.app.service.receptions import OnReception, Reception
from kitestring.base.commands import OWNER_ACCOUNT, ListTransactions, LookupInvoice, LookupPayment
from kitestring.base.events import EventKind
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.outcomes import Found, Listed, Refused
from kitestring.base.records import NOTIFICATION, Message
from kitestring.base.transactions.owner import Transfer
from kitestring.engine.feed import Feed
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life, Rig

ACCOUNTS = (OWNER_ACCOUNT, "alice", "bob")
MAY = "pay_invoice make_invoice lookup_invoice list_transactions get_balance payment_received payment_sent"
STEPS = 40
FUNDED = 10_000_000
EVERYTHING = ListTransactions(limit=1_000, unpaid_incoming=True, unpaid_outgoing=True)
TYPES = {EventKind.RECEIVED: "payment_received", EventKind.SETTLED: "payment_sent"}
#: A record: its direction and its payment hash, then whose it is.
Row = tuple[str, str, str, str]


def records(path: Path) -> set[Row]:
    """Everything in the books, of which an app could be shown something."""
    with sqlite3.connect(path) as raw:
        out = raw.execute("SELECT 'outgoing', payment_hash, grant_id, account_id FROM payments").fetchall()
        return {*out, *raw.execute("SELECT 'incoming', payment_hash, grant_id, account_id FROM invoices").fetchall()}


class Books:
    """Three accounts with connections of both kinds, offers and debits, and what their owners and others do at random.

    ``due`` is what must have been told: by whom it may be seen at the moment when it becomes true.
    """

    def __init__(self, rig: Rig, chance: random.Random) -> None:
        self.rig = rig
        self.chance = chance
        self.due: list[tuple[str, str]] = []
        self._numbers = itertools.count()
        self._last = 0

    async def open(self) -> None:
        for account in ACCOUNTS:
            if account != OWNER_ACCOUNT:
                await self.rig.account(account, FUNDED)
            for name, history in (("pays", "own"), ("sees", "account"), ("alone", "own"), ("too", "account")):
                await self.rig.grant(f"{account} {name}", account=account, methods=MAY, shown_history=history)
            await self.rig.offer(f"of {account}", account)
            await self.rig.pointer(f"till of {account}", account_id=account)
            await self.rig.allow(f"till of {account}", "7e" * 32, account_id=account)

    async def apps(self) -> list[Grant]:
        return [grant for grant in await self.rig.store.grants() if grant.wire == "nwc"]

    async def step(self) -> None:
        """Something happens, and is over before the next thing does."""
        steps = (self.pays_outside, self.pays_inside, self.pays_inside, self.is_paid, self.is_paid, self.debits,
                 self.fails, self.moves, self.shows)  # fmt: skip
        await self.chance.choice(steps)()
        await self.rig.clock.sleep(5)
        apps = await self.apps()
        for event in await self.rig.store.events(self._last, 1_000):
            self._last = event.number
            if event.kind in TYPES and not event.detail:
                words = f"{TYPES[event.kind]} {event.subject}"
                self.due += [(app.grant_id, words) for app in apps if app.sees(event.grant_id, event.account_id)]

    def _name(self) -> str:
        return f"r{next(self._numbers)}"

    def _app(self) -> str:
        return f"{self.chance.choice(ACCOUNTS)} {self.chance.choice(('pays', 'sees', 'alone', 'too'))}"

    async def _invoice(self) -> tuple[str, str]:
        offer = f"of {self.chance.choice(ACCOUNTS)}"
        if self.chance.random() < 0.5:
            return await self.rig.invoice(self._name(), "", 5_000, offer_id=offer)
        return await self.rig.invoice(self._name(), self._app(), 5_000)

    async def _pay(self, invoice: tuple[str, str]) -> None:
        name = self._name()
        await self.rig.pay(name, self._app(), invoice, 5_000)
        await self.rig.answer(name)

    async def pays_outside(self) -> None:
        await self._pay(self.rig.node.outside_invoice(Script(fee=7)))

    async def pays_inside(self) -> None:
        await self._pay(await self._invoice())

    async def fails(self) -> None:
        await self._pay(self.rig.node.outside_invoice(Script(fails="no_route")))

    async def is_paid(self) -> None:
        _, payment_hash = await self._invoice()
        if self.chance.random() < 0.8:
            assert self.rig.node.pay_in(payment_hash)

    async def debits(self) -> None:
        name = self._name()
        invoice = self.rig.node.outside_invoice(Script())
        await self.rig.debit(name, "7e" * 32, invoice, 5_000, pointer=f"till of {self.chance.choice(ACCOUNTS)}")
        await self.rig.answer(name)

    async def moves(self) -> None:
        await self.rig.write(Transfer(self._name(), "alice", "bob", Msat(1_000), "", self.rig.clock.now(), None))

    async def shows(self) -> None:
        await self.rig.change(self._app(), shown_history=self.chance.choice(("own", "account")))


@asynccontextmanager
async def telling(rig: Rig) -> AsyncIterator[list[tuple[str, str]]]:
    """The notifications that are written, each with its connection."""
    told: list[tuple[str, str]] = []

    def carry(message: Message, done: OnReception) -> None:
        if message.kind == NOTIFICATION:
            told.append((message.address.decode(), message.plaintext.decode()))
        done(Reception.TAKEN)

    rig.delivery._routes = {**rig.delivery._routes, NOTIFICATION: Route(carry), "announcement": Route(carry)}
    work = asyncio.ensure_future(give_notice(Feed(rig.store, rig.clock), rig.store, rig.clock, NOTICES))
    try:
        yield told
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def found(rig: Rig, app: Grant, asked: Any) -> tuple[str, str] | None:
    answer = await rig.engine.ask(app.grant_id, asked)
    assert isinstance(answer, Found | Refused)
    return (answer.transaction.type.value, answer.transaction.payment_hash) if isinstance(answer, Found) else None


@pytest.mark.parametrize("seed", range(4))
def test_lists_look_ups_and_notifications_show_what_a_connection_may_see_and_nothing_else(
    life: Life, seed: int
) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig, telling(rig) as told:
            books = Books(rig, random.Random(f"history {seed}"))
            await books.open()
            for _ in range(STEPS):
                await books.step()
            rows, apps = records(life.path), await books.apps()
            hashes = {payment_hash for _, payment_hash, *_ in rows}
            for app in apps:
                may = {(way, one) for way, one, grant_id, account_id in rows if app.sees(grant_id, account_id)}
                listed = await rig.engine.ask(app.grant_id, EVERYTHING)
                assert isinstance(listed, Listed)
                shown = [(row.type.value, row.payment_hash) for row in listed.transactions]
                assert (len(shown), set(shown), listed.total) == (len(may), may, len(may)), app.grant_id
                for one in hashes:
                    looked = await found(rig, app, LookupInvoice(payment_hash=one))
                    assert looked in may or (looked is None and not {("incoming", one), ("outgoing", one)} & may)
                    for way in ("incoming", "outgoing"):
                        by_way = await found(rig, app, LookupPayment(payment_hash=one, direction=way))
                        assert by_way == ((way, one) if (way, one) in may else None)
            assert sorted(told) == sorted(books.due)
            seen = {app.grant_id for app in apps if app.shown_history == "account"}
            others = {(app, words) for app, words in told if app in seen}
            assert len(others) > len(told) / 4, "too little that others did was told for this to show anything"
        life.audit()

    story()
