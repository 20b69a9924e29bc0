"""The outbox and the feed: what was sent, what is tried again, how far consumers have come, what is forgotten."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError
from kitestring.base.events import Missed
from kitestring.base.grants import Grant
from kitestring.base.records import LOG, Message
from kitestring.base.store import LONGEST_RETRY_S, Store
from kitestring.base.transactions.answers import Done, More
from kitestring.base.transactions.feed import ForgetNews, MarkSent, Tell
from kitestring.base.transactions.owner import Execute, SaveGrant
from kitestring.base.transactions.requests import Answer
from kitestring.ledger.sqlite.store import SqliteStore
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


@pytest.mark.parametrize("step_s", [LONGEST_RETRY_S - 59, 86_400])
async def test_a_clock_that_steps_back_keeps_no_message_waiting(store: Store, step_s: int) -> None:
    await all_sent(store)
    await store.apply(Answer(request("a"), (reply("a"),), NOW))
    (a,) = await store.outbox(await store.sent_position(), 10)
    await store.apply(MarkSent(a.number, again=((a.number, 1, NOW + 60),)))
    assert len(await store.due(NOW - step_s, 10)) == 1


def notice(text: str, signed_at: int = NOW) -> Message:
    """A message about no request."""
    return Message("", "notice", text.encode(), b"event", signed_at)


def alarm(text: str) -> Message:
    """A message for the operator."""
    return Message("", LOG, text.encode(), b"", NOW)


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
    await store.apply(ForgetNews(NOW + 50, 0))
    assert await contents(store) == [b"old", b"waits", b"young"]  # none was tried yet
    await store.apply(MarkSent(waits.number, again=((waits.number, 1, NOW + 60),)))
    await store.apply(ForgetNews(NOW + 50, 0))
    assert await store.outbox(old.number - 1, 10) != []
    assert await contents(store) == [b"young", b"waits"]
    await store.apply(MarkSent(waits.number, ended=(waits.number,)))
    await store.apply(ForgetNews(NOW + 50, 0))
    assert await contents(store) == [b"young"]


async def test_too_many_notices_are_forgotten_whether_they_were_sent_or_not_the_oldest_first(store: Store) -> None:
    await store.apply(Tell("books", 1, NOW, tuple(notice(str(number)) for number in range(5))))
    await store.apply(ForgetNews(0, 0, max_notices=2))
    assert await contents(store) == [b"3", b"4"]


async def test_alarms_outlive_the_notices_of_apps_however_many_these_are(store: Store) -> None:
    """They wait for a log that cannot be written, or behind what no relay takes."""
    told = [alarm("first"), *(notice(str(number)) for number in range(3)), alarm("second"), notice("3"), notice("4")]
    await store.apply(Tell("books", 1, NOW, tuple(told)))
    await store.apply(ForgetNews(0, 0, max_notices=2))
    assert await contents(store) == [b"first", b"second", b"3", b"4"]


async def test_of_more_alarms_than_are_kept_the_oldest_are_forgotten_first(store: Store) -> None:
    told = [*(alarm(str(number)) for number in range(4)), notice("young")]
    await store.apply(Tell("books", 1, NOW, tuple(told)))
    await store.apply(ForgetNews(0, 0, max_notices=1, max_alarms=2))
    assert await contents(store) == [b"2", b"3", b"young"]


async def test_alarms_that_stay_keep_nothing_behind_them_from_being_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.feed.FORGET_LIMIT", 4)
    told = [item for number in range(6) for item in (alarm(f"a{number}"), notice(f"n{number}"))]
    await store.apply(Tell("books", 1, NOW, tuple(told)))
    while isinstance(await store.apply(ForgetNews(0, 0, max_notices=0, max_alarms=2)), More):
        pass
    assert await contents(store) == [b"a4", b"a5"]


async def test_an_old_alarm_is_forgotten_once_it_was_told(store: Store) -> None:
    await store.apply(Tell("books", 1, NOW, (alarm("old"), notice("young", NOW + 100))))
    await all_sent(store)
    await store.apply(ForgetNews(NOW + 50, 0))
    assert await contents(store) == [b"young"]


async def test_events_are_forgotten_by_age_and_by_number_and_who_comes_later_is_told_so(store: Store) -> None:
    for number in range(4):
        grant = Grant(grant_id=f"g{number}", name=f"g{number}", wire="nwc", account_id="alice")
        asked = request(f"c{number}", wire="owner", grant_id="owner", received_at=NOW + number)
        await store.apply(Execute(asked, (SaveGrant(grant),), reply(f"c{number}", event=b"")))
    newest = await store.last_event()
    await store.apply(ForgetNews(NOW + 2, 0))
    first, *rest = await store.events(0, 100)
    assert first == Missed(newest - 2, newest - 2)
    assert [row.number for row in rest] == [newest - 1, newest]
    await store.apply(ForgetNews(0, 0, max_events=1))
    assert await store.events(0, 100) == [Missed(newest - 1, newest - 1), rest[-1]]


async def test_what_is_forgotten_is_forgotten_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.feed.FORGET_LIMIT", 2)
    await store.apply(Tell("books", 1, NOW, tuple(notice(str(number)) for number in range(5))))
    answers = [type(await store.apply(ForgetNews(0, 0, max_notices=0))) for _ in range(4)]
    assert (answers, await contents(store)) == ([More, More, More, Done], [])


def fill(ledger: Path, times: Sequence[int]) -> None:
    """Put an event of each of these times into the feed."""
    raw = sqlite3.connect(ledger)
    service, last = raw.execute("SELECT service, last_event FROM totals ORDER BY service LIMIT 1").fetchone()
    rows = [(service, last + n, at, "expired", f"inv-{n}", "", "", "") for n, at in enumerate(times, 1)]
    raw.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    raw.execute("UPDATE totals SET last_event = ? WHERE service = ?", (last + len(rows), service))
    raw.commit()
    raw.close()


async def kept(store: Store) -> int:
    """The number of events in the feed."""
    oldest = (await store.events(0, 1))[0]
    return await store.last_event() - oldest.number + (0 if isinstance(oldest, Missed) else 1)


async def test_a_step_of_forgetting_looks_at_no_more_than_it_may_delete(
    store: SqliteStore, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.feed.FORGET_LIMIT", 100)
    fill(ledger, [NOW] * 250 + [NOW + 10] * 20_000)
    assert store._writer is not None
    work, steps = list[None](), list[int]()
    store._writer.connection.set_progress_handler(lambda: work.append(None), 100)
    while isinstance(await store.apply(ForgetNews(NOW + 11, 5)), More):
        steps.append(len(work))
        work.clear()
    assert (len(steps), await kept(store)) == (3, 20_000)
    assert max(*steps, len(work)) < 100  # hundreds of instructions; a walk through all of it is a thousand


async def test_old_notices_are_forgotten_in_steps_around_one_that_waits(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.feed.FORGET_LIMIT", 2)
    notices = [notice("old"), notice("old"), notice("waits"), notice("old"), notice("young", NOW + 10)]
    await store.apply(Tell("books", 1, NOW, tuple(notices)))
    last = (await store.outbox(0, 10))[-1].number
    await store.apply(MarkSent(last, again=((last - 2, 1, NOW + 60),)))
    answers = [type(await store.apply(ForgetNews(NOW + 11, 5))) for _ in range(3)]
    assert answers == [More, More, Done]
    assert await contents(store) == [b"young", b"waits"]


async def test_an_event_dated_by_a_clock_that_was_ahead_keeps_those_behind_it(store: SqliteStore, ledger: Path) -> None:
    fill(ledger, [NOW] * 5 + [NOW + 99] + [NOW] * 5 + [NOW + 9])
    assert isinstance(await store.apply(ForgetNews(NOW + 9, 5)), More)
    assert isinstance(await store.apply(ForgetNews(NOW + 9, 5)), Done)
    assert await kept(store) == 7


async def test_a_clock_that_is_ahead_makes_nothing_old_that_is_not_older_than_the_newest(store: Store) -> None:
    await store.apply(Tell("books", 1, NOW, (notice("sent"), notice("too"))))
    await all_sent(store)
    news = (await store.events(0, 100), await contents(store))
    for ahead_s in (40 * 86_400, 400 * 86_400):
        assert await store.apply(ForgetNews(NOW + ahead_s, 30 * 86_400)) == Done()
    assert (await store.events(0, 100), await contents(store)) == news


async def test_retries_of_one_connection_do_not_keep_those_of_another_waiting_for_ever(store: Store) -> None:
    """What was tried goes to the end of the row, behind everything that was due before."""
    await all_sent(store)
    names = [*(f"many-{number}" for number in range(6)), "one"]
    for name in names:
        await store.apply(Answer(request(name), (reply(name),), NOW))
    waiting = await store.outbox(await store.sent_position(), 10)
    first = [(one.number, 1, NOW + 1 + (one.message.request_id == "one")) for one in waiting]
    await store.apply(MarkSent(waiting[-1].number, again=tuple(first)))
    for tick in range(1, 9):
        due = await store.due(NOW + tick, 2)
        if "one" in {outgoing.message.request_id for outgoing in due}:
            break
        again = tuple((outgoing.number, outgoing.attempts + 1, NOW + tick + 1) for outgoing in due)
        await store.apply(MarkSent(waiting[-1].number, again=again))
    assert tick == 5  # behind six that were due before it, and two that are due since the same second
