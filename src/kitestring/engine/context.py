"""The surroundings of every part of the engine: the seams, the limits, and work on its own."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from kitestring.base.commands import Journaled
from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.node import Backend
from kitestring.base.outcomes import Refused
from kitestring.base.plugins import MethodPlugin
from kitestring.base.ports import Clock, CurrencyRates, Deliver, Encode, Entropy
from kitestring.base.records import Node
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Tx
from kitestring.base.zones import UTC, Zone
from kitestring.engine.earlier import EarlierLife
from kitestring.engine.hold_news import HoldNews
from kitestring.engine.limits import Limits
from kitestring.engine.same_node import SameNode
from kitestring.policy.enrolling import EnrollTerms

A = TypeVar("A")
log = logging.getLogger("kitestring.engine")

#: How often a claim is decided again after the grant changed under it; more means somebody edits it in a loop.
MAX_STALE_ROUNDS: Final = 5
#: Waits between two looks at a payment whose end is unknown: soon at first, then once a minute, forever.
LOOK_AGAIN_S: Final = (0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)


def pauses() -> Iterator[float]:
    """:data:`LOOK_AGAIN_S`, the last one forever."""
    return itertools.chain(LOOK_AGAIN_S, itertools.repeat(LOOK_AGAIN_S[-1]))


class Incoming(msgspec.Struct, frozen=True):
    """A journaled command on its way in. ``request_id`` is claimed once, forever; ``reply_to`` belongs to the wire.
    After ``expires_at`` (Unix seconds, where the sender gave one) it is not carried out any more.

    A refusal of it is kept until ``refused_until`` (Unix seconds), when its age refuses it; None = as long as answers
    are, for what has no age. ``author`` is the key of whoever speaks to the service's own key, "" over a connection.
    ``known`` is the grant under which a refusal of it is kept, "" for a stranger, of whom nothing is. ``app`` is the
    key of the app that speaks over a connection, "" for anybody else: another link has another one."""

    request_id: str
    wire: str
    grant_id: str
    command: Journaled
    reply_to: bytes
    sent_at: int
    expires_at: int | None = None
    refused_until: int | None = None
    author: str = ""
    known: str = ""
    app: str = ""

    def is_by(self, grant: Grant) -> bool:
        """Whether the app that has asked still has the link of its connection."""
        return not self.app or self.app == grant.caller


def _no_relays() -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class EnrollingHere:
    """The makings of an account for a key that enrolls: the ``terms``, the service's public key, the ``secret`` from
    which the ids in its codes follow, and the ``relays`` for codes that are made now. Where there are none, nobody
    enrolls."""

    terms: EnrollTerms = field(default_factory=EnrollTerms)
    service_pubkey: str = ""
    secret: bytes = field(default=b"", repr=False)
    relays: Callable[[], tuple[str, ...]] = _no_relays


def _always() -> bool:
    return True


def _unheard(_incoming: Incoming, _refused: Refused) -> None:
    """Nobody is told."""


class NoRates:
    """The rates of a service without sources of any."""

    async def rate(self, currency: str) -> ExchangeRate:
        return self.known(currency)

    def known(self, currency: str) -> ExchangeRate:
        raise KitestringError(Reason.UNAVAILABLE, f"the rate of {currency} is not known: no source of rates is set")


@dataclass(slots=True)
class Context:
    """Injected once at start; the parts of the engine share it and own nothing else in common."""

    store: Store
    #: Of the node below alone: see :mod:`kitestring.engine.same_node`.
    backend: Backend
    node: Node
    clock: Clock
    entropy: Entropy
    encode: Encode
    deliver: Deliver
    limits: Limits = field(default_factory=Limits)
    #: Of the owner: calendar budgets renew by it.
    zone: Zone = UTC
    #: Whether somebody outside has confirmed that the ledger is as new as what anybody was told.
    is_witnessed: Callable[[], bool] = _always
    #: Preimages of keysends, and the ids of offers that apps make, follow from it and from the request. b"": one that
    #: this process alone knows.
    keysend_secret: bytes = field(default=b"", repr=False)
    #: Methods that this service does not serve, whatever a grant lists: nobody is told that it had them.
    without: frozenset[str] = frozenset()
    #: Methods of installed packages, by name.
    plugins: Mapping[str, MethodPlugin] = field(default_factory=dict)
    rates: CurrencyRates = field(default_factory=NoRates)
    #: Whether strangers may open accounts here, and with which codes.
    enrolling: EnrollingHere = field(default_factory=EnrollingHere)
    #: Told of each request that is refused here, for the eyes of the owner; it must return at once.
    refused: Callable[[Incoming, Refused], None] = _unheard
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    holds: HoldNews = field(default_factory=HoldNews)
    same_node: SameNode = field(init=False)
    earlier: EarlierLife = field(init=False)

    def __post_init__(self) -> None:
        self.backend = self.same_node = SameNode(self.backend, lambda: self.node.node_id)
        self.earlier = EarlierLife(self.clock, self.is_witnessed)
        self.keysend_secret = self.keysend_secret or self.entropy(32)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` on its own: nobody who waits for it can cancel it by going away."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("work on its own broke off; the next start carries it on", exc_info=task.exception())

    def new_id(self, now: int) -> str:
        """32 hex digits that begin with the time, so that new ids stand together at the end of their index."""
        return f"{now & 0xFFFFFFFF:08x}{self.entropy(12).hex()}"

    def preimage_of(self, request_id: str) -> bytes:
        """The preimage of the keysend that is asked for in this request: 32 bytes, the same ones every time."""
        return hmac.digest(self.keysend_secret, request_id.encode(), "sha256")

    def offer_id_of(self, name: str) -> str:
        """The id of the offer that this request, or this question to the owner, asks for: 32 hex digits, the same ones
        every time, and known to nobody who knows the request."""
        return hmac.digest(self.keysend_secret, f"offer {name}".encode(), "sha256").hex()[:32]

    async def record(self, truth: Tx[A]) -> A:
        """Retry until stored: the request stays claimed by this process until its end is on disk."""
        waits = pauses()
        while True:
            try:
                return await self.store.apply(truth)
            except KitestringError as failure:
                log.warning("%s is not recorded yet: %s", type(truth).__name__, failure.message)
                await self.clock.sleep(next(waits))
