"""Info events (kind 13194): what each connection may do, on every relay, read back before its URI is shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.ports import Clock, Entropy
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.publications import UNANSWERED, Answer, PublishResult
from kitestring.transport.relays import RelayPool
from kitestring.wire.encryption import allowed_ciphers
from kitestring.wire.serve.nwc import info_event_content

log = logging.getLogger("kitestring.announce")

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
#: Events on their way at once: a share of what the pool carries.
TOGETHER: Final = 1_000


@dataclass(slots=True)
class _Said:
    """About one connection: the version of its grant that relays know, the info event they have, and what is missing
    where (``event``, made for version ``made_for``, on the relays ``missing``)."""

    version: int = 0
    signed_at: int = 0
    info_id: str = ""
    event: Event | None = None
    made_for: int = 0
    missing: frozenset[str] = frozenset()

    def heard(self, asked: Iterable[str], result: PublishResult) -> None:
        """Note who took ``event``. What was refused for good is not sent again soon: that would only annoy."""
        taken = {url for url in asked if _answer(result, url) is Answer.ACCEPTED}
        if taken:
            self.version = self.made_for
        self.missing -= taken | {url for url in asked if _answer(result, url) is Answer.REFUSED}
        if not self.missing:
            self.event = None


class Announcer:
    """Publishes, refreshes, reads back and deletes the info events of all connections, on every relay of the pool."""

    def __init__(self, pool: RelayPool, keyring: Keyring, clock: Clock, entropy: Entropy) -> None:
        self._pool = pool
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._said: dict[str, _Said] = {}
        self._checks = 0

    async def publish_changed(self, grants: Sequence[Grant]) -> list[Grant]:
        """Publish what is new or changed, delete what was revoked; returns the grants that were announced anew."""
        changed = [grant for grant in grants if self._of(grant).version < grant.version]
        await self._each(changed)
        return [grant for grant in changed if grant.revoked_at is None]

    async def keep_announcing(self, grants: Sequence[Grant]) -> None:
        """One refresh round of every connection that is alive; a deletion that no relay has taken is tried again."""
        await self._each([grant for grant in grants if grant.revoked_at is None or self._of(grant).info_id])

    async def _each(self, grants: Sequence[Grant]) -> None:
        newest = [grant for grant in grants if self._of(grant).version <= grant.version]
        for start in range(0, len(newest), TOGETHER):
            part = newest[start : start + TOGETHER]
            await asyncio.gather(*(self._say(grant) for grant in part))
            self._warn(part)

    async def publish_missing(self) -> None:
        """Send again what connected relays have not taken; the same events, so that a deletion fits all of them."""
        there = frozenset(self._pool.connected_urls())
        waiting = [(said, said.missing & there) for said in self._said.values() if said.missing & there]
        for start in range(0, len(waiting), TOGETHER):
            await asyncio.gather(*(self._again(said, urls) for said, urls in waiting[start : start + TOGETHER]))

    def _of(self, grant: Grant) -> _Said:
        return self._said.setdefault(grant.grant_id, _Said())

    async def _say(self, grant: Grant) -> None:
        said = self._of(grant)
        if grant.revoked_at is None:
            content, tags = info_event_content(sorted(grant.methods), allowed_ciphers(grant.cipher, grant.nip44_seen))
            event = self._sign(grant, said, kinds.NWC_INFO, tags, content)
            said.info_id = event.id
        elif said.info_id:
            # NIP-09: clients that look for the connection find out that it is gone.
            event = self._sign(grant, said, kinds.DELETE, [["e", said.info_id], ["k", str(kinds.NWC_INFO)]], "")
            said.info_id = ""
        else:
            said.version = grant.version
            return
        await self._put(said, event, grant.version)

    async def _put(self, said: _Said, event: Event, version: int) -> None:
        urls = [row.url for row in self._pool.status()]
        said.event, said.made_for, said.missing = event, version, frozenset(urls)
        some_are_down = 0 < len(self._pool.connected_urls()) < len(urls)
        deadline_s = DOWN_S if some_are_down else PUBLISH_S
        result = await self._pool.publish(event, deadline_s=deadline_s, every=True)
        if said.event is event:
            said.heard(urls, result)

    async def _again(self, said: _Said, urls: frozenset[str]) -> None:
        event = said.event
        if event is None:
            return
        result = await self._pool.publish(event, urls, deadline_s=PUBLISH_S, every=True)
        if said.event is event:
            said.heard(urls, result)

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

    def _sign(self, grant: Grant, said: _Said, kind: int, tags: list[list[str]], content: str) -> Event:
        key = self._keyring.connection_key(grant.grant_id)
        # Of two replaceable events of one second relays keep the lower id: a change would be lost half of the time.
        said.signed_at = max(self._clock.now(), said.signed_at + 1)
        return sign_event(key, kind=kind, tags=tags, content=content, created_at=said.signed_at, aux=self._entropy(32))

    async def read_back(self, grants: Sequence[Grant]) -> None:
        """Wait until a relay shows the info events of ``grants``. Raises KitestringError(UNAVAILABLE) otherwise:
        a URI whose service cannot be found must not be handed out."""
        wanted = {grant.service_pubkey for grant in grants}
        if not wanted:
            return
        seen: set[str] = set()

        def note(event: Event, _relay_url: str) -> None:
            if event.kind == kinds.NWC_INFO and event.pubkey in wanted and verify_event(event):
                seen.add(event.pubkey)

        self._checks += 1
        subscription = self._pool.subscribe(f"info-{self._checks}", _info_filters, note, keys=sorted(wanted))
        try:
            await self._until_seen(wanted, seen)
        finally:
            subscription.close()

    async def _until_seen(self, wanted: set[str], seen: set[str]) -> None:
        until = self._clock.monotonic() + READ_BACK_S
        while not wanted <= seen:
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
