"""A method of a twin is the one that is awaited, with its name, its words and its arguments."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from kitestring.app.blocking.twin import Blocks, Gives, Stream, Twin
from kitestring.app.blocking.worker import Worker


class Awaited:
    def __init__(self) -> None:
        self.ended = False

    async def add(self, one: int, *, two: int = 2) -> int:
        """Add them."""
        return one + two

    async def count(self, limit: int) -> AsyncGenerator[int, None]:
        """Count up to a limit."""
        try:
            for number in range(limit):
                yield number
        finally:
            self.ended = True


class Blocking(Twin):
    add = Blocks(Awaited.add)
    count = Gives(Awaited.count, Stream[int])


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_it_waits_and_says_what_it_is(worker: Worker) -> None:
    twin = Blocking(Awaited(), worker)
    assert (twin.add(1), twin.add(1, two=5)) == (3, 6)
    assert (twin.add.__name__, twin.add.__doc__, Blocking.add.__doc__) == ("add", "Add them.", "Add them.")
    with pytest.raises(TypeError, match="unexpected keyword"):
        twin.add(1, three=3)  # type: ignore[call-arg]  # what mypy refuses too
    worker.stop()


def test_a_stream_is_a_plain_iterator_and_is_ended_by_whoever_leaves_it(worker: Worker) -> None:
    awaited = Awaited()
    twin = Blocking(awaited, worker)
    assert Blocking.count.__doc__ == "Count up to a limit."
    assert list(twin.count(3)) == [0, 1, 2]
    awaited.ended = False
    with twin.count(3) as numbers:
        assert next(numbers) == 0
    assert awaited.ended
    assert list(numbers) == []
    worker.stop()


def test_what_has_close_is_closed(worker: Worker) -> None:
    class Closing:
        is_closed = False

        def __aiter__(self) -> AsyncIterator[int]:
            return self

        async def __anext__(self) -> int:
            raise StopAsyncIteration

        async def close(self) -> None:
            self.is_closed = True

    inner = Closing()
    Stream[int](inner, Twin(None, worker)).close()
    assert inner.is_closed
    worker.stop()
