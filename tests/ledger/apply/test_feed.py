"""The outbox and the feed: what was sent, what is tried again, how far consumers have come, what is forgotten."""

import pytest

from kitestring.base.errors import KitestringError
from kitestring.base.events import Missed
from kitestring.base.grants import Grant
from kitestring.base.records import Message
from kitestring.base.store import LONGEST_PAUSE_S, Store
from kitestring.base.transactions import (
    Answer,
    Done,
    Execute,
    MarkSent,
    More,
    Prune,
    SaveGrant,
    Tell,
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


@pytest.mark.parametrize("step_s", [LONGEST_PAUSE_S - 59, 86_400])
async def test_a_clock_that_steps_back_keeps_no_message_waiting(store: Store, step_s: int) -> None:
    await all_sent(store)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    (a,) = await store.outbox(await store.sent_position(), 10)
    await store.apply(MarkSent(a.number, again=((a.number, 1, NOW + 60),)))
    assert len(await store.due(NOW - step_s, 10)) == 1


def notice(text: str, signed_at: int = NOW) -> Message:
    """A message about no request."""
    return Message("", "notice", text.encode(), b"event", signed_at)


async def contents(store: Store) -> list[bytes]:
    """Notices in the outbox, tried or not."""
    found = await store.outbox(0, 100) + await store.due(NOW + 10_000, 100)
    return [one.message.plaintext for one in found if not one.message.request_id]


async def test_a_consumer_moves_on_and_tells_in_one_step_and_never_back(store: Store) -> None:
    await store.apply(Tell("books", 3, NOW, (notice("three"),)))
    assert await store.position("books") == 3
    for position in (3, 2):
        await store.apply(Tell("books", position, NOW, (notice("again"),)))
    assert (await store.position("books"), await contents(store)) == (3, [b"three"])


@pytest.mark.parametrize("name", ["@outbox", "@books"])
async def test_no_consumer_takes_a_name_of_the_house(store: Store, name: str) -> None:
    with pytest.raises(KitestringError, match=f"not called {name}"):
        await store.apply(Tell(name, 3, NOW, (notice("three"),)))
    assert await contents(store) == []


async def test_an_old_notice_is_forgotten_once_it_was_sent_or_given_up(store: Store) -> None:
    await all_sent(store)
    await store.apply(Tell("books", 1, NOW, (notice("old"), notice("waits"), notice("young", NOW + 100))))
    old, waits, _ = await store.outbox(await store.sent_position(), 10)
    await store.apply(Prune(NOW + 50))
    assert await contents(store) == [b"old", b"waits", b"young"]  # none was tried yet
    await store.apply(MarkSent(waits.number, again=((waits.number, 1, NOW + 60),)))
    await store.apply(Prune(NOW + 50))
    assert await store.outbox(old.number - 1, 10) != []
    assert await contents(store) == [b"young", b"waits"]
    await store.apply(MarkSent(waits.number, ended=(waits.number,)))
    await store.apply(Prune(NOW + 50))
    assert await contents(store) == [b"young"]


async def test_too_many_notices_are_forgotten_whether_they_were_sent_or_not_the_oldest_first(store: Store) -> None:
    await store.apply(Tell("books", 1, NOW, tuple(notice(str(number)) for number in range(5))))
    await store.apply(Prune(0, max_notices=2))
    assert await contents(store) == [b"3", b"4"]


async def test_events_are_forgotten_by_age_and_by_number_and_who_comes_later_is_told_so(store: Store) -> None:
    for number in range(4):
        grant = Grant(grant_id=f"g{number}", name=f"g{number}", wire="nwc", account_id="alice")
        asked = request(f"c{number}", wire="owner", grant_id="owner", received_at=NOW + number)
        await store.apply(Execute(asked, (SaveGrant(grant),), reply(f"c{number}", event=b"")))
    newest = await store.last_event()
    await store.apply(Prune(NOW + 2))
    first, *rest = await store.events(0, 100)
    assert first == Missed(newest - 2, newest - 2)
    assert [row.number for row in rest] == [newest - 1, newest]
    await store.apply(Prune(0, max_events=1))
    assert await store.events(0, 100) == [Missed(newest - 1, newest - 1), rest[-1]]


async def test_what_is_forgotten_is_forgotten_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.feed.FORGET_LIMIT", 2)
    await store.apply(Tell("books", 1, NOW, tuple(notice(str(number)) for number in range(5))))
    answers = [type(await store.apply(Prune(0, max_notices=0))) for _ in range(3)]
    assert (answers, await contents(store)) == ([More, More, Done], [])
