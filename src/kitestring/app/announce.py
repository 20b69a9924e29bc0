"""Info events (kind 13194): what each connection may do, on every relay, read back before its URI is shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from kitestring.app.keyring import Keyring
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.ports import Clock, Entropy
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import MAX_KEYS_PER_REQ
from kitestring.wire.encryption import allowed_ciphers
from kitestring.wire.nwc import info_event_content

log = logging.getLogger("kitestring.announce")

#: Published again this often, because relays forget and new relays join.
AGAIN_S: Final = 600
#: Seconds until one relay must have taken the info event of a new connection, and given it back.
PUBLISH_S: Final = 10.0
READ_BACK_S: Final = 10.0
READ_BACK_ROUND_S: Final = 0.05


class Announcer:
    """Publishes, refreshes, reads back and deletes the info events of all connections."""

    def __init__(self, pool: RelayPool, keyring: Keyring, clock: Clock, entropy: Entropy) -> None:
        self._pool = pool
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._published: dict[str, tuple[int, str]] = {}
        self._signed_at: dict[str, int] = {}
        self._checks = 0

    async def publish_changed(self, grants: Sequence[Grant]) -> list[Grant]:
        """Publish what is new or changed, delete what was revoked; returns the grants that were announced anew."""
        changed = [grant for grant in grants if self._published.get(grant.grant_id, (0, ""))[0] < grant.version]
        alive = [grant for grant in changed if grant.revoked_at is None]
        await asyncio.gather(*(self._announce(grant) for grant in alive))
        await asyncio.gather(*(self._withdraw(grant) for grant in changed if grant.revoked_at is not None))
        return alive

    async def _announce(self, grant: Grant) -> None:
        content, tags = info_event_content(sorted(grant.methods), allowed_ciphers(grant.cipher, grant.nip44_seen))
        event = self._sign(grant, kinds.NWC_INFO, tags, content)
        result = await self._pool.publish(event, deadline_s=PUBLISH_S)
        if result.accepted:
            self._published[grant.grant_id] = (grant.version, event.id)
        else:
            log.warning("no relay took the info event of the connection %s", grant.name)

    async def _withdraw(self, grant: Grant) -> None:
        """NIP-09: clients that look for the connection find out that it is gone."""
        _, event_id = self._published.get(grant.grant_id, (0, ""))
        if event_id:
            tags = [["e", event_id], ["k", str(kinds.NWC_INFO)]]
            await self._pool.publish(self._sign(grant, kinds.DELETE, tags, ""), deadline_s=PUBLISH_S)
        self._published[grant.grant_id] = (grant.version, "")

    def _sign(self, grant: Grant, kind: int, tags: list[list[str]], content: str) -> Event:
        key = self._keyring.connection_key(grant.grant_id)
        # Of two replaceable events of one second relays keep the lower id: a change would be lost half of the time.
        created_at = max(self._clock.now(), self._signed_at.get(grant.grant_id, 0) + 1)
        self._signed_at[grant.grant_id] = created_at
        return sign_event(key, kind=kind, tags=tags, content=content, created_at=created_at, aux=self._entropy(32))

    async def read_back(self, grants: Sequence[Grant]) -> None:
        """Wait until a relay shows the info events of ``grants``. Raises KitestringError(NODE_UNAVAILABLE) otherwise:
        a URI whose service cannot be found must not be handed out."""
        wanted = {grant.service_pubkey for grant in grants}
        if not wanted:
            return
        seen: set[str] = set()

        def note(event: Event, _relay_url: str) -> None:
            if event.kind == kinds.NWC_INFO:
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
                    Reason.NODE_UNAVAILABLE,
                    "no relay shows the connection's info event: check the relays with `kitestring doctor`",
                )
            await self._clock.sleep(READ_BACK_ROUND_S)

    async def keep_announcing(self, grants: Sequence[Grant]) -> None:
        """One refresh round of every connection that is alive, a REQ's worth at a time."""
        alive = [grant for grant in grants if grant.revoked_at is None]
        for start in range(0, len(alive), MAX_KEYS_PER_REQ):
            await asyncio.gather(*(self._announce(grant) for grant in alive[start : start + MAX_KEYS_PER_REQ]))


def _info_filters(keys: Sequence[str]) -> list[Filter]:
    return [Filter(kinds=frozenset({kinds.NWC_INFO}), authors=frozenset(keys))]
