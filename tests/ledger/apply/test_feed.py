"""The outbox and the feed: what was sent, what is tried again, how far consumers have come, what is forgotten."""

from kitestring.base.store import Store
from kitestring.base.transactions import (
    Answer,
    MarkSent,
)
from tests.kit.changed import replace
from tests.kit.ledger.steps import all_sent
from tests.kit.ledger.values import (
    NOW,
    reply,
    request,
)


async def test_a_message_waits_in_the_outbox_until_delivery_has_passed_it(store: Store) -> None:
    first = await all_sent(store)
    for name in ("a", "b"):
        await store.apply(Answer(request(name), (reply(name),), NOW))
    a, b = await store.outbox(first, 10)
    assert (a.message, b.message, b.number) == (reply("a"), reply("b"), a.number + 1)
    assert await store.outbox(first, 1) == [a]
    await store.apply(MarkSent(a.number))
    assert await store.sent_position() == a.number
    assert await store.outbox(a.number, 10) == [b]
    await store.apply(MarkSent(first))
    assert await store.sent_position() == a.number
    assert await store.messages("a") == (reply("a"),)


async def test_a_message_that_was_not_taken_is_due_at_its_time_until_it_has_ended(store: Store) -> None:
    await all_sent(store)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    (a,) = await store.outbox(await store.sent_position(), 10)
    assert not await store.has_due()
    await store.apply(MarkSent(a.number, again=((a.number, 1, NOW + 5),)))
    assert await store.outbox(a.number - 1, 10) == []
    assert await store.has_due()
    assert await store.due(NOW + 4, 10) == []
    assert await store.due(NOW + 5, 10) == [replace(a, attempts=1)]
    await store.apply(MarkSent(a.number, again=((a.number, 2, NOW + 9),)))
    assert await store.due(NOW + 9, 10) == [replace(a, attempts=2)]
    await store.apply(MarkSent(a.number, ended=(a.number,)))
    assert not await store.has_due()
    assert await store.due(NOW + 99, 10) == []


async def test_a_clock_that_steps_back_keeps_no_message_waiting(store: Store) -> None:
    await all_sent(store)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    (a,) = await store.outbox(await store.sent_position(), 10)
    await store.apply(MarkSent(a.number, again=((a.number, 1, NOW + 60),)))
    assert len(await store.due(NOW - 86_400, 10)) == 1
