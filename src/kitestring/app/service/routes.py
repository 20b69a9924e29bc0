"""Routes of the outbox: a table, one row per kind of message.

A carrier is made from the :class:`Seams` of the service and sends one message; a new one is a file of its own and a row
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from kitestring.app.service.announcer import ANNOUNCEMENT
from kitestring.app.service.delivery import OnTaken, Route
from kitestring.app.service.log_carrier import LOG, write_line
from kitestring.app.service.relay_carrier import RelayCarrier
from kitestring.app.service.seams import Seams
from kitestring.base.records import RECEIPT, REPLY, Message

Carry = Callable[[Message, OnTaken], None]

#: Nobody waits longer for a reply: a client that comes later asks again, and gets the stored one.
REPLY_GIVE_UP_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class RouteRow:
    """``give_up_s`` as in :class:`Route`; receipts are proofs of payment and are tried until they are taken."""

    kind: str
    carrier: Callable[[Seams], Carry]
    give_up_s: int | None = None


ROWS: Final = (
    RouteRow(REPLY, RelayCarrier, give_up_s=REPLY_GIVE_UP_S),
    RouteRow(RECEIPT, RelayCarrier),
    RouteRow(ANNOUNCEMENT, lambda seams: seams.announcer.carry),
    RouteRow(LOG, lambda _: write_line),
)


def routes(seams: Seams, rows: tuple[RouteRow, ...] = ROWS) -> Mapping[str, Route]:
    """The table for one service."""
    return {row.kind: Route(row.carrier(seams), row.give_up_s) for row in rows}
