"""The thread behind a blocking object: it begins when it is needed, serves several threads, and ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from kitestring.app.blocking.worker import Worker


async def here() -> threading.Thread:
    return threading.current_thread()


def test_everything_runs_in_one_thread_which_begins_again_after_its_end() -> None:
    worker = Worker()
    first = worker.wait(here)
    assert first is worker.wait(here)
    assert first is not threading.current_thread()
    worker.stop()
    assert not first.is_alive()
    worker.stop()
    assert worker.wait(here) is not first
    worker.stop()


def test_several_threads_wait_at_the_same_time() -> None:
    worker, met = Worker(), asyncio.Barrier(8)

    async def meet() -> int:
        return await met.wait()

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(lambda _: worker.wait(meet), range(8))) == list(range(8))
    worker.stop()


def test_what_fails_there_fails_here() -> None:
    async def fails() -> None:
        raise LookupError("nothing")

    worker = Worker()
    with pytest.raises(LookupError, match="nothing"):
        worker.wait(fails)
    worker.stop()


def test_its_end_ends_whoever_waits() -> None:
    worker, waits = Worker(), threading.Event()

    async def for_ever() -> None:
        waits.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(worker.wait, for_ever)
        waits.wait()
        worker.stop()
        with pytest.raises(CancelledError):
            waiting.result()


def test_it_does_not_wait_for_itself() -> None:
    worker = Worker()

    async def calls() -> None:
        worker.wait(here)

    with pytest.raises(RuntimeError, match="use a plain function"):
        worker.wait(calls)
    worker.stop()


def test_a_worker_that_is_forgotten_ends() -> None:
    worker = Worker()
    thread = worker.wait(here)
    del worker
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()


def test_whoever_is_interrupted_while_waiting_cancels_it() -> None:
    worker, is_cancelled = Worker(), threading.Event()

    async def interrupts() -> None:
        try:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    with pytest.raises(KeyboardInterrupt):
        worker.wait(interrupts)
    assert is_cancelled.wait(20)
    worker.stop()
