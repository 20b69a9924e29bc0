"""Info events (kind 13194): what each connection may do, on every relay, read back before its URI is shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.delivery import Done
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.ports import Clock, Entropy
from kitestring.base.records import Message
from kitestring.base.store import Reads
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.changes import Changes
from kitestring.transport.publications import UNANSWERED, Answer, PublishResult
from kitestring.transport.relays import RelayPool
from kitestring.wire.encryption import allowed_ciphers
from kitestring.wire.serve.nwc import info_event_content

log = logging.getLogger("kitestring.announce")

#: The kind of message that a change of a connection is in the outbox.
ANNOUNCEMENT: Final = "announcement"
#: Published again this often, because relays forget and new relays join.
AGAIN_S: Final = 600
#: What a relay has not taken is tried again this often, once the relay is there.
MISSING_S: Final = 5
#: Seconds until every relay must have taken an event, and until one must have given it back.
PUBLISH_S: Final = 10.0
READ_BACK_S: Final = 10.0
READ_BACK_ROUND_S: Final = 0.05
#: While a relay is down, who waits for a new connection waits only so long for it.
DOWN_S: Final = 3.0
#: Events that are signed and sent in one go (some 5 ms): requests have their turn in between.
TOGETHER: Final = 50


@dataclass(slots=True)
class _Announced:
    """About one connection: the version of its grant that relays know, the info event they have, and what is missing
    where (``event``, made for version ``made_for``, on the relays ``missing``)."""

    version: int = 0
    signed_at: int = 0
    info_id: str = ""
    event: Event | None = None
    made_for: int = 0
    missing: frozenset[str] = frozenset()

    def note(self, asked: Iterable[str], result: PublishResult) -> None:
        """Note who took ``event``. What was refused for good is not sent again soon: that would only annoy."""
        taken = {url for url in asked if _answer(result, url) is Answer.ACCEPTED}
        if taken:
            self.version = self.made_for
        self.missing -= taken | {url for url in asked if _answer(result, url) is Answer.REFUSED}
        if not self.missing:
            self.event = None


class Announcer:
    """Publishes, refreshes, reads back and deletes the info events of all connections, on every relay of the pool.

    A change comes as a message of the outbox and goes through :meth:`carry`; each concerns one connection only.
    """

    def __init__(self, pool: RelayPool, store: Reads, keyring: Keyring, clock: Clock, entropy: Entropy) -> None:
        self._pool = pool
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._known: dict[str, _Announced] = {}
        self._changes = Changes(clock)
        self._carrying: set[asyncio.Task[None]] = set()
        self._checks = 0

    # ------------------------------------------------------------ one connection

    def carry(self, message: Message, done: Done) -> None:
        """Announce the grant that ``message.address`` names as it is stored now; taken as soon as one relay has it."""
        task = asyncio.get_running_loop().create_task(self._carry(message.address.decode(), done))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, grant_id: str, done: Done) -> None:
        is_taken = False
        try:
            grant = await self._store.grant(grant_id)
            is_taken = grant is None or grant.wire != "nwc" or await self.announce(grant)
        except KitestringError as failure:
            log.warning("a connection is not announced yet: %s", failure.message)
        finally:
            done(is_taken)

    async def announce(self, grant: Grant) -> bool:
        """Publish what a connection may do now, or delete what was said of one that was revoked; whether a relay has
        it. What is older than what relays know is not said again."""
        known = self._of(grant)
        if known.version < grant.version:
            await self._say(grant)
            self._warn([grant])
            self._changes.notify()
        return known.version >= grant.version

    async def announced(self, grant: Grant) -> bool:
        """Wait until a relay has taken the announcement of this version, at most :data:`PUBLISH_S`; whether it has."""
        return await self._changes.until(lambda: self._of(grant).version >= grant.version, PUBLISH_S)

    # ------------------------------------------------------------ all of them

    async def keep_announcing(self, grants: Sequence[Grant]) -> None:
        """One refresh round of every connection that is alive; a deletion that no relay has taken is tried again."""
        wanted = [grant for grant in grants if grant.revoked_at is None or self._of(grant).info_id]
        newest = [grant for grant in wanted if self._of(grant).version <= grant.version]
        for start in range(0, len(newest), TOGETHER):
            part = newest[start : start + TOGETHER]
            await asyncio.gather(*(self._say(grant) for grant in part))
            self._warn(part)
            self._changes.notify()

    async def publish_missing(self) -> None:
        """Send again what connected relays have not taken; the same events, so that a deletion fits all of them."""
        there = frozenset(self._pool.connected_urls())
        waiting = [(known, known.missing & there) for known in self._known.values() if known.missing & there]
        for start in range(0, len(waiting), TOGETHER):
            await asyncio.gather(*(self._again(known, urls) for known, urls in waiting[start : start + TOGETHER]))

    def _of(self, grant: Grant) -> _Announced:
        return self._known.setdefault(grant.grant_id, _Announced())

    async def _say(self, grant: Grant) -> None:
        known = self._of(grant)
        if grant.revoked_at is None:
            content, tags = info_event_content(sorted(grant.methods), allowed_ciphers(grant.cipher, grant.nip44_seen))
            event = self._sign(grant, known, kinds.NWC_INFO, tags, content)
            known.info_id = event.id
        elif known.info_id:
            # NIP-09: clients that look for the connection find out that it is gone.
            event = self._sign(grant, known, kinds.DELETE, [["e", known.info_id], ["k", str(kinds.NWC_INFO)]], "")
            known.info_id = ""
        else:
            known.version = grant.version
            return
        await self._put(known, event, grant.version)

    async def _put(self, known: _Announced, event: Event, version: int) -> None:
        urls = [row.url for row in self._pool.status()]
        known.event, known.made_for, known.missing = event, version, frozenset(urls)
        some_are_down = 0 < len(self._pool.connected_urls()) < len(urls)
        deadline_s = DOWN_S if some_are_down else PUBLISH_S
        result = await self._pool.publish(event, deadline_s=deadline_s, every=True)
        if known.event is event:
            known.note(urls, result)

    async def _again(self, known: _Announced, urls: frozenset[str]) -> None:
        event = known.event
        if event is None:
            return
        result = await self._pool.publish(event, urls, deadline_s=PUBLISH_S, every=True)
        if known.event is event:
            known.note(urls, result)

    def _warn(self, grants: Sequence[Grant]) -> None:
        """One line for all of them: a relay that is down misses every connection."""
        unheard = [grant.name for grant in grants if self._of(grant).version < grant.version]
        if unheard:
            log.warning("no relay took the info events of %d connections (%s, …)", len(unheard), unheard[0])
        missing = frozenset[str]().union(*(self._of(grant).missing for grant in grants))
        if missing:
            log.warning(
                "%s: info events of connections are missing there and are sent later", ", ".join(sorted(missing))
            )

    def _sign(self, grant: Grant, known: _Announced, kind: int, tags: list[list[str]], content: str) -> Event:
        key = self._keyring.connection_key(grant.grant_id)
        # Of two replaceable events of one second relays keep the lower id: a change would be lost half of the time.
        known.signed_at = max(self._clock.now(), known.signed_at + 1)
        return sign_event(key, kind=kind, tags=tags, content=content, created_at=known.signed_at, aux=self._entropy(32))

    # ------------------------------------------------------------ the proof

    async def read_back(self, grant: Grant) -> None:
        """Wait until a relay shows the info event of ``grant``. Raises KitestringError(UNAVAILABLE) otherwise: a URI
        whose service cannot be found must not be handed out."""
        seen: set[str] = set()

        def note(event: Event, _relay_url: str) -> None:
            if event.kind == kinds.NWC_INFO and event.pubkey == grant.service_pubkey and verify_event(event):
                seen.add(event.pubkey)

        self._checks += 1
        keys = [grant.service_pubkey]
        subscription = self._pool.subscribe(f"info-{self._checks}", _info_filters, note, keys=keys)
        try:
            await self._until_seen(seen)
        finally:
            subscription.close()

    async def _until_seen(self, seen: set[str]) -> None:
        until = self._clock.monotonic() + READ_BACK_S
        while not seen:
            if self._clock.monotonic() > until:
                raise KitestringError(
                    Reason.UNAVAILABLE,
                    "no relay shows the connection's info event: check the relays with `kitestring doctor`",
                )
            await self._clock.sleep(READ_BACK_ROUND_S)


def _answer(result: PublishResult, url: str) -> Answer:
    return result.relays.get(url, UNANSWERED).answer


def _info_filters(keys: Sequence[str]) -> list[Filter]:
    return [Filter(kinds=frozenset({kinds.NWC_INFO}), authors=frozenset(keys))]
