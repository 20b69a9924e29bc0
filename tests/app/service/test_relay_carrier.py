"""Answers on their way to the relays: taken when one relay says so, and signed anew when they have grown old."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.app.service.delivery import Route
from kitestring.app.service.receptions import Reception
from kitestring.app.service.relay_carrier import RESIGN_AFTER_S, RelayCarrier
from kitestring.base.clocks import AHEAD_S
from kitestring.base.records import Message
from kitestring.nostr.event import decode_event
from tests.kit.app.door import Door
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life


class Carried:
    """One stored answer of a service, and the carrier of its replies."""

    def __init__(self, door: Door, answer: Message) -> None:
        self.door, self.answer = door, answer
        route = door.rig.delivery._routes["reply"]
        assert isinstance(route, Route)
        assert isinstance(route.send, RelayCarrier)
        self._send = route.send
        door.pool.sent.clear()

    def hold_back(self, room: int = 1) -> list[Callable[[], None]]:
        """Let whoever says no wait, as long as there is room; gives what waits."""
        waiting: list[Callable[[], None]] = []

        def when_witnessed(go: Callable[[], None]) -> bool:
            if len(waiting) < room:
                waiting.append(go)
                return True
            return False

        self._send._when_witnessed = when_witnessed
        return waiting

    def begin(self, message: Message) -> list[Reception]:
        """What is said of it, as soon as it is."""
        said: list[Reception] = []
        self._send(message, said.append)
        return said

    def carry(self, message: Message) -> bool:
        """Whether it counts as taken; said at once, for the pool of the tests answers at once."""
        (reception,) = self.begin(message)
        return reception is Reception.TAKEN


async def answered(door: Door) -> Carried:
    await door.open()
    await door.ask("pay_invoice", {"invoice": door.invoice()})
    request = next(iter(door.pool.sent)).tags
    (request_id,) = [tag[1] for tag in request if tag[0] == "e"]
    (answer,) = await door.rig.store.messages(request_id)
    return Carried(door, answer)


@virtual
async def test_an_answer_goes_out_as_it_was_signed_while_relays_take_its_age(life: Life) -> None:
    async with life.service(start=False) as rig:
        there = await answered(Door(rig, RequestLimits()))
        await rig.clock.sleep(RESIGN_AFTER_S - 1)
        assert there.carry(there.answer)
        assert there.door.pool.sent == [decode_event(there.answer.event)]


@virtual
async def test_an_old_one_is_signed_anew_and_says_the_same(life: Life) -> None:
    async with life.service(start=False) as rig:
        there = await answered(Door(rig, RequestLimits()))
        await rig.clock.sleep(RESIGN_AFTER_S + 1)
        assert there.carry(there.answer)
        (sent,), old = there.door.pool.sent, decode_event(there.answer.event)
        assert sent.created_at == rig.clock.now()
        assert sent.id != old.id
        assert there.door.read(sent) == there.door.read(old)


@pytest.mark.parametrize("taken", [True, False])
def test_it_is_taken_when_a_relay_has_taken_it(life: Life, taken: bool) -> None:
    @virtual
    async def story() -> None:
        async with life.service(start=False) as rig:
            there = await answered(Door(rig, RequestLimits()))
            there.door.pool.takes = lambda _: taken
            assert there.carry(there.answer) is taken

    story()


@virtual
async def test_what_nobody_is_to_be_told_is_done_without_a_relay(life: Life) -> None:
    async with life.service(start=False) as rig:
        there = await answered(Door(rig, RequestLimits()))
        assert there.carry(replace(there.answer, event=b""))
        assert there.door.pool.sent == []


@virtual
async def test_one_from_the_future_is_signed_anew(life: Life) -> None:
    async with life.service(start=False) as rig:
        life.clock.skew_s = 3_000
        there = await answered(Door(rig, RequestLimits()))
        life.clock.skew_s = 0
        assert there.carry(there.answer)
        (sent,) = there.door.pool.sent
        assert sent.created_at <= rig.clock.now() + AHEAD_S


@virtual
async def test_one_to_a_client_whose_clock_is_ahead_keeps_its_signature(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open()
        event = door.request("pay_invoice", {"invoice": door.invoice()}, age_s=-AHEAD_S)
        await door.tell(event)
        (sent,), (answer,) = door.pool.sent, await rig.store.messages(event.id)
        assert sent == decode_event(answer.event)
        assert sent.created_at == event.created_at


@virtual
async def test_a_no_waits_for_the_witness_and_a_yes_for_nobody(life: Life) -> None:
    async with life.service(start=False) as rig:
        there = await answered(Door(rig, RequestLimits()))
        waiting = there.hold_back()
        assert there.carry(there.answer)
        said = there.begin(replace(there.answer, is_no=True))
        assert (said, len(there.door.pool.sent)) == ([], 1)
        (go,) = waiting
        go()
        assert (said, len(there.door.pool.sent)) == ([Reception.TAKEN], 2)


@virtual
async def test_a_no_that_finds_too_many_waiting_is_tried_again(life: Life) -> None:
    async with life.service(start=False) as rig:
        there = await answered(Door(rig, RequestLimits()))
        there.hold_back(room=0)
        assert not there.carry(replace(there.answer, is_no=True))
        assert there.door.pool.sent == []


@virtual
async def test_a_no_that_cannot_be_sent_in_the_end_is_tried_again(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    async with life.service(start=False) as rig:
        there = await answered(Door(rig, RequestLimits()))
        assert not there.carry(replace(there.answer, is_no=True, event=b"no event"))
        assert "an answer is not sent yet" in caplog.text
