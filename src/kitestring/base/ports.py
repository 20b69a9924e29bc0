"""The seams of time, chance and answers: what the engine needs from outside is injected through one of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from kitestring.base.currency import ExchangeRate
from kitestring.base.outcomes import Outcome
from kitestring.base.records import Message


class Clock(Protocol):
    """Wall time is for freshness and rows; ordering and waiting use the monotonic clock."""

    def now(self) -> int:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of the monotonic clock."""
        ...


class CurrencyRates(Protocol):
    """The worth of currencies."""

    async def rate(self, currency: str) -> ExchangeRate:
        """The rate at which something is priced now.

        Raises KitestringError: malformed for no currency of ISO 4217, unavailable where the rate is stale or unknown.
        """
        ...

    def known(self, currency: str) -> ExchangeRate:
        """The same by what is known already: nobody waits for a source that hangs. Raises as :meth:`rate`."""
        ...


Entropy = Callable[[int], bytes]

#: (reply_to, kind of message, outcome, now) -> the finished answer, or None where the wire answers with silence.
Encode = Callable[[bytes, str, Outcome, int], "Encoded | None"]
#: Send answers now and once, beside the outbox: stored ones that are asked for again, and refusals that nobody stores.
#: Must not block.
Deliver = Callable[[tuple[Message, ...]], None]


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """A finished answer in the form of its wire; ``event`` is b"" where nothing is published."""

    plaintext: bytes
    event: bytes
    signed_at: int
