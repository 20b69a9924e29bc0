"""The thread in which a blocking wallet or service really lives, with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

#: Seconds that the thread has to end, once everything in it was closed.
END_S: Final = 10.0


class Worker:
    """Begins with the first call. Several threads may wait at the same time. It ends with :meth:`stop`, with its owner,
    or with the program, and begins again when it is called after that."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the thread, and wait for its end. Whoever is interrupted (Ctrl-C) while waiting cancels
        it. Raises RuntimeError in the thread itself, which would wait for itself."""
        loop = self._running()
        if threading.current_thread() is self._thread:
            raise RuntimeError("this runs in the loop of kitestring.blocking: use a plain function, and no coroutine")
        future = asyncio.run_coroutine_threadsafe(make(), loop)
        try:
            return future.result()
        finally:
            future.cancel()  # of one that has ended nothing

    def stop(self) -> None:
        """End the thread; what still runs in it is cancelled."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            _end(loop)
            thread.join(END_S)
            if thread.is_alive():
                _log.warning("a loop of kitestring.blocking has not ended after %g seconds", END_S)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                begun: list[asyncio.AbstractEventLoop] = []
                is_there = threading.Event()
                self._thread = threading.Thread(target=_run, args=(begun, is_there), name="kitestring", daemon=True)
                self._thread.start()
                is_there.wait()
                self._loop = begun[0]
                weakref.finalize(self, _end, self._loop)
            return self._loop


def _run(begun: list[asyncio.AbstractEventLoop], is_there: threading.Event) -> None:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        begun.append(loop)
        is_there.set()
        loop.run_forever()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
