"""Events become messages in the outbox, once each, over crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kitestring.app.service.announcer import ANNOUNCEMENT
from kitestring.app.service.delivery import Route
from kitestring.app.service.notices import CONSUMER, NOTICES, GrantNotice, Notice, Notices, give_notice
from kitestring.app.service.receptions import OnReception, Reception
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceOrder
from kitestring.base.records import LOG, Message
from kitestring.base.transactions.feed import ForgetNews
from kitestring.base.transactions.service import SetSpending
from kitestring.engine.feed import Feed
from tests.kit.clock import virtual
from tests.kit.engine.rig import AMOUNT, Life, Rig


def settled(event: FeedEvent) -> Iterator[Message]:
    yield Message("", "toy", event.subject.encode(), b"", event.at)


def capped(event: FeedEvent, grant: Grant, _now: int) -> Iterator[Message]:
    yield Message("", "toy", str(grant.per_payment_msat).encode(), b"", event.at)


TOYS = (Notice(frozenset({EventKind.SETTLED}), settled),)


@asynccontextmanager
async def noticing(rig: Rig, notices: Notices, kind: str) -> AsyncIterator[list[Message]]:
    """Messages of ``kind`` as they are carried, while notices are given."""
    carried: list[Message] = []

    def carry(message: Message, done: OnReception) -> None:
        carried.append(message)
        done(Reception.TAKEN)

    rig.delivery._routes = {**rig.delivery._routes, kind: Route(carry)}
    work = asyncio.ensure_future(give_notice(Feed(rig.store, rig.clock), rig.store, rig.clock, notices))
    try:
        yield carried
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@virtual
async def test_every_change_of_a_grant_is_announced(life: Life) -> None:
    async with life.service() as rig, noticing(rig, NOTICES, ANNOUNCEMENT) as carried:
        await rig.grant("app")
        await rig.change("app", nip44_seen=True)
        await rig.change("app", revoked_at=rig.clock.now())
        await rig.clock.sleep(1)
        assert [message.address for message in carried] == [b"app"] * 3


@virtual
async def test_an_alarm_is_a_line_of_the_log_also_when_the_service_died_in_between(life: Life) -> None:
    async with life.service() as rig:
        await rig.store.apply(SetSpending(True, "drift of 5 sat", rig.clock.now()))
    async with life.service() as rig, noticing(rig, NOTICES, LOG) as carried:
        await rig.clock.sleep(1)
        assert [message.plaintext for message in carried] == [b"spending stops: drift of 5 sat"]


@virtual
async def test_a_new_kind_of_message_is_a_row_of_notices_and_a_route(life: Life) -> None:
    async with life.service() as rig, noticing(rig, TOYS, "toy") as carried:
        await rig.grant("app")
        _, payment_hash = invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.answer("r1")
        await rig.clock.sleep(1)
        payment = await rig.store.payment_by_hash(rig.context.node.node_id, payment_hash)
        assert [message.plaintext.decode() for message in carried] == [payment.payment_id]


@virtual
async def test_what_happened_while_nobody_noticed_is_noticed_at_the_next_start_and_only_then(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.answer("r1")
    for expected in (1, 0):
        async with life.service() as rig, noticing(rig, TOYS, "toy") as carried:
            await rig.clock.sleep(2)
            assert len(carried) == expected


@virtual
async def test_a_step_that_the_disk_refuses_is_taken_again_and_said_once(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        async with noticing(rig, TOYS, "toy") as carried:
            rig.store.broken["Tell"] = [KitestringError(Reason.INTERNAL, "the disk is full")] * 3
            await rig.pay("r1", "app", life.node.outside_invoice(), AMOUNT)
            await rig.answer("r1")
            await rig.clock.sleep(10)
            assert (len(carried), rig.store.broken["Tell"]) == (1, [])
        assert caplog.text.count("notices are not in the outbox yet") == 1


@virtual
async def test_events_that_were_forgotten_first_are_said_in_the_log(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        for _ in range(3):
            await rig.change("app", per_payment_msat=None)
        await rig.store.apply(ForgetNews(0, 0, max_events=1))
        async with noticing(rig, TOYS, "toy"):
            await rig.clock.sleep(1)
        assert "3 events were forgotten" in caplog.text
        assert await rig.store.position(CONSUMER) in (None, 4)


def of_grant(event: FeedEvent, grant: Grant, now: int) -> Iterator[Message]:
    yield Message("", "toy", f"{grant.name} {event.subject}".encode(), b"", now)


@virtual
async def test_events_that_belong_to_a_grant_are_told_with_the_grant_and_others_not(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    toys = (GrantNotice(frozenset({EventKind.RECEIVED, EventKind.GRANTED}), of_grant),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        await rig.grant("app")
        _, payment_hash = await rig.invoice("r1", "app", 21_000)
        assert life.node.pay_in(payment_hash)
        made = await life.node.make_invoice(InvoiceOrder(Msat(5_000), "", "", 3_600, ""))
        assert life.node.pay_in(made.payment_hash)  # for no invoice of ours: nobody's but the owner's
        await rig.clock.sleep(5)
        invoice = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
        assert [message.plaintext.decode() for message in carried] == ["app app", f"app {invoice.invoice_id}"]


@virtual
async def test_a_grant_is_read_once_and_again_when_it_has_changed(life: Life) -> None:
    toys = (GrantNotice(frozenset({EventKind.RECEIVED}), capped),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        await rig.grant("app")
        read, grant = [], rig.store.grant

        async def counting(grant_id: str) -> Any:
            read.append(grant_id)
            return await grant(grant_id)

        rig.store.grant = counting

        async def is_paid(request_id: str) -> None:
            _, payment_hash = await rig.invoice(request_id, "app", 21_000)
            assert life.node.pay_in(payment_hash)
            await rig.clock.sleep(2)

        await is_paid("r1")
        read.clear()
        await is_paid("r2")
        assert read == []
        await rig.change("app", per_payment_msat=Msat(7_000))
        await is_paid("r3")
        assert [message.plaintext for message in carried] == [b"None", b"None", b"7 sat"]


@virtual
async def test_who_is_shown_an_account_is_told_of_all_that_comes_and_goes_there_once_and_of_no_other(
    life: Life,
) -> None:
    toys = (GrantNotice(frozenset({EventKind.RECEIVED}), of_grant),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        await rig.account("alice", 0)
        await rig.grant("till", account="alice")
        await rig.grant("ended", account="alice", shown_history="account", revoked_at=rig.clock.now())
        for name in ("book", "pad"):
            await rig.grant(name, account="alice", shown_history="account")
        await rig.grant("owners book", shown_history="account")
        await rig.offer("coffee", "alice")
        subjects = []
        for number, (grant, offer) in enumerate((("till", ""), ("", "coffee"), ("book", ""))):
            more = {"offer_id": offer} if offer else {}
            _, payment_hash = await rig.invoice(f"r{number}", grant, 21_000, **more)
            assert life.node.pay_in(payment_hash)
            await rig.clock.sleep(5)
            subjects.append((await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)).invoice_id)
        told = sorted(message.plaintext.decode() for message in carried)
        assert told == sorted([f"till {subjects[0]}", *(f"{one} {i}" for i in subjects for one in ("book", "pad"))])


@virtual
async def test_only_so_many_connections_hear_of_what_others_did(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.app.service.notices.MAX_HEARERS", 2)
    toys = (GrantNotice(frozenset({EventKind.RECEIVED}), of_grant),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        for number in range(4):
            await rig.grant(f"book{number}", shown_history="account", created_at=number)
        for number in (0, 3):
            _, payment_hash = await rig.invoice(f"r{number}", f"book{number}", 21_000)
            assert life.node.pay_in(payment_hash)
            await rig.clock.sleep(5)
        heard = [message.plaintext.decode().split()[0] for message in carried]
        assert heard == ["book0", "book1", "book3", "book0", "book1"]


@virtual
async def test_who_is_shown_an_account_is_looked_up_once_and_again_when_a_connection_of_it_has_changed(
    life: Life,
) -> None:
    toys = (GrantNotice(frozenset({EventKind.RECEIVED}), of_grant),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        await rig.account("alice", 0)
        await rig.grant("book", account="alice")
        await rig.offer("coffee", "alice")
        looked, shown, read, events = [], rig.store.grants_shown, [], rig.store.events

        async def counting(account_id: str, limit: int) -> Any:
            looked.append(account_id)
            return await shown(account_id, limit)

        async def reading(after: int, limit: int) -> Any:
            read.append(after)
            return await events(after, limit)

        rig.store.grants_shown, rig.store.events = counting, reading

        async def is_paid(request_id: str) -> tuple[list[str], int]:
            looked.clear()
            _, payment_hash = await rig.invoice(request_id, "", 21_000, offer_id="coffee")
            read.clear()
            assert life.node.pay_in(payment_hash)
            await rig.clock.sleep(2)
            return list(looked), len(read)

        assert await is_paid("r1") == (["alice"], 1)
        assert await is_paid("r2") == ([], 0), "nobody is told, so nothing is read"
        await rig.change("book", shown_history="account")
        assert (await is_paid("r3"))[0] == ["alice"]
        assert (await is_paid("r4"))[0] == []
        await rig.change("book", shown_history="own")
        assert (await is_paid("r5"))[0] == ["alice"]
        assert len(carried) == 2


@virtual
async def test_accounts_that_are_remembered_are_bounded(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.app.service.notices.MAX_ACCOUNTS", 1)
    toys = (GrantNotice(frozenset({EventKind.RECEIVED}), of_grant),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        for account in ("alice", "bob"):
            await rig.account(account, 0)
            await rig.grant(account, account=account, shown_history="account")
            await rig.offer(f"of-{account}", account)
        for number in range(4):
            _, payment_hash = await rig.invoice(f"r{number}", "", 21_000, offer_id=f"of-{('alice', 'bob')[number % 2]}")
            assert life.node.pay_in(payment_hash)
            await rig.clock.sleep(2)
        assert [message.plaintext.decode().split()[0] for message in carried] == ["alice", "bob"] * 2


def allowed(event: FeedEvent, grant: Grant, _now: int) -> Iterator[Message]:
    if grant.per_payment_msat is not None:
        yield Message("", "toy", event.subject.encode(), b"", event.at)


@virtual
async def test_what_a_grant_is_not_told_of_is_not_even_read_until_it_has_changed(life: Life) -> None:
    toys = (GrantNotice(frozenset({EventKind.RECEIVED}), allowed),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        await rig.grant("app")
        read, events = [], rig.store.events

        async def counting(after: int, limit: int) -> Any:
            read.append(after)
            return await events(after, limit)

        rig.store.events = counting

        async def is_paid(request_id: str) -> str:
            invoice, payment_hash = await rig.invoice(request_id, "app", 21_000)
            assert life.node.pay_in(payment_hash)
            await rig.clock.sleep(2)
            return invoice

        await is_paid("r1")
        read.clear()
        position = await rig.store.position(CONSUMER)
        await is_paid("r2")
        assert (read, await rig.store.position(CONSUMER)) == ([], position)
        await rig.change("app", per_payment_msat=Msat(50_000))
        await is_paid("r3")
        assert len(carried) == 1


@virtual
async def test_a_payment_in_the_commit_that_changes_its_grant_is_read(life: Life) -> None:
    toys = (GrantNotice(frozenset({EventKind.RECEIVED}), allowed),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        await rig.grant("app")
        _, first = await rig.invoice("r1", "app", 21_000)
        assert life.node.pay_in(first)
        await rig.clock.sleep(2)
        _, payment_hash = await rig.invoice("r2", "app", 21_000)
        changing = asyncio.ensure_future(rig.change("app", per_payment_msat=Msat(50_000)))
        assert life.node.pay_in(payment_hash)
        await changing
        await rig.clock.sleep(2)
        assert len(carried) == 1


@virtual
async def test_a_grant_that_cannot_be_read_now_loses_nothing(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    toys = (GrantNotice(frozenset({EventKind.GRANTED}), of_grant),)
    async with life.service() as rig, noticing(rig, toys, "toy") as carried:
        grant, broken = rig.store.grant, [True]

        async def failing(grant_id: str) -> Any:
            if broken:
                raise KitestringError(Reason.INTERNAL, "the disk is gone")
            return await grant(grant_id)

        rig.store.grant = failing
        await rig.grant("app")
        await rig.clock.sleep(5)
        assert (carried, caplog.text.count("the feed cannot be read")) == ([], 1)
        broken.clear()
        await rig.clock.sleep(5)
        assert [message.plaintext for message in carried] == [b"app app"]
