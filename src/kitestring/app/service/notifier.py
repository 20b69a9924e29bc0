"""Apps hear of payments that they are shown, unasked: notifications on their way to the relays.

A message of the outbox only says what of. The grant and the payment are looked up at each attempt: who was revoked
meanwhile hears nothing, and the app is spoken to in the cipher that it uses by then. The event is signed anew each
time, so none is ever too old for a relay.

Replies go first: notifications are worked on one by one, with a turn for others in between, and what is beyond
:data:`MAX_WAITING` waits in the ledger, where it keeps nobody else waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from typing import Final

from kitestring.app.service.background import Background
from kitestring.app.service.kept_relays import is_living
from kitestring.app.service.receptions import OnReception, Reception, reception_of
from kitestring.app.service.seldom import Seldom
from kitestring.app.service.wires import Wires
from kitestring.base.errors import KitestringError
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Direction, Transaction
from kitestring.base.ports import Clock, Encoded
from kitestring.base.records import NOTIFICATION, Message
from kitestring.base.store import Reads
from kitestring.ledger.shown import incoming, outgoing
from kitestring.nostr.event import read_head
from kitestring.transport.publications import PublishResult
from kitestring.transport.relays import RelayPool
from kitestring.wire.grammar import Notifying
from kitestring.wire.registry import NOTIFYING

log = logging.getLogger(__name__)

#: Events of the feed that any wire tells of.
NOTIFIED: Final = frozenset(row.event for wire in NOTIFYING.values() for row in wire.types.values())
#: Notifications in hand (about 1 kB each). They take that many of the 5,000 places of the outbox's first attempts, so
#: that replies always find one.
MAX_WAITING: Final = 1_000
#: Of these on their way to the relays at once: a relay that confirms nothing holds each for half a minute.
MAX_SENT: Final = 256


def notification(event: FeedEvent, grant: Grant, now: int) -> Iterator[Message]:
    """The message for the connection ``grant`` about an event that it may see, if it may be told: at most one for each
    type and payment, because each becomes true once."""
    is_more = event.kind is EventKind.RECEIVED and event.detail  # a second payment of an invoice, or of none of ours
    wire = NOTIFYING.get(grant.wire)
    name = wire.name(grant, event.kind) if wire is not None and not is_more and _is_told(grant, now) else ""
    if name:
        yield Message("", NOTIFICATION, f"{name} {event.subject}".encode(), b"", now, grant.grant_id.encode())


class Notifier:
    """Carries notifications. One is taken when a relay has taken it, or nobody is to be told any more."""

    def __init__(self, pool: RelayPool, store: Reads, wires: Wires, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._wires = wires
        self._clock = clock
        self._waiting: deque[tuple[Message, OnReception]] = deque()
        self._sent = 0  # events whose reception is not known yet
        self._room = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._background = Background(clock)
        self._log = Seldom(log, clock)

    async def stop(self) -> None:
        """End what is in hand: the outbox has it for the next start."""
        await self._background.cancel()

    def carry(self, message: Message, done: OnReception) -> None:
        """Send it in its turn. Where no relay is there, or too many wait, it is tried again later."""
        if len(self._waiting) + self._sent >= MAX_WAITING or not self._pool.connected_urls():
            done(Reception.UNSENT)
            return
        self._waiting.append((message, done))
        if self._work is None or self._work.done():
            self._work = self._background.spawn(self._send_all())

    async def _send_all(self) -> None:
        while self._waiting:
            while self._sent >= MAX_SENT:
                self._room.clear()
                await self._room.wait()
            message, done = self._waiting.popleft()
            try:
                self._send(await self._events(message), done)
            except KitestringError as failure:
                self._log.warning("a notification is not sent yet: %s", failure.message)
                done(Reception.UNSENT)
            except Exception:  # noqa: BLE001 - not hidden: it is logged, and the outbox tries again
                self._log.exception("a notification is not sent yet")
                done(Reception.UNSENT)
            await self._clock.sleep(0)

    def _send(self, events: list[Encoded], done: OnReception) -> None:
        """Send all of them; the best reception of any is theirs."""
        if not events:
            done(Reception.TAKEN)
        receptions: list[Reception] = []

        def answered(result: PublishResult) -> None:
            receptions.append(reception_of(result))
            self._sent -= 1
            self._room.set()
            if len(receptions) == len(events):
                done(min(receptions, key=list(Reception).index))

        for encoded in events:
            head = read_head(encoded.event)
            self._sent += 1
            self._pool.send(head.id, head.pubkey, encoded.event, answered)

    async def _events(self, message: Message) -> list[Encoded]:
        """The signed events, one for each cipher that the app may read; none where nobody is to be told."""
        name, _, subject = message.plaintext.decode().partition(" ")
        grant, now = await self._store.grant(message.address.decode()), self._clock.now()
        wire = None if grant is None else NOTIFYING.get(grant.wire)
        if grant is None or wire is None or not _may_hear(grant, wire, name, now):
            return []
        record = await self._record(wire.types[name].direction, subject)
        if record is None or not grant.sees(record.connection_id, record.account):
            return []
        plaintext = wire.write(name, record)
        return [self._wires.notify(grant, wire.kinds[cipher], cipher, plaintext, now) for cipher in wire.ciphers(grant)]

    async def _record(self, direction: Direction, subject: str) -> Transaction | None:
        if direction is Direction.INCOMING:
            invoice = await self._store.invoice(subject)
            return None if invoice is None else incoming(invoice)
        payment = await self._store.payment(subject)
        return None if payment is None else outgoing(payment)


def _may_hear(grant: Grant, wire: Notifying, name: str, now: int) -> bool:
    row = wire.types.get(name)
    return row is not None and row.permission in grant.methods and _is_told(grant, now)


def _is_told(grant: Grant, now: int) -> bool:
    """Whether its app hears of anything now. What came while it was paused is told by its list of payments alone."""
    return grant.paused_at is None and is_living(grant, now)
