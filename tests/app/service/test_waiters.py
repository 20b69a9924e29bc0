"""Callers that wait for an answer in this process."""

from __future__ import annotations

import asyncio

from kitestring.app.service.waiters import Waiters
from kitestring.base.records import REPLY, Message, Outgoing
from kitestring.base.transactions.feed import Committed

ANSWER = Message("asked", REPLY, b"text", b"event", 1)


async def test_all_who_expect_an_answer_get_it_and_nobody_else_does() -> None:
    waiters = Waiters()
    with (
        waiters.expecting("asked") as one,
        waiters.expecting("asked") as two,
        waiters.expecting("another") as nothing,
    ):
        waiters.hear(Committed((Outgoing(1, ANSWER),), ()))
        assert list(await asyncio.gather(one, two)) == [ANSWER, ANSWER]
        assert not nothing.done()
    assert waiters._waiting == {}


async def test_an_answer_that_is_said_again_is_an_answer_too() -> None:
    waiters = Waiters()
    with waiters.expecting("asked") as one:
        waiters.tell([ANSWER])
        assert await one == ANSWER


async def test_whoever_went_away_keeps_nobody_else_from_hearing() -> None:
    waiters = Waiters()
    with waiters.expecting("asked") as gone, waiters.expecting("asked") as one:
        gone.cancel()
        waiters.tell([ANSWER])
        assert await one == ANSWER


async def test_whoever_leaves_first_takes_nothing_from_those_who_wait_on() -> None:
    waiters = Waiters()
    with waiters.expecting("asked") as one:
        with waiters.expecting("asked"):
            pass
        waiters.tell([ANSWER])
        assert await one == ANSWER
    assert waiters._waiting == {}
