"""Consumers of the feed: each sees every event once, over restarts, and says in one commit what follows from it."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import MAX_CONSUMERS, EventKind, FeedEvent, Missed
from kitestring.base.records import Message
from kitestring.base.transactions.feed import ForgetNews, Tell
from kitestring.engine.feed import IDLE_MOVE_S, PAGE, Consumer, Feed
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, Rig


def kinds(rows: list[FeedEvent | Missed]) -> list[str]:
    return [row.kind.value if isinstance(row, FeedEvent) else f"missed {row.count}" for row in rows]


def note(text: str) -> Message:
    return Message("", "note", text.encode(), b"", 1_800_000_000)


async def all_of(consumer: Consumer) -> list[FeedEvent | Missed]:
    """Everything that it sees before it would wait."""
    found: list[FeedEvent | Missed] = []
    while True:
        try:
            found += await asyncio.wait_for(consumer.read(), 0.01)
        except TimeoutError:
            return found


async def notes(rig: Rig) -> list[Message]:
    """The messages about no request in the outbox, tried or not."""
    await rig.delivery.flush()
    found = await rig.store.outbox(0, 100) + await rig.store.due(rig.clock.now() + 1_000, 100)
    return [one.message for one in found if not one.message.request_id]


async def story(rig: Rig, life: Life) -> None:
    """One payment that settles, one that fails, and an invoice that is paid."""
    await rig.grant("app")
    await rig.pay("good", "app", life.node.outside_invoice(), AMOUNT)
    await rig.answer("good")
    await rig.pay("bad", "app", life.node.outside_invoice(Script(fails="no_route")), AMOUNT)
    await rig.answer("bad")
    _, payment_hash = await rig.invoice("asked", "app", 1_000)
    life.node.pay_in(payment_hash)
    await rig.clock.sleep(5)


@virtual
async def test_what_becomes_true_is_told_in_the_order_of_the_commits(life: Life) -> None:
    async with life.service() as rig:
        feed = Feed(rig.store, rig.clock)
        with await feed.consumer("books") as consumer:
            await story(rig, life)
            rows = await all_of(consumer)
    assert kinds(rows) == ["granted", "settled", "failed", "received"]
    assert [row.number for row in rows] == [1, 2, 3, 4]
    settled = rows[1]
    assert isinstance(settled, FeedEvent)
    assert (settled.grant_id, settled.account_id) == ("app", "owner")


@virtual
async def test_a_consumer_goes_on_after_a_restart_where_it_had_come_to(life: Life) -> None:
    async with life.service() as rig:
        consumer = await Feed(rig.store, rig.clock).consumer("books")
        await story(rig, life)
        assert len(await consumer.read()) == 4
        await consumer.done([note("four")])
        await rig.change("app", per_payment_msat=None)
        assert kinds(await consumer.read()) == ["changed"]  # and it dies before it is done
    async with life.service() as rig:
        with await Feed(rig.store, rig.clock).consumer("books") as again:
            assert kinds(await again.read()) == ["changed"]
        assert await notes(rig) == [note("four")]


@virtual
async def test_a_step_that_was_done_is_not_done_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        for _ in range(2):
            await rig.store.apply(Tell("books", 1, rig.clock.now(), (note("once"),)))
        assert await notes(rig) == [note("once")]


@virtual
async def test_a_second_consumer_of_one_name_is_refused_until_the_first_is_closed(life: Life) -> None:
    async with life.service() as rig:
        feed = Feed(rig.store, rig.clock)
        first = await feed.consumer("books")
        with pytest.raises(KitestringError, match="close it first") as refused:
            await feed.consumer("books")
        assert refused.value.reason is Reason.ALREADY_USED
        first.close()
        first.close()
        (await feed.consumer("books")).close()


@virtual
async def test_a_consumer_that_was_away_too_long_is_told_how_many_it_missed(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        for _ in range(6):
            await rig.change("app", per_payment_msat=None)
        await rig.store.apply(ForgetNews(0, 0, max_events=2))
        with await Feed(rig.store, rig.clock).consumer("late") as consumer:
            rows = await consumer.read()
            assert kinds(rows) == ["missed 5", "changed", "changed"]
            assert rows[0] == Missed(5, 5)
            await consumer.done()
        with await Feed(rig.store, rig.clock).consumer("late") as again:
            assert await all_of(again) == []


@virtual
async def test_when_everything_was_forgotten_a_consumer_is_told_that_too(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.store.apply(ForgetNews(rig.clock.now(), 0, max_events=0))
        with await Feed(rig.store, rig.clock).consumer("late") as consumer:
            assert await consumer.read() == [Missed(1, 1)]


@virtual
async def test_a_reader_begins_with_what_comes_and_leaves_no_trace(life: Life) -> None:
    async with life.service() as rig:
        feed = Feed(rig.store, rig.clock)
        await rig.grant("app")
        with await feed.reader() as now, await feed.reader(after=0) as whole:
            await rig.change("app", per_payment_msat=None)
            assert kinds(await now.read()) == ["changed"]
            assert kinds(await whole.read()) == ["granted", "changed"]
            await now.done()
        assert await rig.store.position("") is None


@virtual
async def test_a_consumer_of_some_kinds_passes_over_the_others_and_stores_its_position_now_and_then(life: Life) -> None:
    async with life.service() as rig:
        with await Feed(rig.store, rig.clock).consumer("grants", {EventKind.GRANTED}) as consumer:
            await rig.grant("app")
            assert kinds(await consumer.read()) == ["granted"]
            await consumer.done()
            for _ in range(3):
                await rig.change("app", per_payment_msat=None)
            assert consumer.position == 4
            assert await rig.store.position("grants") == 1
            await rig.clock.sleep(IDLE_MOVE_S)
            await rig.grant("other")
            assert kinds(await consumer.read()) == ["granted"]
            await consumer.done()
            assert await rig.store.position("grants") == 5


@virtual
async def test_a_consumer_whom_no_event_concerns_stores_its_position_now_and_then_all_the_same(life: Life) -> None:
    asked: list[str] = []

    def concerns(event: FeedEvent) -> bool:
        asked.append(event.kind.value)
        return False

    async with life.service() as rig:
        kinds_of_interest = {EventKind.GRANTED, EventKind.CHANGED}
        with await Feed(rig.store, rig.clock).consumer("books", kinds_of_interest, concerns) as consumer:
            assert await all_of(consumer) == []
            await rig.grant("app")
            await rig.change("app", per_payment_msat=None)
            assert (asked, consumer.position) == (["granted", "changed"], 2)
            assert await rig.store.position("books") is None
            await rig.clock.sleep(IDLE_MOVE_S)
            await rig.change("app", per_payment_msat=None)
            assert kinds(await asyncio.wait_for(consumer.read(), 1)) == ["changed"]
            await consumer.done()
            assert await rig.store.position("books") == 3


@virtual
async def test_what_becomes_true_while_a_page_is_read_is_read_whomever_it_concerns(life: Life) -> None:
    """Whether it does may follow from what the page says."""
    async with life.service() as rig:
        await rig.grant("app")
        read_page, change = rig.store.events, iter(["app"])

        async def events(position: int, most: int) -> list[FeedEvent | Missed]:
            page: list[FeedEvent | Missed] = await read_page(position, most)
            for name in change:  # once, while the first page is on its way
                await rig.change(name, per_payment_msat=None)
            return page

        rig.store.events = events
        with await Feed(rig.store, rig.clock).consumer("grants", EventKind, lambda _: False) as consumer:
            assert kinds(await consumer.read()) == ["granted"]
            assert kinds(await asyncio.wait_for(consumer.read(), 1)) == ["changed"]


@virtual
async def test_more_events_than_a_page_come_page_by_page(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        for _ in range(PAGE + 5):
            await rig.change("app", per_payment_msat=None)
        with await Feed(rig.store, rig.clock).consumer("books") as consumer:
            assert [len(await consumer.read()) for _ in range(2)] == [PAGE, 6]


@virtual
async def test_the_feed_has_a_bound_of_consumers(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        for number in range(MAX_CONSUMERS):
            await rig.store.apply(Tell(f"c{number}", 1, rig.clock.now()))
        with pytest.raises(KitestringError, match="end one before another begins"):
            await rig.store.apply(Tell("one more", 1, rig.clock.now()))
        await rig.change("app", per_payment_msat=None)
        await rig.store.apply(Tell("c0", 2, rig.clock.now()))
        assert await rig.store.position("c0") == 2


@virtual
async def test_a_consumer_whose_position_cannot_be_read_does_not_keep_its_name(life: Life) -> None:
    async with life.service() as rig:
        feed, read = Feed(rig.store, rig.clock), rig.store.position

        async def broken(_: str) -> int | None:
            raise KitestringError(Reason.INTERNAL, "the database cannot be read")

        rig.store.position = broken
        with pytest.raises(KitestringError, match="cannot be read"):
            await feed.consumer("books")
        rig.store.position = read
        (await feed.consumer("books")).close()


@virtual
async def test_a_consumer_that_only_passes_over_what_it_does_not_want_stores_how_far_it_came(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        with await Feed(rig.store, rig.clock).consumer("books", {EventKind.SETTLED}) as consumer:
            await rig.clock.sleep(IDLE_MOVE_S)
            assert await all_of(consumer) == []
            assert (consumer.position, await rig.store.position("books")) == (1, 1)


@virtual
async def test_a_consumer_that_is_behind_loses_nothing_of_what_comes_meanwhile(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        with await Feed(rig.store, rig.clock).consumer("slow") as consumer:
            seen = [row.number for row in await consumer.read()]
            for _ in range(3):
                await rig.change("app", per_payment_msat=None)
                await rig.clock.sleep(10)
            seen += [row.number for row in await consumer.read()]
            assert seen == [1, 2, 3, 4]


@virtual
async def test_a_reader_hears_what_comes_later_too_and_nothing_of_it_is_left_when_it_is_closed(life: Life) -> None:
    async with life.service() as rig:
        feed = Feed(rig.store, rig.clock)
        await rig.grant("app")
        with await feed.reader(after=0) as reader:
            assert kinds(await reader.read()) == ["granted"]
            waiting = asyncio.create_task(reader.read())
            await rig.change("app", per_payment_msat=None)
            assert kinds(await waiting) == ["changed"]
        assert not feed._readers


@virtual
async def test_a_long_way_over_what_is_not_wanted_is_stored_once_a_minute_and_not_at_every_page(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.feed.PAGE", 1)
    async with life.service() as rig:
        for number in range(3):
            await rig.grant(f"g{number}")
        with await Feed(rig.store, rig.clock).consumer("books", {EventKind.SETTLED}) as consumer:
            await rig.clock.sleep(IDLE_MOVE_S)
            assert await all_of(consumer) == []
            assert (consumer.position, await rig.store.position("books")) == (3, 1)


@virtual
async def test_a_reading_that_the_disk_refused_is_made_good_by_the_next_one(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with life.service() as rig:
        with await Feed(rig.store, rig.clock).reader(0) as reader:
            await rig.grant("app")
            with monkeypatch.context() as disk:
                disk.setattr(rig.store, "events", _unreadable, raising=False)
                with pytest.raises(KitestringError, match="cannot be read"):
                    await reader.read()
            assert kinds(await all_of(reader)) == ["granted"]


async def _unreadable(after: int, limit: int) -> list[FeedEvent | Missed]:
    raise KitestringError(Reason.INTERNAL, "the database cannot be read")
