"""Replies and receipts go to the relays of the service, signed anew when relays would not take their time.

Who is told *no* pays in another way. A ledger that has forgotten the no would pay once more, so it must be found out:
a no leaves when a witness outside knows of it.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from kitestring.app.service.receptions import OnReception, Reception, reception_of
from kitestring.app.service.seams import Seams
from kitestring.base.clocks import AHEAD_S
from kitestring.base.records import Message
from kitestring.nostr.event import read_head
from kitestring.transport.publications import PublishResult

log = logging.getLogger(__name__)

#: Relays refuse ephemeral events that are older than a minute; the content of an answer never changes.
RESIGN_AFTER_S: Final = 45


class RelayCarrier:
    """Sends answers to all relays. One is taken once a relay has said OK; one without an event has nobody to go to."""

    def __init__(self, seams: Seams) -> None:
        self._pool = seams.pool
        self._wires = seams.wires
        self._clock = seams.clock
        self._when_witnessed = seams.when_witnessed

    def __call__(self, message: Message, done: OnReception) -> None:
        if not message.event:
            done(Reception.TAKEN)
        elif not message.is_no:
            self._send(message, done)
        elif not self._when_witnessed(partial(self._send_later, message, done)):
            done(Reception.UNSENT)

    def _send_later(self, message: Message, done: OnReception) -> None:
        try:
            self._send(message, done)
        except Exception:
            log.exception("an answer is not sent yet")
            done(Reception.UNSENT)

    def _send(self, message: Message, done: OnReception) -> None:
        now = self._clock.now()
        if not -AHEAD_S <= now - message.signed_at <= RESIGN_AFTER_S:  # further ahead was a clock that stepped back
            message = self._wires.resign(message, now)

        def answered(result: PublishResult) -> None:
            done(reception_of(result))

        event = read_head(message.event)
        self._pool.send(event.id, event.pubkey, message.event, answered)
