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
from kitestring.wire.reply_to import SERVICE_KEY, thaw

Carry = Callable[[Message, OnTaken], None]

#: Nobody waits longer for a reply: a client that comes later asks again, and gets the stored one.
REPLY_GIVE_UP_S: Final = 86_400
#: The same for a stranger, who has not paid anything yet: whoever sends us requests must not have us sign all day.
STRANGER_GIVE_UP_S: Final = 600


@dataclass(frozen=True, slots=True)
class RouteRow:
    """``give_up_s`` is the age at which nobody waits any more, None for never; ``stranger_give_up_s`` the same for what
    goes to a stranger. Receipts are proofs of payment and are tried until they are taken."""

    kind: str
    carrier: Callable[[Seams], Carry]
    give_up_s: int | None = None
    stranger_give_up_s: int | None = None

    def give_up_of(self, message: Message) -> int | None:
        """The age at which nobody waits for this message any more."""
        if self.stranger_give_up_s is not None and message.event and thaw(message.address).key_id == SERVICE_KEY:
            return self.stranger_give_up_s
        return self.give_up_s


ROWS: Final = (
    RouteRow(REPLY, RelayCarrier, give_up_s=REPLY_GIVE_UP_S, stranger_give_up_s=STRANGER_GIVE_UP_S),
    RouteRow(RECEIPT, RelayCarrier),
    RouteRow(ANNOUNCEMENT, lambda seams: seams.announcer.carry),
    RouteRow(LOG, lambda _: write_line),
)


def routes(seams: Seams, rows: tuple[RouteRow, ...] = ROWS) -> Mapping[str, Route]:
    """The table for one service."""
    return {row.kind: Route(row.carrier(seams), row.give_up_of) for row in rows}
