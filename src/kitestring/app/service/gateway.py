"""Between the relays and the engine: an event becomes a command, once, and its answer finds the way back.

Nothing here decides about money.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from kitestring.app.service.rates import Rates
from kitestring.app.service.served import Served
from kitestring.app.service.wires import Wires
from kitestring.base.commands import MakeInvoice, PayInvoice
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.ports import Clock, Encoded
from kitestring.engine.context import Incoming
from kitestring.engine.engine import Engine
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import Accept, Inbox, Lookup
from kitestring.wire.encryption import allowed_ciphers, choose_cipher
from kitestring.wire.envelope import decrypt
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.reply_to import NWC_KEY_PREFIX, SERVICE_KEY, ReplyTo
from kitestring.wire.serve import nwc, offers

log = logging.getLogger("kitestring.gateway")

#: Requests being carried out at once (a task and a few kB each); beyond it new ones are dropped unread: relays and
#: clients send again, and a claimed one is never dropped.
MAX_IN_HAND: Final = 4_096
#: Seconds between two lines in the log about what was dropped unread: a flood must not fill the disk.
DROPPED_LINE_S: Final = 60.0


@dataclass(slots=True)
class Connection:
    """One NWC connection as the request path needs it."""

    grant: Grant
    key_id: str


class Gateway:
    """Reads events for the service key (offers) and for every connection's key (NWC)."""

    def __init__(
        self, *, service_pubkey: str, network: str, wires: Wires, engine: Engine,
        send_once: Callable[[Encoded], None], clock: Clock, rates: Rates, nip44_seen: Callable[[Grant], None],
        accept_legacy: bool = True,
    ) -> None:  # fmt: skip
        self._service_pubkey: Final = service_pubkey
        self._network: Final = network
        self._wires: Final = wires
        self._engine: Final = engine
        self._send_once: Final = send_once
        self._clock: Final = clock
        self._rates: Final = rates
        self._nip44_seen: Final = nip44_seen
        self._accept_legacy: Final = accept_legacy
        self._connections: dict[str, Connection] = {}
        self._inbox: Final = Inbox(self._is_ours, self._is_known)
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._served: Final = Served(clock)
        self._looked_up: Final = Served(clock)
        self._dropped = 0
        self._dropped_line_due = 0.0

    # ------------------------------------------------------------ who may speak

    def set_connection(self, grant: Grant) -> None:
        """Serve a connection as it is from now on. An ended one stays known: its app is told so instead of waiting."""
        self._connections[grant.service_pubkey] = Connection(grant, NWC_KEY_PREFIX + grant.grant_id)

    def keys(self) -> list[str]:
        """The public keys requests are addressed to."""
        return [self._service_pubkey, *self._connections]

    def _is_ours(self, key: str) -> bool:
        return key == self._service_pubkey or key in self._connections

    def _is_known(self, kind: int, recipient: str, author: str) -> bool:
        if kind == kinds.OFFER:
            return recipient == self._service_pubkey
        connection = self._connections.get(recipient)
        return kind == kinds.NWC_REQUEST and connection is not None and connection.grant.caller == author

    # ------------------------------------------------------------ in

    def receive(self, event: Event, relay_url: str) -> None:
        """Called by the relay pool for every event; never blocks, never raises for what a peer sent."""
        if len(self._tasks) >= MAX_IN_HAND:
            self._drop(relay_url)
            return
        verdict = self._inbox.check(event, self._clock.now())
        if isinstance(verdict, Accept):
            self._spawn(event.id, self._serve(event, verdict.recipient))
        elif isinstance(verdict, Lookup):
            self._spawn(event.id, self._serve_late(event, verdict))

    def _drop(self, relay_url: str) -> None:
        self._dropped += 1
        now = self._clock.monotonic()
        if now >= self._dropped_line_due:
            log.warning("too many requests in hand: %d were dropped, the last from %s", self._dropped, relay_url)
            self._dropped, self._dropped_line_due = 0, now + DROPPED_LINE_S

    def _spawn(self, event_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._inbox.done(event_id)

        task.add_done_callback(done)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """One request's failure is its own: it is logged, nothing was half done, the service goes on."""
        try:
            await work
        except KitestringError as failure:
            log.warning("a request was not carried out: %s", failure.message)
        except Exception:
            log.exception("a request ended in an unexpected error")

    async def _serve(self, event: Event, recipient: str) -> None:
        """Whoever asks again gets the stored answer, whatever rates or prices are now; a copy of what has no stored
        answer was answered once and gets nothing more. After a restart the claim itself meets the stored answer, and
        nothing is refused before it was looked for."""
        if event.id in self._served:
            await self._engine.known(event.id)
        elif event.kind == kinds.OFFER:
            if not await self._engine.known(event.id):
                await self._serve_offer(event)
        else:
            await self._serve_nwc(event, self._connections[recipient])

    async def _handle(self, incoming: Incoming) -> None:
        await self._engine.handle(incoming)
        self._served.add(incoming.request_id)

    # ------------------------------------------------------------ NWC

    async def _serve_nwc(self, event: Event, connection: Connection) -> None:
        grant = connection.grant
        choice = choose_cipher(event, grant.cipher, grant.nip44_seen)
        to = ReplyTo("nwc", connection.key_id, event.pubkey, choice.cipher, event.id, event.created_at)
        try:
            plaintext = decrypt(event.content, choice.cipher, self._shared(to))
        except CodecError:
            if not await self._engine.known(event.id):
                self._tell_unreadable(event, connection, allowed=choice.allowed)
            return
        limited = self._rates.request(grant.grant_id)
        if (limited is not None or not choice.allowed) and await self._engine.known(event.id):
            return
        if limited is not None:
            self._tell_limit(to, grant, nwc.read_method(plaintext), limited)
            return
        if not choice.allowed:
            self._reply(to, Refused(Reason.UNSUPPORTED_ENCRYPTION))
            return
        if choice.cipher == "nip44" and not grant.nip44_seen and grant.cipher == "auto":
            self._nip44_seen(grant)
        try:
            decoded = nwc.decode_request(plaintext, network=self._network)
        except WireRefusalError as refusal:
            if not await self._engine.known(event.id):
                self._reply(_named(to, refusal.method), refusal.refused)
            return
        await self._carry_out(event, _named(to, decoded.method.name), grant, decoded)

    async def _carry_out(self, event: Event, to: ReplyTo, grant: Grant, decoded: nwc.Decoded) -> None:
        method, command = decoded.method, decoded.command
        limited = self._rates.payment(grant.grant_id) if method.is_payment else None
        if limited is not None:
            if not await self._engine.known(event.id):
                self._tell_limit(to, grant, method.name, limited)
        elif isinstance(command, PayInvoice | MakeInvoice):
            await self._handle(Incoming(event.id, "nwc", grant.grant_id, command, to.freeze(), event.created_at))
        else:
            self._reply(to, await self._engine.ask(grant.grant_id, command))

    def _tell_limit(self, to: ReplyTo, grant: Grant, method: str, limited: Refused) -> None:
        if self._rates.may_tell_limit(grant.grant_id):
            self._reply(_named(to, method), limited)

    def _tell_unreadable(self, event: Event, connection: Connection, *, allowed: bool) -> None:
        """In the connection's preferred cipher: what the tag says about a text nobody can read proves nothing."""
        grant = connection.grant
        cipher = allowed_ciphers(grant.cipher, grant.nip44_seen)[0] if allowed else "nip44"
        if self._rates.may_tell_undecryptable(grant.grant_id):
            to = ReplyTo("nwc", connection.key_id, event.pubkey, cipher, event.id, event.created_at)
            self._reply(to, Refused(Reason.MALFORMED if allowed else Reason.UNSUPPORTED_ENCRYPTION))

    # ------------------------------------------------------------ offers

    async def _serve_offer(self, event: Event) -> None:
        to = ReplyTo("offers", SERVICE_KEY, event.pubkey, "nip44", event.id, event.created_at)
        try:
            plaintext = decrypt(event.content, "nip44", self._shared(to))
        except CodecError:
            return  # CLINK answers what it cannot read with silence
        try:
            version = offers.read_version(event, accept_legacy=self._accept_legacy)
            to = ReplyTo("offers", SERVICE_KEY, event.pubkey, "nip44", event.id, event.created_at, version=version)
            request = offers.decode_request(plaintext, version=version)
        except WireRefusalError as refusal:
            if self._rates.may_tell_stranger(event.pubkey):
                self._reply(to, refusal.refused)
            return
        limited = self._rates.offer(event.pubkey, request.offer_id)
        if limited is not None:
            if self._rates.may_tell_stranger_limit(event.pubkey):
                self._reply(to, limited)
            return
        await self._handle(Incoming(event.id, "offers", "", request, to.freeze(), event.created_at))

    # ------------------------------------------------------------ late ones

    async def _serve_late(self, event: Event, late: Lookup) -> None:
        """Too old, from the future or expired: only a stored answer is sent again; otherwise the sender learns about
        its clock. Relays that keep requests show all of them at every reconnect: that is looked at once."""
        if event.id in self._looked_up:
            return
        known = await self._engine.known(event.id)
        self._looked_up.add(event.id)
        if known or not late.answerable or event.id in self._served:
            return
        details = {"delta": {"max_delta_ms": 1000 * late.max_delta_s, "actual_delta_ms": 1000 * late.actual_delta_s}}
        refused = Refused(Reason.STALE_REQUEST, "the request is too old or from the future: check the clock", details)
        if event.kind == kinds.OFFER:
            self._tell_stale_offer(event, refused)
        else:
            self._tell_stale_nwc(event, self._connections[late.recipient], refused)

    def _tell_stale_offer(self, event: Event, refused: Refused) -> None:
        if self._rates.may_tell_stranger(event.pubkey):
            self._reply(ReplyTo("offers", SERVICE_KEY, event.pubkey, "nip44", event.id, event.created_at), refused)

    def _tell_stale_nwc(self, event: Event, connection: Connection, refused: Refused) -> None:
        grant = connection.grant
        if self._rates.may_tell_stale(grant.grant_id):
            choice = choose_cipher(event, grant.cipher, grant.nip44_seen)
            cipher = choice.cipher if choice.allowed else "nip44"
            self._reply(ReplyTo("nwc", connection.key_id, event.pubkey, cipher, event.id, event.created_at), refused)

    # ------------------------------------------------------------ out

    def _reply(self, to: ReplyTo, outcome: Outcome) -> None:
        """An answer that changes nothing and is not stored; a lost one is made again for a client's new request."""
        self._served.add(to.event_id)
        encoded = self._wires.encode_to(to, outcome, self._clock.now())
        if encoded is not None:
            self._send_once(encoded)

    def _shared(self, to: ReplyTo) -> bytes:
        return self._wires.shared(self._wires.key(to.key_id), to.peer, to.cipher)

    async def drain(self, grace_s: float) -> None:
        """Let requests that are being decided finish; what is claimed is the engine's."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace_s)


def _named(to: ReplyTo, method: str) -> ReplyTo:
    return ReplyTo(to.wire, to.key_id, to.peer, to.cipher, to.event_id, to.created_at, method, to.version)
