"""The running service, apart from its directory and its doors: the only place where all parts are wired together."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.announcer import AGAIN_S, MISSING_S, Announcer
from kitestring.app.service.delivery import Delivery
from kitestring.app.service.execute import Result, execute
from kitestring.app.service.gateway import Gateway
from kitestring.app.service.node_words import in_its_words, told
from kitestring.app.service.owner_wire import CONTROL, decode_control
from kitestring.app.service.rates import Rates
from kitestring.app.service.routes import routes
from kitestring.app.service.seams import Seams
from kitestring.app.service.waiters import Waiters
from kitestring.app.service.wires import Wires
from kitestring.backend.registry import open_backend
from kitestring.base.commands import AnyCommand, Journaled
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Grant
from kitestring.base.node import Backend
from kitestring.base.outcomes import Outcome
from kitestring.base.ports import Clock, Encoded, Entropy
from kitestring.base.records import Message, Node, NodeView
from kitestring.base.store import Store
from kitestring.base.transactions import More, Prune, SaveGrant, SaveNode, Write
from kitestring.client.offers import ask_offer
from kitestring.codec.bolt11 import Invoice
from kitestring.codec.pointers import Noffer
from kitestring.engine.context import Context, Incoming
from kitestring.engine.engine import Engine
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.nostr import kinds
from kitestring.nostr.event import read_head
from kitestring.nostr.filter import Filter
from kitestring.transport.publications import PublishResult
from kitestring.transport.relays import PoolOptions, RelayPool
from kitestring.transport.subscriptions import Subscription

log = logging.getLogger("kitestring")

#: Seconds that what is in flight gets at a stop; the rest is recovered at the next start.
GRACE_S: Final = 10.0
#: Seconds for the last answers to leave.
DRAIN_S: Final = 2.0
#: Requests up to this age get an answer, be it that they are too old (protocols: a day for connections).
LISTEN_BACK_S: Final = 86_400
#: Requests that may still be carried out are wanted without a number: their age window. Our own relay gives all it has
#: of them; a foreign one may cap what it gives, and then a client without an answer sends its request again.
LISTEN_FRESH_S: Final = 300
#: Of older ones only the newest, per REQ: a relay that keeps them all would flood the service at every reconnect.
LISTEN_BACK_EVENTS: Final = 500
#: Finished requests and replies are kept this long (protocols: at least 7 days for money).
KEEP_REQUESTS_S: Final = 30 * 86_400
PRUNE_EVERY_S: Final = 86_400
REQUEST_KINDS: Final = frozenset({kinds.OFFER, kinds.NWC_REQUEST})


@dataclass(frozen=True, slots=True)
class Place:
    """Where one service keeps its things: the ledger, the directory of the sandbox, and the relays in its codes.

    Every public key that the service writes with is put into ``own_keys``: its own relay has room for these always.
    """

    ledger: Path
    data_dir: Path
    relays: tuple[str, ...]
    own_keys: set[str] = field(default_factory=set)


class Core:
    """The desk of a running service. Make one with :meth:`open`, then :meth:`start` and :meth:`stop`."""

    def __init__(
        self, config: Config, place: Place, keyring: Keyring, store: Store, backend: Backend, node: Node,
        clock: Clock, entropy: Entropy,
    ) -> None:  # fmt: skip
        self.config: Final = config
        self.keyring: Final = keyring
        self.store: Final = store
        self.backend: Final = backend
        self.clock: Final = clock
        self.entropy: Final = entropy
        self._place: Final = place
        self._node: Final = node
        options = PoolOptions(config.proxies, config.allow_private_relays)
        signers = {keyring.service_id: keyring.service_key}
        self.pool: Final = RelayPool(place.relays, clock=clock, entropy=entropy, signers=signers, options=options)
        self._signers: Final = signers
        wires = Wires(keyring, entropy)
        self.waiters: Final = Waiters()
        self.delivery: Final = Delivery(store, clock, routes(Seams(self.pool, store, wires, clock)))
        store.subscribe(self.waiters.hear)
        store.subscribe(self.delivery.hear)
        self.engine: Final = Engine(
            Context(store, backend, node, clock, entropy, wires.encode, self._deliver, config.limits)
        )
        self.gateway: Final = Gateway(
            service_pubkey=keyring.service_id, network=node.network, wires=wires, engine=self.engine, store=store,
            backend=backend, send_once=self._send_unstored, clock=clock, rates=Rates(config.rates, clock),
            nip44_seen=self._on_nip44, accept_legacy=config.accept_legacy_offers,
        )  # fmt: skip
        self._announcer: Final = Announcer(self.pool, keyring, clock, entropy)
        self._requests: Subscription | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._upgrades: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ life

    @classmethod
    async def open(cls, config: Config, place: Place, keyring: Keyring, *, clock: Clock, entropy: Entropy) -> Core:
        """Open ledger and node. Raises KitestringError: no node, a ledger that cannot be used."""
        backend = open_backend(
            config.node_url, clock=clock, entropy=entropy, data_dir=place.data_dir, environment=config.environment
        )
        async with AsyncExitStack() as opened:
            opened.push_async_callback(backend.close)
            await told(backend.open())
            cache_kib = config.ledger_cache_mib * 1_024
            store = await SqliteStore.open(place.ledger, keyring.service_id, cache_kib=cache_kib)
            opened.push_async_callback(store.close)
            node = await _know_node(config, store, backend)
            core = cls(config, place, keyring, store, backend, node, clock, entropy)
            opened.pop_all()
        return core

    async def start(self) -> None:
        """Connect, recover, listen. Returns when requests are being served; relays may connect later."""
        grants = await self._nwc_grants()
        self.gateway.set_connections(grants)
        self._know_keys(grants)
        await self.pool.start()
        await self.engine.start()
        await self.delivery.start()
        self._requests = self.pool.subscribe(
            "requests", self._request_filters, self.gateway.receive, keys=self.gateway.keys()
        )
        loop = asyncio.get_running_loop()
        self._loops = [loop.create_task(self._announce_loop()), loop.create_task(self._prune_loop())]

    async def listening(self, timeout_s: float) -> bool:
        """Whether a relay has taken our subscription within ``timeout_s`` seconds."""
        until = self.clock.monotonic() + timeout_s
        while self._requests is None or not self._requests.live_on():
            if self.clock.monotonic() > until:
                return False
            await self.clock.sleep(0.02)
        return True

    async def stop(self, grace_s: float = GRACE_S) -> int:
        """Finish what is in flight within ``grace_s``; returns how many payments stay open for the next start.

        Whatever fails on the way, and however far the start came: everything is closed.
        """
        until = self.clock.monotonic() + grace_s
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.backend.close)
            closing.push_async_callback(self.store.close)
            closing.push_async_callback(self.pool.stop)
            closing.push_async_callback(self.delivery.stop, DRAIN_S, lambda: bool(self.pool.connected_urls()))
            if self._requests is not None:
                self._requests.close()
            aside = (*self._loops, *self._upgrades)
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
            await self.gateway.drain(grace_s)
            left = await self.engine.stop(max(0.0, until - self.clock.monotonic()))
        return left  # noqa: RET504 - inside, the end of the stack would seem to swallow errors

    def _deliver(self, messages: tuple[Message, ...]) -> None:
        """Answers beside the outbox: stored ones that are asked for again, and those that nobody stores."""
        self.waiters.tell(messages)
        self.delivery.send_once(messages)

    def _send_unstored(self, answer: Encoded) -> None:
        """The pool's own retries are all it gets, and who misses it asks again."""
        event = read_head(answer.event)
        self.pool.send(event.id, event.pubkey, answer.event, _unheeded)

    # ------------------------------------------------------------ connections

    async def _nwc_grants(self) -> list[Grant]:
        return [grant for grant in await self.store.grants() if grant.wire == "nwc"]

    def _know_keys(self, grants: Sequence[Grant]) -> None:
        for grant in grants:
            key = self.keyring.connection_key(grant.grant_id)
            self._signers[key.public_hex] = key
        self._place.own_keys.update(self._signers)

    async def grants_changed(self) -> None:
        """Serve the connections as they are stored now; new ones are announced and read back before this returns."""
        grants = await self._nwc_grants()
        self._know_keys(grants)
        self.gateway.set_connections(grants)
        if self._requests is not None:
            self._requests.add_keys(self.gateway.keys())
        fresh = await self._announcer.publish_changed(grants)
        await self._announcer.read_back(fresh)

    def _request_filters(self, keys: Sequence[str]) -> list[Filter]:
        now, tags = self.clock.now(), {"p": frozenset(keys)}
        fresh, oldest = now - LISTEN_FRESH_S, now - LISTEN_BACK_S
        return [
            Filter(kinds=REQUEST_KINDS, tags=tags, since=fresh),
            Filter(kinds=REQUEST_KINDS, tags=tags, since=oldest, until=fresh - 1, limit=LISTEN_BACK_EVENTS),
        ]

    async def _announce_loop(self) -> None:
        while not await self.pool.connected():
            log.warning("no relay is connected: connections are announced as soon as one is")
        rounds = AGAIN_S // MISSING_S
        for number in itertools.count():
            try:
                if number % rounds:
                    await self._announcer.publish_missing()
                else:
                    await self._announcer.keep_announcing(await self._nwc_grants())
            except KitestringError as failure:
                log.warning("connections are not announced yet: %s", failure.message)
            await self.clock.sleep(MISSING_S)

    def _on_nip44(self, grant: Grant) -> None:
        """The first NIP-44 request of a connection: from now on it takes nothing else, whatever anybody says."""
        task = asyncio.get_running_loop().create_task(self._raise_cipher(grant))
        self._upgrades.add(task)
        task.add_done_callback(self._upgrades.discard)

    async def _raise_cipher(self, seen: Grant) -> None:
        grant = await self.store.grant(seen.grant_id)
        if grant is None or grant.nip44_seen:
            return
        raised = replace(grant, nip44_seen=True, version=grant.version + 1)
        try:
            await execute(self.store, f"nip44:{grant.grant_id}", (SaveGrant(raised),), {}, self.clock.now())
        except KitestringError as failure:
            log.warning("connection %s is not raised to NIP-44 yet: %s", grant.name, failure.message)
            return
        grants = await self._nwc_grants()
        self.gateway.set_connections(grants)
        await self._announcer.publish_changed(grants)

    async def _prune_loop(self) -> None:
        while True:
            await self.clock.sleep(PRUNE_EVERY_S)
            old = Prune(self.clock.now() - KEEP_REQUESTS_S)
            try:
                while isinstance(await self.store.apply(old), More):
                    pass  # payments went in between
            except KitestringError as failure:
                log.warning("old requests are not forgotten yet: %s", failure.message)

    # ------------------------------------------------------------ the desk

    def relay_urls(self) -> tuple[str, ...]:
        return self._place.relays

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        return await self.engine.ask(grant_id, command)

    async def node_view(self) -> NodeView:
        try:
            return await self.engine.node_view()
        except KitestringError as failure:
            message = in_its_words(failure.message, failure.details)
            raise KitestringError(failure.reason, message, **failure.details) from failure

    async def perform(self, request_id: str, grant_id: str, command: Journaled, wait_s: float) -> Outcome | None:
        """Hand the command to the engine and wait; the wait decides nothing."""
        until = self.clock.monotonic() + wait_s
        incoming = Incoming(request_id, "control", grant_id, command, CONTROL, self.clock.now())
        with self.waiters.expecting(request_id) as answer:
            await self.engine.handle(incoming)
            await asyncio.wait((answer,), timeout=max(0.0, until - self.clock.monotonic()))
            return decode_control(answer.result().plaintext) if answer.done() else None

    async def resolve_payment(self, payment_id: str, note: str) -> None:
        await self.engine.resolve(payment_id, note)

    async def execute(self, request_id: str, name: str, writes: tuple[Write, ...], result: Result) -> Result:
        del name  # the request id holds it
        return await execute(self.store, request_id, writes, result, self.clock.now())

    async def resolve_offer(self, noffer: Noffer, amount_sats: int | None, description: str) -> Invoice:
        """Ask an offer over its relays; ours are used freely, foreign ones pass the address check."""
        asked = await ask_offer(
            noffer, amount_sats=amount_sats, description=description, clock=self.clock, entropy=self.entropy,
            network=self._node.network, own_relays=self._place.relays, proxies=self.config.proxies,
            allow_private=self.config.allow_private_relays,
        )  # fmt: skip
        async with asked:
            return asked.invoice


def _unheeded(result: PublishResult) -> None:
    if not result.accepted:
        log.info("an answer was taken by no relay")


async def _know_node(config: Config, store: Store, backend: Backend) -> Node:
    """The row of the node this service stands on now; its cursor survives. The one with the highest epoch was the last:
    to come to another one, or back to one from before, begins a new epoch, and is said."""
    info = await told(backend.info())
    known = await store.nodes()
    last = known[-1] if known else None
    if last is not None and last.node_id == info.node_id:
        return last
    epoch = 1 if last is None else last.epoch + 1
    before = await store.node(info.node_id)
    cursor = before.cursor if before else b""
    node = Node(info.node_id, epoch, config.node_url.partition(":")[0], info.network, cursor)
    await store.apply(SaveNode(node))
    if last is not None:
        log.warning(
            "the service stands on node %s now (epoch %d), no longer on %s: payments that are open there stay so until "
            "it stands there again, or `kitestring resolve`", node.node_id[:16], epoch, last.node_id[:16],
        )  # fmt: skip
    return node
