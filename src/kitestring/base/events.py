"""The feed: one row for everything that became true, written in the transaction that made it true.

Rows are numbered without a gap per service, in the order of the commits. Consumers read them by number and keep their
own position, so that none is lost over a crash; nothing else carries news.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

#: More rows than this are not kept (about 150 bytes each): a million payments, or the refusals of a long fault. What is
#: older than a month goes as well (the service's housekeeping); a consumer that was away is told how many it missed.
MAX_EVENTS: Final = 1_000_000
#: Messages about no request that are kept in the outbox, sent or not: the oldest are forgotten first.
MAX_NOTICES: Final = 100_000
#: Of these, alarms that are kept although more was told since: an app that is paid often does not push them out.
MAX_ALARMS: Final = 1_000
#: Consumers with a stored position: notices and webhooks have one each, views of people have none.
MAX_CONSUMERS: Final = 256


class EventKind(StrEnum):
    """The kinds of things that become true. The subject is named beside each."""

    SETTLED = "settled"  # payment
    FAILED = "failed"  # payment
    RESOLVED = "resolved"  # payment, closed by the operator without proof
    RECEIVED = "received"  # invoice, or the payment hash of what came for none of ours
    ZAPPED = "zapped"  # invoice that answers a zap request, beside its RECEIVED
    ACCEPTED = "accepted"  # hold invoice whose payment is held; ``detail`` is the height of its deadline in decimal
    CANCELED = "canceled"  # invoice, by a decision; hold invoice, because the node has given back what it held
    EXPIRED = "expired"  # invoice of a grant; what a stranger asked for and never paid leaves no row
    GRANTED = "granted"  # grant
    CHANGED = "changed"  # grant
    REVOKED = "revoked"  # grant
    ASKED = "asked"  # approval
    DECIDED = "decided"  # approval, however it ended; ``detail`` is its state
    ALARM = "alarm"  # account or service; ``detail`` is the sentence
    ALLOWED = "allowed"  # spending; ``detail`` is the sentence


#: Changes of a grant: caches forget it, and its connection is announced anew.
GRANT_CHANGES: Final = frozenset({EventKind.GRANTED, EventKind.CHANGED, EventKind.REVOKED})


class FeedEvent(msgspec.Struct, frozen=True, gc=False):
    """One row. ``subject`` is the id of what it is about, ``grant_id`` and ``account_id`` whose it is ("" for none).

    ``at`` is Unix seconds by the clock of whoever asked for the transaction; order is by ``number`` alone.
    """

    number: int
    at: int
    kind: EventKind
    subject: str
    grant_id: str = ""
    account_id: str = ""
    detail: str = ""


class Missed(msgspec.Struct, frozen=True, gc=False):
    """Said once, in place of rows that were forgotten before this consumer came. ``number`` is the last of them."""

    number: int
    count: int
