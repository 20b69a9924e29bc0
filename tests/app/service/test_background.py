"""Work on its own is heard when it breaks off, and goes on where it must never end."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from kitestring.app.service.background import AGAIN_S, Background
from tests.kit.clock import ManualClock


async def broken() -> None:
    raise ValueError("a bug")


async def test_work_that_breaks_off_is_logged_with_what_broke_it(caplog: pytest.LogCaptureFixture) -> None:
    task = Background(ManualClock()).spawn(broken())
    await asyncio.wait([task])
    (line,) = caplog.records
    assert (line.levelname, line.getMessage()) == ("ERROR", "work on its own broke off")
    assert line.exc_info is not None
    assert str(line.exc_info[1]) == "a bug"


async def test_work_that_never_ends_is_begun_anew_until_it_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    background, begun = Background(clock), 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            await broken()
        await asyncio.get_running_loop().create_future()

    background.keep(work)
    for number in (1, 2):
        await clock.asleep(AGAIN_S, AGAIN_S)
        assert begun == number
        clock.advance(AGAIN_S)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert begun == 3
    assert caplog.text.count("begun anew") == 1  # a minute
    await background.cancel()
    assert not background._tasks


async def test_what_was_cancelled_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    background = Background(ManualClock())
    task = background.spawn(asyncio.sleep(60))
    await background.cancel()
    assert task.cancelled()
    assert caplog.records == []


async def test_nothing_is_begun_after_all_was_cancelled() -> None:
    background = Background(ManualClock())
    await background.cancel()
    work = broken()
    with pytest.raises(RuntimeError, match="begins no work any more"):
        background.spawn(work)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
    assert not background._tasks
