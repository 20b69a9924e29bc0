"""Whoever waits for news of a hold invoice hears of them, or looks again after a while."""

from __future__ import annotations

import asyncio

from kitestring.engine.hold_news import HoldNews
from tests.kit.clock import virtual


@virtual
async def test_everybody_who_waits_for_an_invoice_hears_of_it_and_nobody_else() -> None:
    news, loop = HoldNews(), asyncio.get_running_loop()
    began = loop.time()
    waiting = [asyncio.create_task(news.wait(name, 60)) for name in ("one", "one", "two")]
    await asyncio.sleep(1)
    news.tell("one")
    news.tell("nobody's")
    await asyncio.gather(*waiting[:2])
    assert loop.time() - began == 1
    await waiting[2]
    assert loop.time() - began == 60


@virtual
async def test_what_was_told_before_anybody_waited_is_not_kept_and_nothing_is_left_behind() -> None:
    news, loop = HoldNews(), asyncio.get_running_loop()
    news.tell("one")
    began = loop.time()
    await news.wait("one", 5)
    assert loop.time() - began == 5
    gone = asyncio.create_task(news.wait("one", 5))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert news._waiting == {}
