"""A virtual clock: an event loop whose time moves only when every task waits for time and nothing else.

Waiting costs nothing, and the same run takes the same steps. Work that a thread does meanwhile (the ledger's writer) is
announced with :meth:`VirtualLoop.outside`; as long as there is some, time stands still.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
#: Unix time when a virtual loop begins.
EPOCH = 1_800_000_000
#: Real seconds that work outside may take before the loop calls itself stuck.
STUCK_S = 20.0


class DeadlockError(BaseException):
    """Every task waits for something that cannot come."""


class _Selector(selectors.DefaultSelector):
    """Leaps over idle time. ``timeout`` None means that no timer is set."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.loop.busy:
            events = super().select(STUCK_S)
            if not events:
                raise DeadlockError("the ledger's thread has not answered")
            return events
        events = super().select(0)
        if events:
            return events
        if timeout is None:
            raise DeadlockError("every task waits, and nothing is due")
        self.loop.leap(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.busy = 0
        self._virtual_s = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_s

    def leap(self, seconds: float) -> None:
        self._virtual_s += seconds

    @contextmanager
    def outside(self) -> Iterator[None]:
        """A thread is at work: time stands still."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


class VirtualClock:
    """:class:`kitestring.base.ports.Clock` of the running virtual loop. ``skew_s`` moves the wall clock alone."""

    def __init__(self) -> None:
        self.skew_s = 0

    def now(self) -> int:
        return EPOCH + self.skew_s + int(self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def virtual(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run an async test on a virtual loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(test(*args, **kwargs))

    return run
