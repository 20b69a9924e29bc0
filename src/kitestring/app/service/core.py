"""The running service, apart from its directory and its doors: the only place where all parts are wired together."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.activity import Activity
from kitestring.app.service.announcer import Announcer
from kitestring.app.service.background import Background
from kitestring.app.service.beacon import BeaconFacts, BeaconPublisher, clink_kinds, told_fees
from kitestring.app.service.clocks import Clocks
from kitestring.app.service.connections import Connections
from kitestring.app.service.courier import Courier
from kitestring.app.service.delivery import Delivery
from kitestring.app.service.exchange import exchange_rates
from kitestring.app.service.gateway import Gateway
from kitestring.app.service.housekeeping import forget_refusals, prune_daily
from kitestring.app.service.kept_relays import served, stored_kept_relays
from kitestring.app.service.last_uses import LastUses
from kitestring.app.service.last_words import LastWords
from kitestring.app.service.node_words import node_of, told
from kitestring.app.service.notices import give_notice
from kitestring.app.service.notifier import Notifier
from kitestring.app.service.plugins import load_plugins
from kitestring.app.service.probe import Probe
from kitestring.app.service.relay_watch import RelayWatch
from kitestring.app.service.relay_witness import RelayWitness
from kitestring.app.service.rendezvous import Rendezvous
from kitestring.app.service.routes import routes
from kitestring.app.service.seams import Seams
from kitestring.app.service.service_desk import ServiceDesk
from kitestring.app.service.signers import Signers
from kitestring.app.service.throttling import Throttles
from kitestring.app.service.twins import Twins
from kitestring.app.service.waiters import Waiters
from kitestring.app.service.wires import Wires
from kitestring.app.service.witness import Witness
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Grant
from kitestring.base.node import Backend
from kitestring.base.outcomes import Refused
from kitestring.base.plugins import MethodPlugin
from kitestring.base.ports import Clock, Encoded, Entropy
from kitestring.base.records import Message, Node
from kitestring.base.store import Store
from kitestring.base.transactions.service import SaveNode
from kitestring.client.net import Net
from kitestring.codec.pointers import MAX_RELAYS as MAX_CODE_RELAYS
from kitestring.engine.context import Context, EnrollingHere, Incoming
from kitestring.engine.engine import Engine
from kitestring.engine.feed import Feed
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.nostr.event import read_head
from kitestring.relay.vouched import VouchedKeys
from kitestring.transport.fetch import Fetcher
from kitestring.transport.guard import normalise
from kitestring.transport.publications import PublishResult
from kitestring.transport.relays import MAX_RELAYS, PoolOptions, RelayPool
from kitestring.wire.grammar import Facts
from kitestring.wire.serve import enroll
from kitestring.wire.serve.nwc.table import not_served

log = logging.getLogger("kitestring")

#: Seconds that what is in flight gets at a stop; the rest is recovered at the next start.
GRACE_S: Final = 10.0
#: Seconds that a start waits for a relay; without one the service runs all the same, and keeps trying.
LISTEN_S: Final = 10.0
#: Once one relay listens, the others get so many seconds: codes name those first that are known to be there.
OTHERS_S: Final = 1.0
#: Seconds for the last answers to leave.
DRAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """The places of one service: its ledger, the directory of the sandbox, and the relays for its codes.

    Every public key that the service writes with, and those of its callers, are put into ``vouched``: its own relay has
    room for these always. ``relay_headers`` are sent to a relay with each connection, by its URL. ``own_relay`` is our
    own one, which keeps its events on the disk of the ledger; "" where none runs. ``kept`` are old relays that links
    and codes still name.
    """

    ledger: Path
    data_dir: Path
    relays: tuple[str, ...]
    vouched: VouchedKeys = field(default_factory=VouchedKeys)
    relay_headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    own_relay: str = ""
    kept: tuple[str, ...] = ()

    @property
    def served(self) -> tuple[str, ...]:
        """All relays at which the service listens."""
        return *self.relays, *self.kept

    @property
    def outside(self) -> tuple[str, ...]:
        """The relays among them that others run."""
        return tuple(url for url in self.served if url != self.own_relay)


@dataclass(frozen=True, slots=True)
class Ground:
    """All that a service stands on, before any part of it is made. ``wires`` and ``signers`` follow from the keys,
    ``without`` (methods that are not served) and ``plugins`` from settings and machine."""

    config: Config
    place: Place
    keyring: Keyring
    store: Store
    backend: Backend
    node: Node
    clock: Clock
    entropy: Entropy
    wires: Wires
    signers: Signers
    without: frozenset[str]
    plugins: Mapping[str, MethodPlugin]

    @classmethod
    def of(
        cls, config: Config, place: Place, keyring: Keyring, store: Store, backend: Backend, node: Node, clock: Clock,
        entropy: Entropy,
    ) -> Ground:  # fmt: skip
        """Look for plugins, and draw the rest from these."""
        return cls(
            config, place, keyring, store, backend, node, clock, entropy, Wires(keyring, entropy), Signers(keyring),
            not_served(backend.capabilities.names | config.features), load_plugins(),
        )  # fmt: skip


class RelaySide:
    """The relays, and all that speaks over them by itself."""

    def __init__(self, on: Ground) -> None:
        config, place = on.config, on.place
        options = PoolOptions(config.proxies, config.allow_private_relays, headers=place.relay_headers)
        self.pool: Final = RelayPool(
            place.served, clock=on.clock, entropy=on.entropy, signers=on.signers, options=options
        )
        net = Net(on.clock, on.entropy, config.proxies, allow_private=config.allow_private_relays)
        self.rendezvous: Final = Rendezvous(net)
        self.announcer: Final = Announcer(
            self.pool, on.store, on.keyring, on.clock, on.entropy, on.without, self.rendezvous, on.plugins
        )
        self.witness: Final = RelayWitness(
            self.pool, on.store, on.keyring.service_key, on.clock, on.entropy, place.outside
        )
        self.notifier: Final = Notifier(self.pool, on.store, on.wires, on.clock)
        self.carriers: Final = Background(on.clock)

    def seams(self, on: Ground) -> Seams:
        """The parts that carriers of messages use."""
        return Seams(
            self.pool, on.store, on.wires, on.clock, self.announcer, self.witness.when_witnessed, self.notifier,
            self.rendezvous, self.carriers,
        )  # fmt: skip


class Core:
    """A running service. Make one with :meth:`open`, then :meth:`start` and :meth:`stop`; ``desk`` is its owner's."""

    def __init__(self, on: Ground) -> None:
        self.store: Final = on.store
        self.backend: Final = on.backend
        self.clock: Final = on.clock
        self._on: Final = on
        self._at_end: Final[list[Callable[[], Awaitable[None]]]] = []
        relays = RelaySide(on)
        self.pool: Final = relays.pool
        self.announcer: Final = relays.announcer
        self._relay_witness: Final = relays.witness
        self._notifier: Final = relays.notifier
        self._carriers: Final = relays.carriers
        self.waiters: Final = Waiters()
        self.delivery: Final = Delivery(on.store, on.clock, routes(relays.seams(on)))
        web = Fetcher(on.config.proxies, on.config.private_hosts)
        self.courier: Final = Courier(on.store, web, on.keyring.webhook_secret, on.clock)
        for hear in (self.waiters.hear, self.delivery.hear, self.courier.hear):
            on.store.subscribe(hear)
        self.feed: Final = Feed(on.store, on.clock)
        self.activity: Final = Activity(on.clock)
        self._rates: Final = exchange_rates(on.config, on.place.ledger.parent, on.clock)
        self._last_uses: Final = LastUses(on.store, on.clock)
        self.engine: Final = Engine(self._context())
        self.gateway: Final = self._gateway()
        self.connections: Final = self._connections()
        of_others = (*on.config.relays, *(url for url in on.place.kept if url != on.place.own_relay))
        self.clocks: Final = Clocks(self.pool, of_others, on.backend, on.clock)
        self.beacon: Final = BeaconPublisher(
            self.pool, on.keyring.service_key, on.config.beacon, _told_of(on.config, on.place), self._trouble,
            on.clock, on.entropy,
        )  # fmt: skip
        self.desk: Final = self._desk()
        self._twins: Final = Twins(
            self.pool, on.store, on.keyring.service_key, on.clock, on.entropy, self.connections.leave_to_another
        )
        self._relay_watch: Final = RelayWatch(self.pool, on.clock)
        self._witness: Final = Witness(on.store, on.place.ledger, on.clock)
        self._background: Final = Background(on.clock)

    def _context(self) -> Context:
        on, keyring = self._on, self._on.keyring
        enrolling = EnrollingHere(on.config.enroll, keyring.service_id, keyring.enroll_secret, self._relays_for_codes)
        return Context(
            on.store, on.backend, on.node, on.clock, on.entropy, on.wires.encode, self._deliver, on.config.limits,
            on.config.zone, self._relay_witness.confirms, keyring.keysend_secret, on.without, on.plugins, self._rates,
            enrolling, self._refused,
        )  # fmt: skip

    def _gateway(self) -> Gateway:
        on = self._on
        return Gateway(
            service_pubkey=on.keyring.service_id,
            facts=Facts(on.node.network, on.config.accept_legacy_offers, on.without, on.plugins), wires=on.wires,
            engine=self.engine, send_once=self._send_unstored, clock=on.clock,
            throttles=Throttles(on.config.request_limits, on.clock),
            last_words=LastWords(on.place.ledger.with_suffix(".refused"), on.clock), used=self._used,
            seen=self._last_uses.seen, refused=self.activity.refused,
        )  # fmt: skip

    def _connections(self) -> Connections:
        on = self._on
        return Connections(
            store=on.store, keyring=on.keyring, gateway=self.gateway, pool=self.pool, announcer=self.announcer,
            probe=Probe(self.pool, on.signers, on.clock, on.entropy), clock=on.clock, signers=on.signers,
            vouched=on.place.vouched, last_uses=self._last_uses,
        )  # fmt: skip

    def _desk(self) -> ServiceDesk:
        on = self._on
        return ServiceDesk(
            on.config, on.keyring, on.store, on.backend, on.clock, on.entropy, self.engine, self.waiters,
            self.connections, self.clocks, on.place.relays, on.place.served, on.node.network, self._rates, self.beacon,
            self.courier, self.activity, self._relay_witness.findings,
        )  # fmt: skip

    def _relays_for_codes(self) -> tuple[str, ...]:
        return self.desk.relays_for_codes()[:MAX_CODE_RELAYS]

    def _used(self, grant: Grant, nip44: bool) -> None:
        self.connections.used(grant, nip44=nip44)

    def _refused(self, incoming: Incoming, refused: Refused) -> None:
        self.activity.refused(incoming.wire, incoming.grant_id or incoming.known, refused, incoming.command)

    async def _trouble(self) -> str:
        """The reason why nobody can be served now, "" where requests come in and the node answers."""
        if not self.connections.live_urls():
            return "no relay brings requests at the moment; `kitestring doctor` says why"
        try:
            await self.engine.node_view()
        except KitestringError as failure:
            return failure.message
        return ""

    # ------------------------------------------------------------ life

    @classmethod
    async def open(cls, config: Config, place: Place, keyring: Keyring, *, clock: Clock, entropy: Entropy) -> Core:
        """Open ledger and node. Raises KitestringError: no node, a ledger that cannot be used."""
        backend = node_of(config, place.data_dir, clock, entropy, keyring.service_id)
        async with AsyncExitStack() as opened:
            opened.push_async_callback(backend.close)
            await told(backend.open())
            cache_kib = config.ledger_cache_mib * 1_024
            store = await SqliteStore.open(place.ledger, keyring.service_id, cache_kib=cache_kib)
            opened.push_async_callback(store.close)
            node = await _know_node(config, store, backend)
            place = replace(place, kept=await _kept(place, store, clock))
            core = cls(Ground.of(config, place, keyring, store, backend, node, clock, entropy))
            opened.pop_all()
        return core

    async def start(self) -> None:
        """Connect, recover, listen. Returns when requests are being served; relays may connect later."""
        await self._witness.begin()
        await self.connections.know()
        await self.pool.start()
        await self._relay_witness.begin()
        await self.engine.start()
        await self.delivery.start()
        await self.courier.start()
        self.connections.listen()
        self._twins.listen()
        self._background.keep(self._twins.watch)
        self._background.keep(partial(give_notice, self.feed, self.store, self.clock))
        self._background.keep(partial(self.connections.follow, self.feed))
        self._background.keep(self.connections.announce)
        self._background.keep(self._last_uses.keep)
        self._background.keep(partial(prune_daily, self.store, self.clock))
        self._background.keep(self._witness.watch)
        self._background.keep(self._relay_watch.watch)
        self._background.keep(self.clocks.watch)
        self._background.keep(self.beacon.watch)
        self._background.keep(partial(forget_refusals, self.store, self.clock))
        self._background.keep(self.activity.count)

    def at_end(self, last: Callable[[], Awaitable[None]]) -> None:
        """Have ``last`` called at the stop, when nothing happens any more and the ledger can still be read."""
        self._at_end.append(last)

    async def listening(self, timeout_s: float) -> bool:
        """Whether a relay has taken our subscription within ``timeout_s`` seconds; the others have a moment more."""
        is_live = await self._comes_true(lambda: bool(self.connections.live_urls()), timeout_s)
        if is_live:
            await self._comes_true(self.connections.settled, OTHERS_S)
        return is_live

    async def _comes_true(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        until = self.clock.monotonic() + timeout_s
        while not holds():
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
            closing.push_async_callback(self._rates.close)
            closing.push_async_callback(self.store.close)
            for last in self._at_end:
                closing.push_async_callback(last)
            closing.push_async_callback(self.pool.stop)
            closing.push_async_callback(self._relay_witness.stop)
            closing.push_async_callback(self.announcer.stop)
            closing.push_async_callback(self._notifier.stop)
            closing.push_async_callback(self._carriers.cancel)
            closing.push_async_callback(self.courier.stop)
            closing.push_async_callback(self.delivery.stop, DRAIN_S, lambda: bool(self.pool.connected_urls()))
            closing.push_async_callback(self.connections.stop)
            self.connections.listen_no_more()
            self._twins.stop()
            await self._background.cancel()
            await self.gateway.drain(grace_s)
            left = await self.engine.stop(max(0.0, until - self.clock.monotonic()))
            await self._last_uses.save()
            await self._witness.look()
        return left

    def _deliver(self, messages: tuple[Message, ...]) -> None:
        """Answers beside the outbox: stored ones that are asked for again, and those that nobody stores."""
        self.waiters.tell(messages)
        self.delivery.send_once(messages)

    def _send_unstored(self, answer: Encoded) -> None:
        """Send an unstored answer. It gets the pool's own retries only: a client that misses it asks again."""
        event = read_head(answer.event)
        self.pool.send(event.id, event.pubkey, answer.event, _unheeded)


def _told_of(config: Config, place: Place) -> BeaconFacts:
    """The facts for the beacon: of enrolment nothing is told while it is closed, and of fees while none is taken."""
    fees = told_fees(config.limits.service_fee)
    if not config.enroll.is_open:
        return BeaconFacts(place.relays, clink_kinds((enroll.WIRE.name,)), fees)
    return BeaconFacts(place.relays, clink_kinds(), fees, config.enroll.difficulty)


def _unheeded(result: PublishResult) -> None:
    if not result.accepted:
        log.info("an answer was taken by no relay")


async def _kept(place: Place, store: Store, clock: Clock) -> tuple[str, ...]:
    """The old relays that links and codes still name, as far as there is room, each with a line of the log."""
    kept, left_out = served(place.relays, await stored_kept_relays(store, place.relays, clock.now()), MAX_RELAYS)
    for one in kept:
        log.warning("%s", one.why)
    for one in left_out:
        log.warning(
            "%s is not served, there are too many relays, though the %s needs it: %s", one.url, one.users, one.way_out
        )
    known = {normalise(url): url for url in place.relay_headers}  # it is known by its headers in this spelling
    return tuple(known.get(normalise(one.url), one.url) for one in kept)


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
