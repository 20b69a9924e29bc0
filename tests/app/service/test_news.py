"""What relays show waits in bounded queues, one for each, and is lost only once somebody has dealt with it."""

from __future__ import annotations

import pytest

from kitestring.app.service.news import MAX_NEWS, News
from kitestring.nostr.event import Event
from tests.kit.transport.relays import note


async def test_each_relay_has_room_of_its_own() -> None:
    news = News()
    for _ in range(MAX_NEWS):
        assert news.has_room("one")
        news.add(note(), "one")
    assert (news.has_room("one"), news.has_room("two"), len(news)) == (False, True, MAX_NEWS)


async def test_what_comes_while_the_rest_is_taken_waits_for_the_next_time() -> None:
    news, taken = News(), list[Event]()

    async def take(event: Event) -> None:
        taken.append(event)
        news.add(event, "one")

    news.add(note(), "one")
    for times in (1, 2):
        await news.take(take)
        assert (len(taken), len(news)) == (times, 1)


async def test_what_could_not_be_dealt_with_stays() -> None:
    news, taken = News(), list[Event]()

    async def take(event: Event) -> None:
        if event.content == "bad" and not taken:
            raise OSError("the disk is full")
        taken.append(event)

    bad, good = note(content="bad"), note(content="good")
    for event in (bad, good):
        news.add(event, "one")
    with pytest.raises(OSError, match="full"):
        await news.take(take)
    assert (taken, len(news)) == ([], 2)
    taken.append(good)
    await news.take(take)
    assert (taken, len(news)) == ([good, bad, good], 0)
