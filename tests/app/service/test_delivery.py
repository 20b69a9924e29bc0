"""The outbox on its way out: tried until it is taken, freshly signed, over restarts, and not once more afterwards."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.app.service import delivery
from kitestring.app.service.delivery import UNROUTED_S, Delivery, Route
from kitestring.app.service.receptions import DONE, OnReception, Reception, Rule, until_taken
from kitestring.app.service.routes import REPLY_GIVE_UP_S
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import Message
from kitestring.base.store import LONGEST_RETRY_S
from kitestring.base.transactions.feed import Committed, MarkSent, Tell
from kitestring.nostr.event import Event, first_tag
from tests.kit.app.door import Door
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life, Rig


def refuse(_: Event) -> bool:
    return False


def take(_: Event) -> bool:
    return True


async def unsent(rig: Rig) -> int:
    """How many messages of the outbox were not tried to an end."""
    await rig.delivery.flush()
    waiting = await rig.store.outbox(await rig.store.sent_position(), 10_000)
    return len(waiting) + len(await rig.store.due(rig.clock.now() + 1_000, 10_000))


@virtual
async def test_an_answer_that_no_relay_takes_is_tried_again_with_a_fresh_signature(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        door.pool.takes = refuse
        event = door.request("pay_invoice", {"invoice": door.invoice()})
        assert await door.tell(event) == []
        await door.clock.sleep(600)
        door.pool.takes = take
        await door.clock.sleep(62)
        (sent,) = door.pool.sent
        assert first_tag(sent, "e") == event.id
        assert door.clock.now() - sent.created_at <= 62
        assert door.read(sent).get("error") is None
        assert await unsent(rig) == 0


@virtual
async def test_an_answer_that_is_taken_at_once_is_passed_without_a_write_of_its_own(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        for _ in range(5):
            await door.tell(door.request("pay_invoice", {"invoice": door.invoice()}))
        await door.clock.sleep(1)
        marks = [tx for tx in rig.store.applied if isinstance(tx, MarkSent)]
        assert all((mark.again, mark.ended) == ((), ()) for mark in marks)
        assert await unsent(rig) == 0


@virtual
async def test_what_was_never_taken_goes_out_after_a_restart_and_what_was_does_not(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        taken = door.request("pay_invoice", {"invoice": door.invoice()})
        await door.tell(taken)
        await door.clock.sleep(1)
        door.pool.takes = refuse
        lost = door.request("pay_invoice", {"invoice": door.invoice()})
        await door.tell(lost)
        await rig.delivery.stop(1, lambda: True)
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.refresh()
        await rig.engine.start()
        await door.clock.sleep(10)
        assert [first_tag(sent, "e") for sent in door.pool.sent] == [lost.id]


@virtual
async def test_after_a_crash_what_was_taken_but_not_marked_goes_out_once_more_and_then_never(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        await door.tell(door.request("pay_invoice", {"invoice": door.invoice()}))
        (first,) = door.pool.sent
    for expected in ([first.content], []):
        async with life.service(start=False) as rig:
            door = Door(rig, RequestLimits())
            await door.clock.sleep(1)
            assert [sent.content for sent in door.pool.sent] == expected


@virtual
async def test_messages_beyond_those_under_way_wait_in_the_ledger_and_leave_in_order_when_there_is_room(
    life: Life,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "MAX_UNDER_WAY", 4)
        async with life.service(start=False) as rig:
            waiting: list[tuple[Message, OnReception]] = []
            rig.delivery._routes = {"note": Route(lambda message, done: waiting.append((message, done)))}
            for number in range(11):
                await rig.store.apply(Tell("test", number + 1, rig.clock.now(), (note(number),)))
            await rig.clock.sleep(2)
            assert len(waiting) == 4
            seen: list[bytes] = []
            while waiting:
                message, done = waiting.pop(0)
                seen.append(message.plaintext)
                done(Reception.TAKEN)
                await rig.clock.sleep(2)
            assert seen == [b"%d" % number for number in range(11)]


def note(number: int) -> Message:
    return Message("", "note", b"%d" % number, b"event", 1_800_000_000)


@virtual
async def test_a_reply_is_given_up_when_nobody_can_wait_for_it_any_more(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        door.pool.takes = refuse
        await door.tell(door.request("pay_invoice", {"invoice": door.invoice()}))
        await door.clock.sleep(REPLY_GIVE_UP_S - 100)
        assert await unsent(rig) == 1
        await door.clock.sleep(100 + LONGEST_RETRY_S)
        assert await unsent(rig) == 0


@virtual
async def test_a_message_that_no_route_carries_is_kept_and_goes_out_when_there_is_one(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1),)))
        await rig.clock.sleep(1)
        assert await unsent(rig) == 1
    sent: list[Message] = []

    def carry(message: Message, done: OnReception) -> None:
        sent.append(message)
        done(Reception.TAKEN)

    async with life.service(start=False) as rig:
        rig.delivery._routes = {"note": Route(carry)}
        await rig.clock.sleep(700)
        assert sent == [note(1)]
        assert await unsent(rig) == 0


@virtual
async def test_marks_that_the_disk_refuses_are_written_later(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        await door.clock.sleep(1)
        rig.store.broken["MarkSent"] = [KitestringError(Reason.INTERNAL, "the disk is full")]
        await door.tell(door.request("pay_invoice", {"invoice": door.invoice()}))
        await door.clock.sleep(1)
        assert rig.store.broken["MarkSent"] == []
        assert await rig.store.outbox(await rig.store.sent_position(), 10) == []


def held(rig: Rig) -> list[tuple[Message, OnReception]]:
    """From now on nothing is taken until the test says so."""
    waiting: list[tuple[Message, OnReception]] = []
    rig.delivery._routes = {"note": Route(lambda message, done: waiting.append((message, done)))}
    return waiting


@virtual
async def test_a_stop_gives_what_is_on_its_way_its_grace_and_no_longer(life: Life) -> None:
    async with life.service(start=False) as rig:
        waiting = held(rig)
        for number in range(2):
            await rig.store.apply(Tell("test", number + 1, rig.clock.now(), (note(number),)))
        await rig.clock.sleep(1)
        begun = rig.clock.monotonic()
        stopping = asyncio.create_task(rig.delivery.stop(10, lambda: True))
        await rig.clock.sleep(2)
        waiting[0][1](Reception.TAKEN)
        await stopping
        assert 10 <= rig.clock.monotonic() - begun < 11
        assert [one.message for one in await rig.store.outbox(await rig.store.sent_position(), 9)] == [note(1)]


@virtual
async def test_a_stop_waits_for_nobody_when_no_relay_is_there_to_take_anything(life: Life) -> None:
    async with life.service(start=False) as rig:
        held(rig)
        await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1),)))
        await rig.clock.sleep(1)
        begun = rig.clock.monotonic()
        await rig.delivery.stop(10, lambda: False)
        assert rig.clock.monotonic() == begun


@virtual
async def test_what_has_no_way_out_is_not_sent_beside_the_outbox_either(life: Life) -> None:
    async with life.service(start=False) as rig:
        waiting = held(rig)
        rig.delivery.send_once([Message("", "webhook", b"", b"", 0), note(1)])
        assert [message for message, _ in waiting] == [note(1)]


@pytest.mark.parametrize(
    ("read", "words"), [("outbox", "unsent messages are not read"), ("due", "messages to be tried again are not read")]
)
def test_a_ledger_that_cannot_be_read_for_a_while_loses_no_message(
    life: Life, read: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual
    async def story() -> None:
        async with life.service(start=False) as rig:
            waiting = held(rig)
            await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1),)))
            await rig.clock.sleep(1)
            waiting.pop()[1](Reception.UNSENT)  # to be tried again
            await rig.clock.sleep(1)
        async with life.service(start=False) as rig:
            waiting, reading, faults = held(rig), getattr(rig.store, read), [1, 1]

            async def broken(*args: int) -> object:
                if faults:
                    faults.pop()
                    raise KitestringError(Reason.INTERNAL, "the database cannot be read")
                return await reading(*args)

            setattr(rig.store, read, broken)
            rig.delivery._behind.set()
            rig.delivery._due.set()
            await rig.clock.sleep(120)
            assert [message for message, _ in waiting] == [note(1)]
            assert words in caplog.text

    story()


@virtual
async def test_what_is_committed_while_the_ledger_is_read_is_not_overheard(life: Life) -> None:
    async with life.service(start=False) as rig:
        waiting, outbox, news = held(rig), rig.store.outbox, [note(1)]

        async def slow(after: int, limit: int) -> object:
            found = await outbox(after, limit)
            if news:
                await rig.store.apply(Tell("test", 1, rig.clock.now(), (news.pop(),)))
            return found

        rig.store.outbox = slow
        rig.delivery._behind.set()
        await rig.clock.sleep(1)
        assert [message for message, _ in waiting] == [note(1)]


# ------------------------------------------------------------ a clock that steps


@virtual
async def test_an_answer_signed_while_the_clock_was_ahead_goes_out_once_the_clock_is_right(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        right = life.clock.now() - int(life.clock.monotonic())
        door.pool.takes = lambda event: event.created_at <= right + int(life.clock.monotonic()) + 900
        life.clock.skew_s = 3_000
        event = door.request("pay_invoice", {"invoice": door.invoice()})
        assert await door.tell(event) == []
        await door.clock.sleep(5)
        life.clock.skew_s = 0
        await door.clock.sleep(5)
        assert [first_tag(sent, "e") for sent in door.pool.sent] == [event.id]
        assert await unsent(rig) == 0


def test_a_message_without_a_way_out_is_looked_at_as_seldom_as_the_ledger_can_plan() -> None:
    assert UNROUTED_S == LONGEST_RETRY_S


# ------------------------------------------------------------ a carrier with a fault


def broken_for(poison: bytes, sent: list[bytes]) -> Route:
    """A route that raises for one message and takes all others."""

    def send(message: Message, done: OnReception) -> None:
        if message.plaintext == poison:
            raise ValueError("a bug")
        sent.append(message.plaintext)
        done(Reception.TAKEN)

    return Route(send)


@virtual
async def test_a_carrier_that_raises_has_not_taken_the_message_and_holds_up_no_other(life: Life) -> None:
    async with life.service(start=False) as rig:
        sent: list[bytes] = []
        rig.delivery._routes = {"note": broken_for(b"1", sent)}
        await rig.clock.sleep(1)
        await rig.store.apply(Tell("test", 1, rig.clock.now(), tuple(map(note, range(4)))))
        await rig.store.apply(Tell("test", 2, rig.clock.now(), (note(4),)))
        await rig.clock.sleep(1)
        assert sent == [b"0", b"2", b"3", b"4"]
        await rig.clock.sleep(100)
        assert await rig.store.outbox(await rig.store.sent_position(), 10) == []
        rig.delivery._routes = {"note": broken_for(b"", sent)}
        await rig.clock.sleep(70)
        assert sent[4:] == [b"1"]
        assert await unsent(rig) == 0


@virtual
async def test_a_carrier_that_raises_holds_up_nothing_that_is_sent_beside_the_outbox(
    life: Life,
) -> None:
    async with life.service(start=False) as rig:
        sent: list[bytes] = []
        rig.delivery._routes = {"note": broken_for(b"1", sent)}
        rig.delivery.send_once([note(1), note(2)])
        assert sent == [b"2"]


@virtual
async def test_the_first_word_about_an_attempt_counts_and_no_further_one(life: Life) -> None:
    async with life.service(start=False) as rig:
        sent: list[Message] = []

        def send(message: Message, done: OnReception) -> None:
            sent.append(message)
            done(Reception.TAKEN)
            done(Reception.UNSENT)
            raise ValueError("a bug")

        rig.delivery._routes = {"note": Route(send)}
        await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1),)))
        await rig.clock.sleep(5)
        assert sent == [note(1)]
        assert await unsent(rig) == 0


# ------------------------------------------------------------ after a stop


@virtual
async def test_after_a_stop_nothing_is_begun_written_or_waited_for(life: Life) -> None:
    async with life.service(start=False) as rig:
        waiting = held(rig)
        await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1),)))
        await rig.clock.sleep(1)
        await rig.delivery.stop(0, lambda: False)
        (_, done), marks = waiting.pop(), len(rig.store.applied)
        done(Reception.UNSENT)  # as the pool does it, which is stopped later
        await rig.store.apply(Tell("test", 2, rig.clock.now(), (note(2),)))
        await rig.clock.sleep(5)
        assert (waiting, rig.delivery._background._tasks) == ([], set())
        assert len(rig.store.applied) == marks + 1
        assert [one.message for one in await rig.store.outbox(0, 9)] == [note(1), note(2)]


# ------------------------------------------------------------ once


@virtual
async def test_what_is_committed_before_and_while_a_delivery_catches_up_is_begun_once(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.delivery.stop(0, lambda: False)
        sent: list[bytes] = []
        late = Delivery(rig.store, rig.clock, {"note": broken_for(b"", sent)})
        rig.store.subscribe(late.hear)
        for number in range(120):
            if number == 60:
                await late.start()
            await rig.store.apply(Tell("test", number + 1, rig.clock.now(), (note(number),)))
        await rig.clock.sleep(2)
        await late.stop(0, lambda: False)
        assert sent == [b"%d" % number for number in range(120)]


@virtual
async def test_news_of_what_was_read_from_the_ledger_already_begin_nothing(life: Life) -> None:
    async with life.service(start=False) as rig:
        waiting, late = held(rig), list[Committed]()
        rig.store.subscribe(late.append)
        for number in range(2):
            await rig.store.apply(Tell("test", number + 1, rig.clock.now(), (note(number),)))
        await rig.clock.sleep(1)
        for news in late:
            rig.delivery.hear(news)
        assert [message for message, _ in waiting] == [note(0), note(1)]


@virtual
async def test_what_was_taken_at_a_further_try_is_not_sent_again_while_the_disk_refuses_the_mark(life: Life) -> None:
    async with life.service(start=False) as rig:
        waiting = held(rig)
        await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1),)))
        await rig.clock.sleep(1)
        waiting.pop()[1](Reception.UNSENT)
        await rig.clock.sleep(3)
        _, done = waiting.pop()
        rig.store.broken["MarkSent"] = [KitestringError(Reason.INTERNAL, "the disk is full")] * 100
        done(Reception.TAKEN)
        await rig.clock.sleep(10)
        assert waiting == []
        rig.store.broken.clear()
        await rig.clock.sleep(10)
        assert (waiting, await unsent(rig)) == ([], 0)


# ------------------------------------------------------------ marks


@virtual
async def test_a_plan_whose_write_was_refused_after_its_writer_was_gone_is_written_with_the_next_one(
    life: Life,
) -> None:
    async with life.service(start=False) as rig:
        waiting, apply = held(rig), rig.store.apply
        await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1), note(2))))
        await rig.clock.sleep(1)
        slow = [KitestringError(Reason.INTERNAL, "another process is writing")]

        async def refuse_late(tx: object) -> object:
            if isinstance(tx, MarkSent) and slow:
                fault = slow.pop()
                await rig.clock.sleep(3)
                raise fault
            return await apply(tx)

        rig.store.apply = refuse_late
        (_, first), (_, second) = waiting
        first(Reception.UNSENT)
        second(Reception.TAKEN)
        await rig.clock.sleep(0.5)
        await rig.delivery.stop(0, lambda: False)  # cancels the mark that is on its way
        assert [one.message for one in await rig.store.due(rig.clock.now() + 100, 9)] == [note(1)]


@virtual
async def test_one_mark_is_written_at_a_time(life: Life) -> None:
    async with life.service(start=False) as rig:
        waiting, apply, under_way = held(rig), rig.store.apply, [0]
        await rig.store.apply(Tell("test", 1, rig.clock.now(), tuple(map(note, range(3)))))
        await rig.clock.sleep(1)

        async def slow(tx: object) -> object:
            under_way[0] += 1
            assert under_way[0] == 1
            await rig.clock.sleep(1)
            under_way[0] -= 1
            return await apply(tx)

        rig.store.apply = slow
        for _, done in waiting:
            done(Reception.UNSENT)
            await rig.clock.sleep(0.4)
        await asyncio.gather(rig.delivery.flush(), rig.delivery.flush())
        assert len(await rig.store.due(rig.clock.now() + 1_000, 9)) == 3


def test_a_full_disk_is_a_line_a_minute(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    @virtual
    async def story() -> None:
        async with life.service(start=False) as rig:
            waiting = held(rig)
            await rig.clock.sleep(1)
            await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1),)))
            await rig.clock.sleep(1)
            rig.store.broken["MarkSent"] = [KitestringError(Reason.INTERNAL, "the disk is full")] * 100_000
            waiting.pop()[1](Reception.UNSENT)
            await rig.clock.sleep(601)

    story()
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 10 <= len(lines) <= 11


# ------------------------------------------------------------ how long, and how often


@pytest.mark.parametrize("reception", [Reception.REFUSED, Reception.SILENT])
def test_the_rule_of_the_fate_says_whether_and_when_a_message_goes_again(reception: Reception, life: Life) -> None:
    @virtual
    async def story() -> None:
        async with life.service(start=False) as rig:
            sent: list[Message] = []

            def send(message: Message, done: OnReception) -> None:
                sent.append(message)
                done(reception)

            rules = {**until_taken(DONE), Reception.REFUSED: Rule(None, (7,))}
            rig.delivery._routes = {"note": Route(send, rules)}
            await rig.store.apply(Tell("test", 1, rig.clock.now(), (note(1),)))
            await rig.clock.sleep(6)
            assert sent == [note(1)]
            await rig.clock.sleep(30)
            assert len(sent) > 3 if reception is Reception.REFUSED else sent == [note(1)]
            assert await unsent(rig) == (reception is Reception.REFUSED)

    story()


@virtual
async def test_strangers_to_whom_nobody_takes_our_answers_have_us_sign_for_ten_minutes_and_no_longer(
    life: Life,
) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        await rig.offer("coffee")
        tries: list[Event] = []

        def refused(event: Event) -> bool:
            tries.append(event)
            return False

        door.pool.takes = refused
        await door.tell(door.offer_request())
        await door.clock.sleep(700)
        assert await unsent(rig) == 0
        count = len(tries)
        assert count < 20
        await door.clock.sleep(3_600)
        assert len(tries) == count
