"""Routes of the outbox: a table, one row per kind of message, one rule in it for each reception of an attempt.

A carrier is made from the :class:`Seams` of the service and sends one message; a new one is a file of its own and a row
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kitestring.app.service.announcer import ANNOUNCEMENT
from kitestring.app.service.delivery import Route
from kitestring.app.service.log_carrier import write_line
from kitestring.app.service.receptions import ALWAYS, DONE, OnReception, Reception, Rule, Rules, until_taken
from kitestring.app.service.relay_carrier import RelayCarrier
from kitestring.app.service.seams import Seams
from kitestring.app.service.zap_carrier import ZAP, ZapCarrier
from kitestring.base.records import LOG, NOTIFICATION, RECEIPT, REPLY, Message
from kitestring.base.store import LONGEST_RETRY_S

Carry = Callable[[Message, OnReception], None]

#: Nobody waits longer for a reply: who comes later asks again, and gets the stored one.
REPLY_GIVE_UP_S: Final = 600
#: An app that was away for longer looks for itself what has happened.
NOTIFICATION_GIVE_UP_S: Final = 86_400
#: A receipt that found nobody listening is tried for so long: its payer may be between two connections.
RECEIPT_UNHEARD_S: Final = 600
#: A receipt that its relays have not taken for so long is news for nobody. They are relays that a stranger has named,
#: for one sat, and each attempt dials all of them.
ZAP_GIVE_UP_S: Final = 86_400
ZAP_PAUSES_S: Final = (5, 60, LONGEST_RETRY_S)

#: To be sent, and heard or lost: a relay that had it on a live connection is not given it again. Many confirm nothing
#: of a kind that they do not keep; the pool has sent it three times by then.
REPLY_RULES: Final[Rules] = {
    Reception.TAKEN: DONE,
    Reception.UNHEARD: DONE,
    Reception.SILENT: DONE,
    Reception.REFUSED: Rule(REPLY_GIVE_UP_S),
    Reception.UNSENT: Rule(REPLY_GIVE_UP_S),
}
#: A proof of payment is tried until some relay was there and did not refuse it.
RECEIPT_RULES: Final[Rules] = {
    Reception.TAKEN: DONE,
    Reception.UNHEARD: Rule(RECEIPT_UNHEARD_S),
    Reception.SILENT: DONE,
    Reception.REFUSED: ALWAYS,
    Reception.UNSENT: ALWAYS,
}
#: As a reply, to somebody who does not wait for it and may come back tomorrow.
NOTIFICATION_RULES: Final[Rules] = {
    Reception.TAKEN: DONE,
    Reception.UNHEARD: DONE,
    Reception.SILENT: DONE,
    Reception.REFUSED: Rule(NOTIFICATION_GIVE_UP_S),
    Reception.UNSENT: Rule(NOTIFICATION_GIVE_UP_S),
}


@dataclass(frozen=True, slots=True)
class RouteRow:
    """The way out of one kind of message. Without rules it is tried until it is taken."""

    kind: str
    carrier: Callable[[Seams], Carry]
    rules: Rules = field(default_factory=until_taken)


ROWS: Final = (
    RouteRow(REPLY, RelayCarrier, REPLY_RULES),
    RouteRow(RECEIPT, RelayCarrier, RECEIPT_RULES),
    RouteRow(NOTIFICATION, lambda seams: seams.notifier.carry, NOTIFICATION_RULES),
    RouteRow(ANNOUNCEMENT, lambda seams: seams.announcer.carry),
    RouteRow(LOG, lambda _: write_line),
    RouteRow(ZAP, lambda seams: ZapCarrier(seams).carry, until_taken(Rule(ZAP_GIVE_UP_S, ZAP_PAUSES_S))),
)


def routes(seams: Seams, rows: tuple[RouteRow, ...] = ROWS) -> Mapping[str, Route]:
    """The table for one service."""
    return {row.kind: Route(row.carrier(seams), row.rules) for row in rows}
