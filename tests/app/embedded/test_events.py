"""A program is told what becomes true: by an iterator that goes on at a position, and by callbacks."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from kitestring import Service, ServiceEvent, ServiceEvents, Transaction, Wallet, sat
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.transactions.answers import Credited
from kitestring.base.transactions.invoices import Credit
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.relay.server import Relay
from tests.kit.waiting import until


async def test_what_is_paid_is_told_with_its_transaction_and_again_from_a_position(
    service: Service, world: World
) -> None:
    made = await service.add_grant("till")
    async with Wallet.open(str(made.nwc_uri)) as wallet:
        texts = [(await wallet.invoice(sat(21), memo=memo)).bolt11 for memo in ("tea", "cake")]
    news = service.events(kinds=["received"])
    first_told = asyncio.ensure_future(anext(news))
    await asyncio.sleep(0)
    told: list[ServiceEvent] = []
    for text in texts:
        world.pay(text)
        told.append(await (first_told if not told else anext(news)))
    assert [one.transaction.description for one in told if one.transaction] == ["tea", "cake"]
    assert (told[0].kind, told[0].account, told[0].connection_id) == ("received", "owner", made.connection_id)
    again = service.events(since=told[0].position, kinds=["received"])
    assert await anext(again) == told[1]
    granted = await anext(service.events(since=0, kinds=["granted"]))
    assert (granted.transaction, granted.connection_id) == (None, made.connection_id)


async def test_whoever_stops_waiting_and_asks_again_loses_nothing(service: Service, world: World) -> None:
    news = service.events(kinds=["granted"])
    waiting = asyncio.ensure_future(anext(news))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    made = await service.add_grant("till")
    assert (await anext(news)).connection_id == made.connection_id


async def test_what_could_not_be_read_is_told_at_the_next_try(
    service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await service.add_grant("till")
    async with Wallet.open(str(made.nwc_uri)) as wallet:
        text = (await wallet.invoice(sat(21), memo="tea")).bolt11
    news = service.events(since=0, kinds=["received"])
    world.pay(text)

    async def broken(_store: SqliteStore, _invoice_id: str) -> None:
        raise KitestringError(Reason.INTERNAL, "the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "invoice", broken)
        with pytest.raises(KitestringError, match="the disk is gone"):
            await anext(news)
    async with asyncio.timeout(5):
        told = await anext(news)
    assert told.transaction is not None
    assert told.transaction.description == "tea"


async def test_a_stream_ends_with_its_service(service: Service) -> None:
    async def all_of(news: ServiceEvents) -> list[ServiceEvent]:
        return [event async for event in news]

    async with service:
        reading = asyncio.create_task(all_of(service.events()))
        unread = service.events()
        await service.add_grant("till")
    assert [event.kind for event in await reading] == ["granted"]
    assert await all_of(unread) == []


async def test_callbacks_hear_of_each_payment_also_of_one_while_the_service_was_away(
    relay: Relay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    heard: list[str] = []

    def selling(*, raises: bool) -> Service:
        service = Service(relays=[relay.url], store=tmp_path / "kite.db")

        @service.on_paid
        def plain(paid: Transaction) -> None:
            heard.append(f"plain {paid.description}")
            if raises:
                raise RuntimeError("the printer is out of paper")

        @service.on_paid
        async def waits(paid: Transaction) -> None:
            heard.append(f"waits {paid.description}")

        return service

    async with selling(raises=True) as service:
        made = await service.add_grant("till")
        with World(tmp_path / "kite.sandbox.db") as world:
            async with Wallet.open(str(made.nwc_uri)) as wallet:
                texts = [(await wallet.invoice(sat(21), memo=memo)).bolt11 for memo in ("tea", "cake")]
            world.pay(texts[0])
            await until(lambda: len(heard) == 2)
    assert heard == ["plain tea", "waits tea"]
    assert "the printer is out of paper" in caplog.text
    with World(tmp_path / "kite.sandbox.db") as world:
        world.pay(texts[1])
    async with selling(raises=False):
        await until(lambda: len(heard) == 4)
    assert heard[2:] == ["plain cake", "waits cake"]


async def test_the_first_callback_of_a_ledger_hears_of_nothing_from_before(relay: Relay, tmp_path: Path) -> None:
    heard: list[str] = []
    async with Service(relays=[relay.url], store=tmp_path / "kite.db") as service:
        made = await service.add_grant("till")
        async with Wallet.open(str(made.nwc_uri)) as wallet:
            texts = [(await wallet.invoice(sat(21), memo=memo)).bolt11 for memo in ("tea", "cake")]
        news = service.events(kinds=["received"])
        waiting = asyncio.ensure_future(anext(news))
        with World(tmp_path / "kite.sandbox.db") as world:
            world.pay(texts[0])
            await waiting
    service = Service(relays=[relay.url], store=tmp_path / "kite.db")
    service.on_paid(lambda paid: heard.append(paid.description))
    async with service:
        with World(tmp_path / "kite.sandbox.db") as world:
            world.pay(texts[1])
            await until(lambda: bool(heard))
    assert heard == ["cake"]


async def test_an_invoice_that_is_paid_once_more_is_told_to_the_callbacks_once(relay: Relay, tmp_path: Path) -> None:
    heard: list[str] = []
    service = Service(relays=[relay.url], store=tmp_path / "kite.db")
    service.on_paid(lambda paid: heard.append(paid.description))
    async with service:
        made = await service.add_grant("till")
        await service.add_account("alice")
        await service.fund("alice", sat(1000))
        payer = await service.add_grant("alice", account="alice")
        async with Wallet.open(str(made.nwc_uri)) as wallet, Wallet.open(str(payer.nwc_uri)) as alice:
            tea, cake = [await wallet.invoice(sat(21), memo=memo) for memo in ("tea", "cake")]
            await alice.pay(tea.bolt11)
            await until(lambda: len(heard) == 1)
            store = service._running.store
            (node,) = await store.nodes()
            again = Credit(node.node_id, tea.payment_hash, sat(21), tea.expires_at, "")
            assert isinstance(booked := await store.apply(again), Credited)
            assert booked.surplus
            await alice.pay(cake.bolt11)
            await until(lambda: "cake" in heard)
    assert heard == ["tea", "cake"]
