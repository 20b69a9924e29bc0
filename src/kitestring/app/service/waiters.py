"""Callers in this process that wait for the answer to a request of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kitestring.base.records import Message
from kitestring.base.transactions.feed import Committed


class Waiters:
    """Hands each answer to whoever waits for it, as soon as it is committed or said again."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[Message]]] = {}

    @contextmanager
    def expecting(self, request_id: str) -> Iterator[asyncio.Future[Message]]:
        """The next answer to ``request_id``, from the very call on: a stored one may come before the first await."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, []).append(future)
        try:
            yield future
        finally:
            left = [other for other in self._waiting.pop(request_id, ()) if other is not future]
            if left:
                self._waiting[request_id] = left

    def hear(self, news: Committed) -> None:
        """Take the news of a commit; to be subscribed to the ledger."""
        if self._waiting:
            self.tell(outgoing.message for outgoing in news.outgoing)

    def tell(self, messages: Iterable[Message]) -> None:
        for message in messages:
            for future in self._waiting.pop(message.request_id, ()):
                if not future.done():
                    future.set_result(message)
