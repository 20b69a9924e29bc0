"""Replies and receipts go to the relays of the service, signed anew when relays would not take their time."""

from __future__ import annotations

from typing import Final

from kitestring.app.service.delivery import OnTaken
from kitestring.app.service.seams import Seams
from kitestring.base.records import Message
from kitestring.nostr.event import read_head
from kitestring.transport.publications import PublishResult
from kitestring.wire.envelope import MAX_AHEAD_S

#: Relays refuse ephemeral events that are older than a minute; the content of an answer never changes.
RESIGN_AFTER_S: Final = 45


class RelayCarrier:
    """Sends answers to all relays. One is taken once a relay has said OK; one without an event has nobody to go to."""

    def __init__(self, seams: Seams) -> None:
        self._pool = seams.pool
        self._wires = seams.wires
        self._clock = seams.clock

    def __call__(self, message: Message, done: OnTaken) -> None:
        if not message.event:
            done(True)
            return
        now = self._clock.now()
        if not -MAX_AHEAD_S <= now - message.signed_at <= RESIGN_AFTER_S:  # further ahead was a clock that stepped back
            message = self._wires.resign(message, now)

        def answered(result: PublishResult) -> None:
            done(result.accepted)

        event = read_head(message.event)
        self._pool.send(event.id, event.pubkey, message.event, answered)
