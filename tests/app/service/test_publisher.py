"""A stored answer goes out until a relay has it: again, freshly signed, and not once more afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring.app.home.config import RequestRates
from kitestring.app.service import publisher
from kitestring.nostr.event import Event, first_tag
from tests.app.door import Door
from tests.engine.kit import Life
from tests.fakes.clock import virtual


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path / "ledger.db")
    yield life
    life.audit()


def refuse(_: Event) -> bool:
    return False


def take(_: Event) -> bool:
    return True


@virtual
async def test_an_answer_that_no_relay_takes_is_tried_again_with_a_fresh_signature(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestRates())
        await door.open()
        door.pool.takes = refuse
        event = door.request("pay_invoice", {"invoice": door.invoice()})
        assert await door.tell(event) == []
        await door.clock.sleep(600)
        door.pool.takes = take
        await door.clock.sleep(61)
        (sent,) = door.pool.sent
        assert first_tag(sent, "e") == event.id
        assert door.clock.now() - sent.created_at <= 61
        assert door.read(sent)["error"] is None
        assert await rig.store.unpublished(10) == []


@virtual
async def test_what_was_never_taken_goes_out_after_a_restart_and_what_was_does_not(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestRates())
        await door.open()
        taken = door.request("pay_invoice", {"invoice": door.invoice()})
        await door.tell(taken)
        await door.clock.sleep(1)
        door.pool.takes = refuse
        lost = door.request("pay_invoice", {"invoice": door.invoice()})
        await door.tell(lost)
        await door.publisher.drain(1)
    async with life.service(start=False) as rig:
        door = Door(rig, RequestRates())
        await door.refresh()
        await rig.engine.start()
        await door.clock.sleep(1)
        assert [first_tag(sent, "e") for sent in door.pool.sent] == [lost.id]


@virtual
async def test_answers_beyond_those_being_retried_wait_in_the_ledger_and_leave_when_there_is_room(life: Life) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publisher, "MAX_RETRYING", 4)
        async with life.service(start=False) as rig:
            door = Door(rig, RequestRates())
            await door.open()
            door.pool.takes = refuse
            asked = [door.request("pay_invoice", {"invoice": door.invoice()}) for _ in range(11)]
            for event in asked:
                await door.tell(event)
            assert len(await rig.store.unpublished(100)) == 11
            door.pool.takes = take
            await door.clock.sleep(300)
            assert sorted(first_tag(sent, "e") or "" for sent in door.pool.sent) == sorted(event.id for event in asked)
            assert await rig.store.unpublished(100) == []


@virtual
async def test_all_who_expect_an_answer_get_it_and_nobody_else_does(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestRates())
        await door.open()
        event = door.request("pay_invoice", {"invoice": door.invoice()})
        expecting = door.publisher.expecting
        with expecting(event.id) as one, expecting(event.id) as two, expecting("another") as nothing:
            await door.tell(event)
            assert [message.request_id for message in await asyncio.gather(one, two)] == [event.id] * 2
            assert not nothing.done()
        assert door.publisher._waiting == {}
