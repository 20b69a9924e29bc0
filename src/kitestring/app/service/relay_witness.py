"""The ledger's witness on the relays: how far the ledger has come, where a restored machine does not bring it back.

One addressable event under the service key says it, encrypted to that key. It follows the ledger, and a relay has it
before anybody is told *no*: for who is told no pays in another way, while what was paid is known to the node. So

* a ledger that is behind what any relay shows does not spend
* one that is not behind is as new as every *no* that was told: what an earlier life has left may be sent again
* while no relay has said so, nothing of an earlier life is sent (:mod:`kitestring.engine.earlier`); new work goes on
* one that is doubted says no as well: then the event says so, and the right ledger, put back, is doubted in its turn

A relay can hold the event back, or show an older one, which an older position in the ledger finds out. It cannot make
one, so it stops nothing. Our own relay is no witness: its events are on the disk of the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from kitestring.app.service.background import Background
from kitestring.app.service.news import News
from kitestring.app.service.seldom import Seldom
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.node import Finding, FindingState
from kitestring.base.ports import Clock, Entropy
from kitestring.base.records import Generation, StopCause
from kitestring.base.store import Store
from kitestring.base.transactions.feed import Tell
from kitestring.base.transactions.service import SetSpending
from kitestring.crypto import nip44
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, sign_event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.changes import Changes
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription

log = logging.getLogger("kitestring")

#: The ``d`` tag of the event, which belongs to the service key alone.
D_TAG: Final = "kitestring-generation"
#: How often the event follows a ledger that says no to nobody: relays are not to be worn out by a busy one. What is
#: committed meanwhile is not witnessed.
RHYTHM_S: Final = 10.0
#: Between two events; all that say no meanwhile wait for one of them.
PAUSE_S: Final = 0.1
#: Each event is dated a second after the one before, as relays keep the newest: so far may that run ahead of the clock.
#: Beyond it there is one event a second. Relays refuse what is minutes ahead.
AHEAD_S: Final = 20
#: How long a start waits for what the relays show.
HEAR_S: Final = 5.0
#: How long a relay is given to take an event. A no leaves after that all the same, and at once until one is taken: a
#: relay that refuses these events alone must not silence us.
TAKE_S: Final = 10.0
#: The same at a stop.
LAST_S: Final = 2.0
#: Messages that wait at once; others are tried again by the outbox.
MAX_WAITING: Final = 5_000
#: The consumer whose position is the ledger's last event that a relay is known to have heard of.
CONSUMER: Final = "relays"

_OTHER: Final = "this is not the ledger that was served with this key last: the relays know of another one"
_DISPUTED: Final = "another ledger was served in its place since, and has refused what this one does not know of"
_ALONE: Final = "there is only the relay of this machine: nobody would notice if the whole machine was put back"
_REFUSED: Final = "no relay takes kind 30078, by which a ledger that was put back with its machine is noticed"


class Told(msgspec.Struct, frozen=True, gc=False):
    """The text of the event: how far a ledger had come, said in one ``life`` of the service. ``is_disputed``: another
    one has said no in its place since."""

    ledger: Generation
    life: str
    is_disputed: bool = False


class RelayWitness:
    """Of one ledger. ``outside`` are the relays of the pool without our own one."""

    def __init__(
        self,
        pool: RelayPool,
        store: Store,
        key: SecretKey,
        clock: Clock,
        entropy: Entropy,
        outside: Collection[str],
    ) -> None:
        self._pool = pool
        self._store = store
        self._key = key
        self._clock = clock
        self._entropy = entropy
        self._outside = outside
        self._life: Final = entropy(16).hex()
        self._secret = nip44.conversation_key(key, key.public_hex)
        self._changes = Changes(clock)
        self._background = Background(clock)
        self._log = Seldom(log, clock)
        self._subscription: Subscription | None = None
        self._news: Final = News()
        self._newest_at = 0
        self._newest: Told | None = None
        self._is_confirmed = False
        self._taken: Generation | None = None
        self._is_refused = False
        self._marked = 0
        self._mark_due = 0.0
        self._waiting: list[Callable[[], None]] = []

    # ------------------------------------------------------------ life

    async def begin(self) -> None:
        """Hear what the relays know of the ledger; before anything is recovered. Returns after :data:`HEAR_S` at the
        latest: what is heard later counts as well."""
        ledger = await self._store.generation()
        self._marked = await self._store.position(CONSUMER) or 0
        self._is_confirmed = ledger.is_blank  # it has sent nothing that could be sent again
        if not self._outside:
            return
        self._subscription = self._pool.subscribe("generation", self._filters, self._hear)
        if not self._is_confirmed:
            await self._wait(self._subscription)
        await self._judge()
        if not self._is_confirmed:
            log.warning("no relay says how far the ledger had come: what was open at the start is not sent again")
        self._background.keep(self._watch)

    async def _wait(self, subscription: Subscription) -> None:
        await self._pool.until(lambda: self._have_shown(subscription), HEAR_S)

    def _have_shown(self, subscription: Subscription) -> bool:
        """Whether each of those that testify has shown all it has, or refuses: the one that knows most counts, and may
        be the slowest."""
        live = subscription.live_on()
        return all(url in live or url in subscription.refusals for url in self._outside)

    def _there(self) -> list[str]:
        return [url for url in self._pool.connected_urls() if url in self._outside]

    async def stop(self) -> None:
        """Say the last word, where somebody hears it."""
        await self._background.cancel()
        if self._subscription is None:
            return
        self._subscription.close()
        if self._there():
            try:
                await self._follow(LAST_S, says_no=bool(self._waiting))
            except KitestringError as failure:
                log.warning("the relays do not know how far the ledger has come: %s", failure.message)

    # ------------------------------------------------------------ what others ask

    def confirms(self) -> bool:
        """Whether the ledger is known to be as new as every *no* that anybody was told."""
        return self._is_confirmed

    def when_witnessed(self, go: Callable[[], None]) -> bool:
        """Call ``go`` when a relay knows of all that is committed now, or none takes it; False, and never, if too many
        wait already."""
        if not self._outside:
            go()
            return True
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(go)
        self._changes.notify()
        return True

    def findings(self) -> tuple[Finding, ...]:
        """A line of ``kitestring doctor`` where nobody outside can testify."""
        if not self._outside:
            return (Finding("witness", FindingState.INFO, _ALONE),)
        return (Finding("witness", FindingState.WARN, _REFUSED),) if self._is_refused else ()

    # ------------------------------------------------------------ hear

    def _filters(self, _keys: Sequence[str]) -> list[Filter]:
        tags = {"d": frozenset({D_TAG})}
        return [Filter(kinds=frozenset({kinds.BEACON}), authors=frozenset({self._key.public_hex}), tags=tags, limit=1)]

    def _hear(self, event: Event, relay_url: str) -> None:
        is_ours = event.kind == kinds.BEACON and event.pubkey == self._key.public_hex and first_tag(event, "d") == D_TAG
        may_wait = is_ours and relay_url in self._outside and self._news.has_room(relay_url)
        if may_wait and verify_event(event):
            self._news.add(event, relay_url)
            self._changes.notify()

    async def _judge(self) -> None:
        await self._news.take(self._take_in)

    async def _take_in(self, event: Event) -> None:
        told = self._read(event)
        if told is None:
            return
        if event.created_at >= self._newest_at:
            self._newest, self._newest_at = told, event.created_at
        await self._compare(told, event.created_at)

    def _read(self, event: Event) -> Told | None:
        try:
            return msgspec.json.decode(nip44.decrypt(event.content, self._secret), type=Told)
        except (CodecError, msgspec.DecodeError) as failure:
            self._log.warning("what a relay knows of the ledger cannot be read: %s", failure)
            return None

    async def _compare(self, told: Told, at: int) -> None:
        ledger = await self._store.generation()
        missing = ledger.misses(told.ledger)
        if told.life == self._life:
            return  # nobody is their own witness
        if told.ledger.ledger_id != ledger.ledger_id:
            if at > ledger.since + AHEAD_S:  # what is older the owner knew when this ledger was let go on
                await self._doubt(_OTHER)
        elif told.is_disputed:
            await self._doubt(_DISPUTED)
        elif missing:
            await self._doubt(f"the ledger is older than the relays know it: at least {missing} rows are missing")
        elif told.ledger.events >= self._marked:  # an older one proves nothing: relays have known of more
            self._is_confirmed = True

    async def _doubt(self, why: str) -> None:
        self._is_confirmed = False
        if not await self._is_doubted():  # what was found first stays
            await self._store.apply(SetSpending(True, why, self._clock.now(), StopCause.LEDGER))
            log.error("nothing is spent: %s", why)

    async def _is_doubted(self) -> bool:
        return any(stop.cause is StopCause.LEDGER for stop in await self._store.stops())

    # ------------------------------------------------------------ say

    async def _watch(self) -> None:
        """Forever."""
        while True:
            await self._look()
            is_ahead = self._newest_at - self._clock.now() > AHEAD_S
            await self._clock.sleep(1 if is_ahead else PAUSE_S)
            await self._changes.until(lambda: bool(self._news or self._waiting), RHYTHM_S)

    async def _look(self) -> None:
        """Take in what was heard, say how far the ledger has come, and let go who waited for that. While every relay is
        away nobody hears a no either."""
        waited = len(self._waiting)
        try:
            await self._judge()  # also what a relay has shown that is away since
            if not await self._pool.connected(timeout_s=RHYTHM_S):
                return
            if self._is_refused:
                self._let_go(waited)
            waited = len(self._waiting)
            await self._follow(TAKE_S, says_no=waited > 0)
        except KitestringError as failure:
            self._log.warning("the relays do not know how far the ledger has come: %s", failure.message)
        self._let_go(waited)

    def _let_go(self, number: int) -> None:
        ready, self._waiting = self._waiting[:number], self._waiting[number:]
        for go in ready:
            go()

    async def _follow(self, take_s: float, *, says_no: bool) -> None:
        """Say how far the ledger has come. If it is doubted, what the relays know is worth more, and all that is to be
        said is that somebody is told no."""
        ledger = await self._store.generation()
        if ledger == self._taken:
            return
        if not await self._is_doubted():
            if await self._say(Told(ledger, self._life), take_s):
                self._taken = ledger
                await self._mark(ledger)
        elif says_no and self._newest is not None and not self._newest.is_disputed:
            await self._say(Told(self._newest.ledger, self._life, is_disputed=True), take_s)

    async def _say(self, told: Told, take_s: float) -> bool:
        """Publish it, newer than all that was heard; whether a relay has taken it."""
        at = max(self._clock.now(), self._newest_at + 1)
        content = nip44.encrypt(msgspec.json.encode(told).decode(), self._secret, self._entropy(32))
        event = sign_event(
            self._key, kind=kinds.BEACON, tags=[["d", D_TAG]], content=content, created_at=at, aux=self._entropy(32)
        )
        is_taken = (await self._pool.publish(event, self._outside, deadline_s=take_s)).accepted
        self._is_refused = not is_taken and bool(self._there())
        if is_taken:  # the date of one that nobody has, of a clock that was ahead perhaps, binds no later one
            self._newest, self._newest_at = told, max(at, self._newest_at)
        else:
            self._log.warning("no relay takes how far the ledger has come")
        return is_taken

    async def _mark(self, ledger: Generation) -> None:
        """Note in the ledger what the relays know of it; not more often than they are told without need."""
        now_s = self._clock.monotonic()
        if ledger.events > self._marked and now_s >= self._mark_due:
            await self._store.apply(Tell(CONSUMER, ledger.events, self._clock.now()))
            self._marked, self._mark_due = ledger.events, now_s + RHYTHM_S
