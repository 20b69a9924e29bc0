"""A service of debits that plays a script, on a real relay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from tests.kit.chance import entropy
from tests.kit.client.hostile import CLOCK, SERVICE, Request, read_request
from tests.kit.clock import StandingClock
from tests.kit.vectors import load

#: case → exact reply (None = silence) of Lightning.Pub to a debit request.
OBSERVED: dict[str, str | None] = {row["case"]: row["reply"] for row in load("lightning_pub_debits.json")["replies"]}

#: What is answered to a request, exactly or as members; None = silence.
Answer = str | dict[str, Any] | None
Answers = Callable[[Request], Answer]


class Debtor:
    """Answers requests (for debits, unless it is of another ``kind``) to ``key`` at ``url`` with what ``answers``
    returns, as Lightning.Pub does: without a version tag. ``requests`` are all that it was asked, ``events`` also those
    that came again."""

    def __init__(
        self, url: str, answers: Answers, clock: StandingClock = CLOCK, key: SecretKey = SERVICE,
        kind: int = kinds.DEBIT,
    ) -> None:  # fmt: skip
        self.answers = answers
        self.url = url
        self.requests: list[Request] = []
        self.events: list[Event] = []
        self.news = asyncio.Event()
        self.key = key
        self._clock = clock
        self._kind = kind
        self._pool = RelayPool((url,), clock=clock, entropy=entropy)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The members of the requests."""
        return [request.members for request in self.requests]

    async def __aenter__(self) -> Debtor:
        await self._pool.start()
        wanted = Filter(kinds={self._kind}, tags={"p": {self.key.public_hex}})
        standing = self._pool.subscribe("debtor", lambda _: (wanted,), self._hear)
        assert await standing.wait_eose()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.stop()

    def _hear(self, event: Event, _: str) -> None:
        self.events.append(event)
        if event.id in {request.event.id for request in self.requests}:
            return
        request = read_request(event, self.key)
        self.requests.append(request)
        answer = self.answers(request)
        if answer is not None:
            self.say(request, answer)
        self.news.set()

    def say(self, request: Request, answer: Answer) -> None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        reply = request.reply(text, key=self.key, at=self._clock.now())
        self._pool.send(reply.id, reply.pubkey, encode_event(reply), lambda _: None)


def always(answer: Answer) -> Answers:
    return lambda _: answer


def in_turn(answers: Iterable[Answer]) -> Answers:
    """One after the other; the last one forever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
