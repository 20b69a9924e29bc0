"""The wait for an answer behind which somebody may have to decide: it is told of, and the event is sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from kitestring.client.net import Net
from kitestring.client.session import Exchange

T = TypeVar("T")

#: Seconds of silence after which the owner of the service is probably being asked.
APPROVAL_AFTER_S: Final = 3.0
#: Seconds after which the same event is sent again: twice while services still take it, then for a stored answer.
RESEND_AFTER_S: Final = (10.0, 25.0, 60.0, 90.0)

#: Told once, with the seconds that are left, when no answer comes soon: the owner may be asked.
Waiting = Callable[[float], None]


async def wait_for_owner(
    exchange: Exchange, read: Callable[[str], T], wait_s: float, net: Net, waiting: Waiting | None
) -> T | None:
    """Wait for the reply; None when ``wait_s`` seconds are over or nobody can be expected to answer any more."""
    started = net.clock.monotonic()

    def left_s(until_s: float) -> float:
        return until_s - (net.clock.monotonic() - started)

    for after_s in (APPROVAL_AFTER_S, *RESEND_AFTER_S):
        if after_s >= wait_s:
            break
        reply = await exchange.next(read, left_s(after_s))
        if reply is not None or exchange.undelivered or exchange.unreadable:
            return reply
        if after_s == APPROVAL_AFTER_S:
            if waiting is not None:
                waiting(left_s(wait_s))
        else:
            exchange.send_again()
    return await exchange.next(read, left_s(wait_s))
