"""A class that waits, made of one that is awaited: a row for each method, typed by it, and no logic of its own."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar, overload

from kitestring.app.blocking.worker import Worker

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


class Twin:
    """``inner`` is the object that is awaited, ``worker`` the thread in which it lives."""

    def __init__(self, inner: Any, worker: Worker) -> None:
        self._inner: Final = inner
        self._worker: Final = worker

    def _wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine of the object, and wait for its end."""
        return self._worker.wait(make)


class Blocks(Generic[P, T]):
    """A method that is awaited there, and waits here."""

    def __init__(self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self.method: Final = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, twin: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, twin: Twin, owner: type[Any]) -> Callable[P, T]: ...
    def __get__(self, twin: Twin | None, owner: type[Any]) -> Self | Callable[P, T]:
        if twin is None:
            return self

        @functools.wraps(self.method)
        def bound(*args: P.args, **kwargs: P.kwargs) -> T:
            return twin._wait(lambda: self.method(twin._inner, *args, **kwargs))  # noqa: SLF001 - its own half

        return bound


class Gives(Generic[P, S]):
    """A method that gives an object which is awaited, and here one of ``kind``, its twin."""

    def __init__(self, method: Callable[Concatenate[Any, P], Any], kind: Callable[[Any, Twin], S]) -> None:
        self.method: Final = method
        self.__doc__ = method.__doc__
        self._kind: Final = kind

    @overload
    def __get__(self, twin: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, twin: Twin, owner: type[Any]) -> Callable[P, S]: ...
    def __get__(self, twin: Twin | None, owner: type[Any]) -> Self | Callable[P, S]:
        if twin is None:
            return self

        @functools.wraps(self.method)
        def bound(*args: P.args, **kwargs: P.kwargs) -> S:
            async def given() -> Any:
                return self.method(twin._inner, *args, **kwargs)  # noqa: SLF001 - its own half

            return self._kind(twin._wait(given), twin)  # noqa: SLF001 - its own half

        return bound


class Given(Twin):
    """Given by another twin, which it lives with."""

    def __init__(self, inner: Any, parent: Twin) -> None:
        super().__init__(inner, parent._worker)  # noqa: SLF001 - its own half
        self._parent: Final = parent

    def _wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine, as long as the other twin lets it."""
        return self._parent._wait(make)  # noqa: SLF001 - its own half


class Stream(Given, Iterator[T]):
    """An iterator that waits for the next one. It ends with what it was made by, or with :meth:`close`, which another
    thread may call."""

    def __next__(self) -> T:
        given = self._wait(lambda: _next(self._inner))
        if not given:
            raise StopIteration
        one: T = given[0]
        return one

    def close(self) -> None:
        """End it: whoever waits for the next one is told that there is none."""
        self._wait(lambda: _close(self._inner))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next(inner: AsyncIterator[T]) -> tuple[T, ...]:
    """The next one, or nothing."""
    try:
        return (await anext(inner),)
    except StopAsyncIteration:
        return ()


async def _close(inner: Any) -> None:
    await (inner.aclose() if hasattr(inner, "aclose") else inner.close())
