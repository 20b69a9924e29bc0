from __future__ import annotations

import asyncio
import os
import signal

import pytest

from kitestring.app.home.signals import asked_to_stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_either_signal_asks_to_stop_and_ends_nothing_by_itself(number: signal.Signals) -> None:
    stop = asked_to_stop()
    try:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(20):
            await stop.wait()
    finally:
        for one in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(one)
