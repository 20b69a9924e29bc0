"""The feed of events, the outbox, and the deliveries to webhooks."""

from __future__ import annotations

import msgspec

from kitestring.base.events import MAX_ALARMS, MAX_EVENTS, MAX_NOTICES, FeedEvent
from kitestring.base.records import Message, Outgoing
from kitestring.base.transactions.answers import Done, More, Tx
from kitestring.base.webhooks import WebhookDelivery


class ForgetNews(Tx[Done | More], frozen=True):
    """Forget events and messages about no request that are more than ``keep_s`` seconds older than ``now``, or than the
    newest of their sort if that is earlier, and the oldest of more than ``max_events`` and ``max_notices``. Of what is
    forgotten for being too many, the newest ``max_alarms`` lines of the log stay.

    Of the events only the oldest go, by number, up to the first that is to stay. A message that may still be sent
    stays, unless there are too many. A delivery to a webhook goes after its event: one that has failed stays for
    :data:`~kitestring.base.webhooks.KEEP_FAILED_S`, the newest :data:`~kitestring.base.webhooks.MAX_FAILED` of them.
    More: some were forgotten, and there may be others.
    """

    now: int
    keep_s: int
    max_events: int = MAX_EVENTS
    max_notices: int = MAX_NOTICES
    max_alarms: int = MAX_ALARMS


class MarkSent(Tx[Done], frozen=True):
    """Delivery of the outbox has come so far: every message up to ``position`` was tried. Of those, ``again`` are to be
    tried again at a time (number, failed attempts, Unix seconds), and ``ended`` no longer; the others were taken.

    A ``position`` behind the stored one leaves it: it never goes back.
    """

    position: int
    again: tuple[tuple[int, int, int], ...] = ()
    ended: tuple[int, ...] = ()


class Tell(Tx[Done], frozen=True):
    """A consumer's step: it has seen all events up to ``position`` and this is what they mean to others. Position and
    messages are one commit, so that over a crash no event is lost and none is told twice.

    A ``position`` that is not beyond the stored one stores nothing.
    """

    consumer: str
    position: int
    now: int
    messages: tuple[Message, ...] = ()


class NoteAttempt(Tx[Done], frozen=True):
    """The end of one attempt to tell a webhook: ``delivery`` is how it stands now. It counts only where the delivery
    waits with one attempt less: one that was sent again meanwhile begins anew.

    One that fails is told as an alarm (``why``), unless an app has made the offer, or one of it has failed in the last
    :data:`~kitestring.base.webhooks.ALARM_AGAIN_S` seconds.
    """

    delivery: WebhookDelivery
    now: int
    why: str = ""


class Committed(msgspec.Struct, frozen=True):
    """The news of one commit: its rows of the outbox and of the feed, in their order, and the offers whose webhooks
    have something to be told now."""

    outgoing: tuple[Outgoing, ...]
    events: tuple[FeedEvent, ...]
    webhooks: tuple[str, ...] = ()
