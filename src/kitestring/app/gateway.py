"""Between the relays and the engine: an event becomes a command, once, and its answer finds the way back.

Nothing here decides about money. A wire costs one row in ``_DOORS``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from kitestring.app.publisher import Publisher
from kitestring.app.rates import Rates
from kitestring.app.wires import Wires
from kitestring.base.commands import MakeInvoice, Outcome, PayInvoice, Refused
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.ports import Backend, Clock, Store
from kitestring.engine.context import Incoming
from kitestring.engine.engine import Engine
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import Accept, Inbox, Lookup
from kitestring.wire import nwc, offers
from kitestring.wire.encryption import choose_cipher
from kitestring.wire.envelope import decrypt
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.reply_to import NWC_KEY_PREFIX, SERVICE_KEY, ReplyTo

log = logging.getLogger("kitestring.gateway")

#: Requests being carried out at once (a task and a few kB each); beyond it new ones are dropped unread: relays and
#: clients send again, and a claimed one is never dropped.
MAX_IN_HAND: Final = 4_096


@dataclass(slots=True)
class Connection:
    """One NWC connection as the request path needs it."""

    grant: Grant
    key_id: str


class Gateway:
    """Reads events for the service key (offers) and for every connection's key (NWC)."""

    def __init__(
        self, *, service_pubkey: str, network: str, wires: Wires, engine: Engine, store: Store, backend: Backend,
        publisher: Publisher, clock: Clock, rates: Rates, nip44_seen: Callable[[Grant], None],
        accept_legacy: bool = True,
    ) -> None:  # fmt: skip
        self._service_pubkey: Final = service_pubkey
        self._network: Final = network
        self._wires: Final = wires
        self._engine: Final = engine
        self._store: Final = store
        self._backend: Final = backend
        self._publisher: Final = publisher
        self._clock: Final = clock
        self._rates: Final = rates
        self._nip44_seen: Final = nip44_seen
        self._accept_legacy: Final = accept_legacy
        self._connections: dict[str, Connection] = {}
        self._inbox: Final = Inbox(self._is_ours, self._is_known)
        self._tasks: Final[set[asyncio.Task[None]]] = set()

    # ------------------------------------------------------------ who may speak

    def set_connections(self, grants: list[Grant]) -> None:
        """The NWC connections from now on. Ended ones stay known: their owners are told so instead of waiting."""
        self._connections = {
            grant.service_pubkey: Connection(grant, NWC_KEY_PREFIX + grant.grant_id)
            for grant in grants
            if grant.wire == "nwc"
        }

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
            log.warning("too many requests in hand: an event from %s is dropped", relay_url)
            return
        verdict = self._inbox.check(event, self._clock.now())
        if isinstance(verdict, Accept):
            self._spawn(event.id, self._serve(event, verdict.recipient))
        elif isinstance(verdict, Lookup):
            self._spawn(event.id, self._serve_late(event, verdict))

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
        if event.kind == kinds.OFFER:
            await self._serve_offer(event)
        else:
            await self._serve_nwc(event, self._connections[recipient])

    # ------------------------------------------------------------ NWC

    async def _serve_nwc(self, event: Event, connection: Connection) -> None:
        grant = connection.grant
        choice = choose_cipher(event, grant.cipher, grant.nip44_seen)
        to = ReplyTo("nwc", connection.key_id, event.pubkey, choice.cipher, event.id, event.created_at)
        try:
            plaintext = decrypt(event.content, choice.cipher, self._shared(to))
        except CodecError:
            readable = Refused(Reason.MALFORMED if choice.allowed else Reason.UNSUPPORTED_ENCRYPTION)
            if self._rates.undecryptable(grant.grant_id, self._now_ms()):
                self._reply(to, readable)
            return
        if not choice.allowed:
            self._reply(to, Refused(Reason.UNSUPPORTED_ENCRYPTION))
            return
        if choice.cipher == "nip44" and not grant.nip44_seen and grant.cipher == "auto":
            self._nip44_seen(grant)
        try:
            decoded = nwc.decode_request(plaintext, network=self._network)
        except WireRefusalError as refusal:
            self._reply(_named(to, refusal.method), refusal.refused)
            return
        await self._carry_out(event, _named(to, decoded.method.name), grant, decoded)

    async def _carry_out(self, event: Event, to: ReplyTo, grant: Grant, decoded: nwc.Decoded) -> None:
        method, command = decoded.method, decoded.command
        limited = self._rates.connection(grant.grant_id, method.is_payment, self._now_ms())
        if limited is not None:
            if not await self._engine.known(event.id):
                self._reply(to, limited)
        elif isinstance(command, PayInvoice | MakeInvoice):
            await self._engine.handle(Incoming(event.id, "nwc", grant.grant_id, command, to.freeze(), event.created_at))
        else:
            self._reply(to, await self._engine.ask(grant.grant_id, command))

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
            limited = self._rates.offer(event.pubkey, request.offer, self._now_ms())
            outcome = limited or await self._price(request)
        except WireRefusalError as refusal:
            outcome = refusal.refused
        except KitestringError as failure:
            outcome = Refused(failure.reason, failure.message)
        if isinstance(outcome, Refused):
            self._reply(to, outcome)
            return
        await self._engine.handle(Incoming(event.id, "offers", "", outcome, to.freeze(), event.created_at))

    async def _price(self, request: offers.OfferRequest) -> MakeInvoice | Refused:
        offer = await self._store.offer(request.offer)
        receivable_msat = await self._engine.receivable()
        return offers.price(offer, request, receivable_msat, amountless=self._backend.capabilities.amountless)

    # ------------------------------------------------------------ late ones

    async def _serve_late(self, event: Event, late: Lookup) -> None:
        """Outside the age window only a stored answer is sent again; otherwise the sender learns about its clock."""
        if await self._engine.known(event.id) or not late.answerable:
            return
        details = {"delta": {"max_delta_ms": 1000 * late.max_delta_s, "actual_delta_ms": 1000 * late.actual_delta_s}}
        refused = Refused(Reason.STALE_REQUEST, "the request is too old or from the future: check the clock", details)
        if event.kind == kinds.OFFER:
            to = ReplyTo("offers", SERVICE_KEY, event.pubkey, "nip44", event.id, event.created_at)
        else:
            connection = self._connections[late.recipient]
            cipher = choose_cipher(event, connection.grant.cipher, connection.grant.nip44_seen).cipher
            to = ReplyTo("nwc", connection.key_id, event.pubkey, cipher, event.id, event.created_at)
        self._reply(to, refused)

    # ------------------------------------------------------------ out

    def _reply(self, to: ReplyTo, outcome: Outcome) -> None:
        """An answer that changes nothing and is not stored; a lost one is made again when the client asks again."""
        encoded = self._wires.encode_to(to, outcome, self._clock.now())
        if encoded is not None:
            self._publisher.send_once(encoded)

    def _shared(self, to: ReplyTo) -> bytes:
        return self._wires.shared(self._wires.key(to.key_id), to.peer, to.cipher)

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)

    async def drain(self, grace_s: float) -> None:
        """Let requests that are being decided finish; what is claimed is the engine's."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace_s)


def _named(to: ReplyTo, method: str) -> ReplyTo:
    return ReplyTo(to.wire, to.key_id, to.peer, to.cipher, to.event_id, to.created_at, method, to.version)
