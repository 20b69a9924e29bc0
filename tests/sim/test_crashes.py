"""The process ends at every single point of a story; the next one carries on from the files alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.service.notices import Notice, give_notice
from kitestring.base.budgets import Budget
from kitestring.base.commands import AskOffer, MakeInvoice, PayInvoice
from kitestring.base.destinations import Keysend
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import OfferState
from kitestring.base.money import Msat
from kitestring.base.outcomes import Invoiced, Paid, Refused
from kitestring.base.records import Message
from kitestring.engine.feed import Feed
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings, KilledError
from tests.kit.engine.node import Script
from tests.kit.engine.rates import MarketRates
from tests.kit.engine.rig import NOTE, NWC, PATIENT, PAYER_OF_OFFERS, Life, Rig

#: Points are dealt to this many tests, so that a failure names a short range.
SHARES = 4
#: More points than the story has: the loop ends by itself at the first run that nothing killed.
MOST = 400
#: The second death comes within this many points after the restart.
EARLY = 11
DAY_S = 86_400
EURO: dict[str, Any] = {"currency": "EUR", "price_minor": 1}

PAY, LOST, FAIL, JOIN_A, JOIN_B, INSIDE, INVOICE, OFFER, CAKE, SEND, SEND_LOST, SEND_INSIDE = [
    "pay",
    "lost",
    "fail",
    "join-a",
    "join-b",
    "inside",
    "invoice",
    "offer",
    "cake",
    "send",
    "send-lost",
    "send-inside",
]


def note(event: FeedEvent) -> Iterator[Message]:
    yield Message("", NOTE, f"{event.number} {event.kind}".encode(), b"", event.at)


#: Whatever happens to money is told to somebody.
NOTES = (Notice(frozenset({EventKind.SETTLED, EventKind.FAILED, EventKind.RECEIVED}), note),)


@asynccontextmanager
async def noticing(rig: Rig) -> AsyncIterator[None]:
    """A consumer of the feed beside what is played."""
    consuming = asyncio.create_task(give_notice(Feed(rig.store, rig.clock), rig.store, rig.clock, NOTES))
    try:
        yield
    finally:
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)


class Story:
    """One service with everything in it. Every request is sent again after a crash only if nobody had claimed it."""

    def __init__(self, life: Life) -> None:
        self.life = life
        life.rates = self.rates = MarketRates(life.clock)  # a cent is 10 sat
        node = life.node
        self.outside = {
            PAY: node.outside_invoice(Script(settles_after_s=1)),
            LOST: node.outside_invoice(Script(settles_after_s=2, answers=["lost"])),
            FAIL: node.outside_invoice(Script(settles_after_s=1, fails="no_route")),
            JOIN_A: node.outside_invoice(Script(settles_after_s=3)),
        }
        self.outside[JOIN_B] = self.outside[JOIN_A]
        self.keys = {
            SEND: node.outside_key(Script(settles_after_s=1)),
            SEND_LOST: node.outside_key(Script(settles_after_s=2, answers=["lost"])),
        }
        self.sent: dict[str, Any] = {}
        self.deaths = 0

    async def prepare(self, rig: Rig) -> None:
        await rig.account("payer", 1_000_000)
        await rig.account("shop", 0)
        await rig.grant("app", account="payer", budgets=(Budget.total(Msat(900_000)),))
        await rig.offer("coffee", "shop")
        await rig.offer("cake", "shop", **EURO)
        await rig.grant("till", account="shop")

    def commands(self, rig: Rig) -> None:
        """Fix what is asked, once: a resend is the very same request."""
        for name, invoice in self.outside.items():
            paying = rig.paying(invoice, 10_000, expires_at=rig.clock.now() + DAY_S)  # no crash outlasts it
            self.sent[name] = ("app", paying, NWC)
        for name, key in (*self.keys.items(), (SEND_INSIDE, rig.context.node.node_id)):
            self.sent[name] = (
                "app",
                PayInvoice(destination=Keysend(key), payment_hash="", amount_msat=Msat(3_000)),
                NWC,
            )
        self.sent[INVOICE] = ("till", MakeInvoice(amount_msat=Msat(7_000)), NWC)
        self.sent[OFFER] = ("", AskOffer(amount_msat=Msat(5_000), offer_id="coffee"), PAYER_OF_OFFERS)
        self.sent[CAKE] = ("", AskOffer(offer_id="cake"), PAYER_OF_OFFERS)

    async def tell(self, rig: Rig, name: str) -> None:
        grant, command, reply_to = self.sent[name]
        if await rig.store.request(name) is None:
            await rig.handle(name, grant, command, reply_to)

    async def play(self, rig: Rig) -> None:
        """Everything at once, then what depends on an answer, until every end is known."""
        await asyncio.gather(*(self.tell(rig, name) for name in self.sent if name != INSIDE))
        invoice, offer = await rig.answer(INVOICE), await rig.answer(OFFER)
        self.life.node.pay_in(offer.transaction.payment_hash)
        await self._sell_cake(rig)
        if INSIDE not in self.sent:
            text, payment_hash = invoice.transaction.bolt11, invoice.transaction.payment_hash
            lasting = rig.paying((text, payment_hash), 7_000, expires_at=rig.clock.now() + DAY_S)  # as those of above
            self.sent[INSIDE] = ("app", lasting, NWC)
        await self.tell(rig, INSIDE)
        for name in self.sent:
            await rig.answer(name)
        await rig.receipt(OFFER)
        await rig.receipt(CAKE)

    async def _sell_cake(self, rig: Rig) -> None:
        """While a cake is paid it becomes dearer, is switched off, and moves; and a bitcoin costs half as much."""
        cake = (await rig.answer(CAKE)).transaction
        self.rates.price = 50_000
        was = await rig.store.offer("cake")
        if was.state is OfferState.OPEN:
            await rig.offer("cake", "shop", **{**EURO, "price_minor": 7})
            await rig.offer("cake", "shop", **EURO, state=OfferState.OFF)
        self.life.node.pay_in(cake.payment_hash)
        await rig.offer("cake", "shop", **EURO, state=OfferState.MOVED, latest="noffer1new")

    async def run(self, fatal: int) -> list[str] | None:
        """Die at the ``fatal``-th point, once more early in the recovery, then finish. None: it was over before."""
        async with self.life.service(start=False) as rig:
            await self.prepare(rig)
            self.commands(rig)
        crossings = Crossings(fatal)
        async with self.life.service(crossings, start=False) as rig:
            died = await self._until_killed(rig, crossings)
        if not died:
            return None
        again = Crossings(fatal % EARLY + 1)
        async with self.life.service(again, start=False) as rig:
            await self._until_killed(rig, again)
        async with self.life.service() as rig, noticing(rig):
            await self.play(rig)
            await rig.clock.sleep(600)
            await self.check(rig)
        return crossings.labels

    async def _until_killed(self, rig: Rig, crossings: Crossings) -> bool:
        async def live() -> None:
            await rig.engine.start()
            async with noticing(rig):
                await self.play(rig)

        living = asyncio.create_task(live())
        dying = asyncio.create_task(crossings.killed.wait())
        await asyncio.wait((living, dying), return_when=asyncio.FIRST_COMPLETED)
        for task in (living, dying):
            task.cancel()
        await asyncio.gather(living, dying, return_exceptions=True)
        self.deaths += crossings.killed.is_set()
        return crossings.killed.is_set()

    async def check(self, rig: Rig) -> None:
        """The node's own books, every answer, every account."""
        node, outside = self.life.node, self.outside
        fee = 1_000
        sent = {sent.node_key: payment_hash for payment_hash, sent in node.keysends.items()}
        out = {outside[name][1]: 10_000 + fee for name in (PAY, LOST, JOIN_A)}
        assert node.paid_out() == out | {sent[key]: 3_000 + fee for key in self.keys.values()}
        (cake,) = {rig.told(CAKE)[0].transaction.amount_msat}
        assert cake in {10_000, 20_000}  # by the rate of its moment
        assert sorted(node.received().values()) == [5_000, cake]
        for name in self.sent:
            stored = await rig.store.messages(name)
            assert [m.kind for m in stored if m.kind == "reply"] == ["reply"], name
            assert {m.plaintext for m in self.life.delivered if (m.request_id, m.kind) == (name, "reply")} == {
                m.plaintext for m in stored if m.kind == "reply"
            }, name
        for name in (PAY, LOST, JOIN_A, JOIN_B, INSIDE, SEND, SEND_LOST, SEND_INSIDE):
            paid = rig.told(name)[0]
            assert isinstance(paid, Paid), (name, paid)
            assert sha256(bytes.fromhex(paid.preimage)).hexdigest() == paid.payment_hash
        failed = rig.told(FAIL)[0]
        assert isinstance(failed, Refused)
        assert failed.reason is Reason.PAYMENT_FAILED
        assert all(isinstance(rig.told(name)[0], Invoiced) for name in (INVOICE, OFFER, CAKE))
        spent = 3 * (10_000 + fee) + 7_000 + 2 * (3_000 + fee) + 3_000
        assert await rig.available("payer") == 1_000_000 - spent
        assert await rig.available("shop") == 7_000 + 5_000 + cake
        assert await rig.store.budget_used("app", 0) == spent
        assert await rig.store.running_requests() == []
        self.check_notes(await rig.store.events(0, 1_000))
        self.life.audit()

    def check_notes(self, rows: list[Any]) -> None:
        """Told of everything that happened to money: once, and for each death at most once more."""
        happened = {message.plaintext for row in rows for message in note(row) if row.kind in NOTES[0].kinds}
        kinds = Counter(row.kind for row in rows)
        assert (kinds[EventKind.SETTLED], kinds[EventKind.FAILED], kinds[EventKind.RECEIVED]) == (7, 1, 3)
        told = Counter(message.plaintext for message in self.life.delivered if message.kind == NOTE)
        assert set(told) == happened
        assert max(told.values()) <= 1 + self.deaths


