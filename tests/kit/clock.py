"""The clocks of the tests. The virtual one: an event loop whose time moves only when every task waits for time and
nothing else.

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
#: Unix time where a clock stands still.
NOW = 1_760_000_000
#: Unix time when a virtual loop begins.
EPOCH = 1_800_000_000
#: Seconds of real time after which a wait in a test has failed.
PATIENCE_S = 20
#: Steps of a wall clock that every part must bear, in seconds, either way: a leap, a wrong summer time, a wrong zone
#: and date, a dead battery.
STEPS_S = (1, 3_600, 26 * 3_600, 400 * 86_400)
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

    def run_in_executor(  # type: ignore[override]  # the types of its base need more words than this is worth
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """As in real time; a thread is at work until it is done."""
        work = super().run_in_executor(executor, func, *args)
        self.busy += 1
        work.add_done_callback(self._is_back)
        return work

    async def shutdown_default_executor(self, *limit: Any) -> None:
        with self.outside():
            await super().shutdown_default_executor(*limit)

    def _is_back(self, _: object) -> None:
        self.busy -= 1

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

    def __init__(self, skew_s: int = 0) -> None:
        self.skew_s = skew_s

    def now(self) -> int:
        return EPOCH + self.skew_s + int(self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Clocks:
    """The wall clocks of the three sides, on one loop: they wait alike and are set apart."""

    def __init__(self) -> None:
        self.app, self.node, self.service = VirtualClock(), VirtualClock(), VirtualClock()

    def step(self, side: str, seconds: int) -> None:
        """Set the clock of ``app``, ``node`` or ``service`` by so many seconds, once."""
        clock: VirtualClock = getattr(self, side)
        clock.skew_s += seconds

    def right(self) -> None:
        """All of them show the true time again."""
        for clock in (self.app, self.node, self.service):
            clock.skew_s = 0


def virtual(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run an async test on a virtual loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(test(*args, **kwargs))

    return run


class StandingClock:
    """The wall stands still, waits are real: for foreign parts that live in real time."""

    def __init__(self, now: int = NOW) -> None:
        self._now = now

    def advance(self, seconds: int) -> None:
        self._now += seconds

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """Time stands still until :meth:`advance`; ``sleeps`` records every duration asked for."""

    def __init__(self, now: int = NOW) -> None:
        self.time = float(now)
        self.sleeps: list[float] = []
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []
        self._changed = asyncio.Condition()

    def now(self) -> int:
        return int(self.time)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float, /) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        row = (self.time + seconds, seconds, future)
        self.sleeps.append(seconds)
        self._sleepers.append(row)
        async with self._changed:
            self._changed.notify_all()
        try:
            await future
        finally:
            self._sleepers.remove(row)

    def advance(self, seconds: float) -> None:
        self.time += seconds
        for due, _, future in self._sleepers:
            if due <= self.time and not future.done():
                future.set_result(None)

    async def asleep(self, least: float, most: float) -> float:
        """Wait until somebody sleeps for a duration in the range; the duration."""

        def found() -> list[float]:
            return [s for _, s, future in self._sleepers if least <= s <= most and not future.done()]

        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: bool(found()))
        return found()[0]

    async def pass_sleep(self, least: float, most: float) -> float:
        """Let one such sleep end; its duration."""
        seconds = await self.asleep(least, most)
        self.advance(seconds)
        return seconds


class WalkingClock:
    """Time passes by sleeping alone, and nobody waits for it."""

    def __init__(self, now: int = EPOCH) -> None:
        self.ms = now * 1_000

    def now(self) -> int:
        return self.ms // 1_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1_000

    async def sleep(self, seconds: float) -> None:
        self.ms += max(1, round(seconds * 1_000))
        await asyncio.sleep(0)
