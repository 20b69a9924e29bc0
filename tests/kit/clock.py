"""The clocks of the tests. The virtual one: an event loop whose time moves only when every task waits for time and
nothing else.

Waiting costs nothing, and the same run takes the same steps, however fast the machine is: what another thread would do
is done at once on the loop's own, and is heard of when nothing else is ready to run.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import selectors
from collections.abc import Callable, Coroutine
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


class DeadlockError(BaseException):
    """Every task waits for something that cannot come."""


class _Selector(selectors.DefaultSelector):
    """Leaps over idle time. ``timeout`` None means that no timer is set."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.loop.hears():
            return []
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
        self._virtual_s = 0.0
        self._said: list[asyncio.Handle] = []
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_s

    def leap(self, seconds: float) -> None:
        self._virtual_s += seconds

    # ------------------------------------------------------------ threads

    def run_in_executor(  # type: ignore[override]  # the types of its base need more words than this is worth
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """Done at once, on the loop's own thread: another one is done sooner or later, as the machine likes."""
        work: asyncio.Future[Any] = self.create_future()
        try:
            answer, error = func(*args), None
        except Exception as wrong:  # noqa: BLE001 - not hidden: whoever waits for the work is told
            answer, error = None, wrong
        self.call_soon_threadsafe(_end, work, answer, error)
        return work

    def call_soon_threadsafe(  # type: ignore[override]  # as above
        self, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Called when nothing else is ready: by then a thread has long been done."""
        if self.is_closed():
            raise RuntimeError("the loop is closed")
        said = asyncio.Handle(callback, args, self, context)
        self._said.append(said)
        return said

    def hears(self) -> bool:
        """Let what was said by :meth:`call_soon_threadsafe` be heard, in that order; False where there is nothing."""
        said, self._said = self._said, []
        for one in said:
            self.call_soon(one._run)
        return bool(said)


def _end(work: asyncio.Future[Any], answer: object, error: Exception | None) -> None:
    if work.done():  # whoever waited was cancelled
        return
    if error is None:
        work.set_result(answer)
    else:
        work.set_exception(error)


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