@virtual
async def _one(path: Path, fatal: int) -> list[str] | None:
    return await Story(Life(path, limits=PATIENT)).run(fatal)  # no crash outlasts the deadline of a claim


@pytest.mark.parametrize("share", range(SHARES))
def test_a_crash_at_any_point_loses_and_doubles_nothing(
    tmp_path: Path, share: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    for fatal in range(share + 1, MOST, SHARES):
        labels = _one(tmp_path / f"{fatal}.db", fatal)
        if labels is None:
            assert fatal > 40, "the story has fewer points than it should"
            return
    pytest.fail("the story never ended by itself")


def test_the_story_crosses_every_kind_of_point(tmp_path: Path) -> None:
    @virtual
    async def story() -> list[str]:
        life = Life(tmp_path / "whole.db")
        whole = Story(life)
        async with life.service(start=False) as rig:
            await whole.prepare(rig)
            whole.commands(rig)
        crossings = Crossings()
        async with life.service(crossings) as rig, noticing(rig):
            await whole.play(rig)
            await rig.clock.sleep(1)
            await whole.check(rig)
        return crossings.labels

    kinds = {label.removeprefix("before ").removeprefix("after ") for label in story()}
    assert kinds >= {
        "ClaimPayment", "RecordPayment", "RecordInvoice", "Answer", "Credit", "Tell", "MarkSent", "pay", "track",
        "make_invoice", "cancel_invoice", "settlement",
    }  # fmt: skip


def test_who_is_killed_stays_dead() -> None:
    crossings = Crossings(2)
    crossings.cross("first")
    for _ in range(2):
        with pytest.raises(KilledError):
            crossings.cross("later")
