"""Telling a server what its offer was paid: one delivery for each settled invoice, and what it may cost us.

A delivery is written by the transaction that settles the invoice, where the offer has a webhook then. It has the id of
the invoice, so that there is one and the receiver can tell a repetition.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

#: Deliveries of one offer, and of all offers that one app has made, that wait at once: those beyond have failed from
#: the start, stay visible and can be sent again.
MAX_WAITING: Final = 1_000
MAX_WAITING_OF_CREATOR: Final = 2_000
#: Seconds before a delivery is tried again; the last one is repeated. About thirty attempts in a day.
PAUSES_S: Final = (2, 10, 60, 300, 900, 1_800, 3_600)
#: Seconds after its first attempt until a delivery is given up.
GIVE_UP_S: Final = 86_400
#: Seconds between two alarms about one offer.
ALARM_AGAIN_S: Final = 86_400
#: Seconds that a failed delivery can still be seen and sent again, and how many there are at most. One that was
#: delivered is forgotten with its event in the feed.
KEEP_FAILED_S: Final = 90 * 86_400
MAX_FAILED: Final = 10_000
#: Failed deliveries that one command sends again.
MAX_SENT_AGAIN: Final = 1_000
#: Of the sentence about the last attempt.
MAX_STATUS_CHARS: Final = 200
#: Of the address, or of the template of one.
MAX_WEBHOOK_CHARS: Final = 2_048


class DeliveryState(StrEnum):
    """The end of a delivery, or none yet."""

    WAITING = "waiting"
    DELIVERED = "delivered"  # the receiver has answered 2xx
    FAILED = "failed"  # given up; it can be sent again


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One delivery. ``event`` is the number of the feed that tells the settlement; ``status`` says what came of the
    last attempt, "" before the first. Times are Unix seconds. ``tried_since`` is the first attempt since it was written
    or sent again, and ``attempts`` are counted from there."""

    invoice_id: str
    offer_id: str
    creator: str
    event: int
    created_at: int
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    tried_since: int | None = None
    next_at: int = 0
    status: str = ""
    ended_at: int | None = None


class WebhookLane(msgspec.Struct, frozen=True, gc=False):
    """The waiting deliveries of one offer in short: when the next is due, and the most attempts that one has behind
    it."""

    next_at: int
    attempts: int


class WebhookAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to one attempt: ``state`` is waiting where it is worth another one."""

    state: DeliveryState
    status: str


def after(delivery: WebhookDelivery, attempt: WebhookAnswer, now: int) -> WebhookDelivery:
    """The delivery after an attempt that ended at ``now``."""
    since = now if delivery.tried_since is None else delivery.tried_since
    is_over = attempt.state is DeliveryState.WAITING and now - since >= GIVE_UP_S
    state = DeliveryState.FAILED if is_over else attempt.state
    pause_s = PAUSES_S[min(delivery.attempts, len(PAUSES_S) - 1)]
    return msgspec.structs.replace(
        delivery, state=state, attempts=delivery.attempts + 1, tried_since=since, next_at=now + pause_s,
        status=attempt.status[:MAX_STATUS_CHARS], ended_at=None if state is DeliveryState.WAITING else now,
    )  # fmt: skip
