"""The wallet connections (NWC) of the running service, listened to and announced as the ledger has them now."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.announcer import MISSING_S, REFRESH_S, Announcer
from kitestring.app.service.background import Background
from kitestring.app.service.execute import execute
from kitestring.app.service.gateway import Gateway
from kitestring.app.service.probe import Carried, Probe, chosen
from kitestring.app.service.seldom import Seldom
from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import KitestringError
from kitestring.base.events import GRANT_CHANGES
from kitestring.base.events import Event as FeedEvent
from kitestring.base.grants import Grant
from kitestring.base.ports import Clock
from kitestring.base.store import Store
from kitestring.base.transactions import SaveGrant
from kitestring.crypto.keys import SecretKey
from kitestring.engine.feed import Feed
from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription
from kitestring.wire.registry import OF_CONNECTIONS, WINDOWS

log = logging.getLogger("kitestring")

#: Requests that may still be carried out are wanted without a number: their age window. Our own relay gives all it has
#: of them; a foreign one may cap what it gives, and then a client without an answer sends its request again.
LISTEN_FRESH_S: Final = max(window.back_s for window in WINDOWS.values())
#: Of all others only the newest, per REQ: a relay that keeps them all would flood the service at every reconnect.
LISTEN_BACK_EVENTS: Final = 500
REQUEST_KINDS: Final = frozenset(WINDOWS)


class Connections:
    """Keeps gateway, keys, subscriptions and announcements to what is stored.

    ``signers`` are the keys that the pool may sign with, ``own_keys`` those that our relay has room for always; the
    keys of connections are added to both.
    """

    def __init__(
        self, *, store: Store, keyring: Keyring, gateway: Gateway, pool: RelayPool,
        announcer: Announcer, probe: Probe, clock: Clock, signers: dict[str, SecretKey], own_keys: set[str],
    ) -> None:  # fmt: skip
        self._store: Final = store
        self._keyring: Final = keyring
        self._gateway: Final = gateway
        self._pool: Final = pool
        self._announcer: Final = announcer
        self._probe: Final = probe
        self._clock: Final = clock
        self._signers: Final = signers
        self._own_keys: Final = own_keys
        self._requests: Subscription | None = None
        self._background = Background(clock)
        self._log = Seldom(log, clock)
        self._followed = 0  # grants are served as every event up to here has left them

    # ------------------------------------------------------------ life

    async def know(self) -> None:
        """Load the stored connections; before the pool connects, so that it may sign for all of them."""
        self._followed = await self._store.last_event()
        grants = await self._stored()
        self._own_keys.update(self._signers)
        for grant in grants:
            self._know_key(grant)
            self._gateway.set_connection(grant)

    def listen(self) -> None:
        """Have requests to all our keys received from now on."""
        self._requests = self._pool.subscribe(
            "requests", self._request_filters, self._receive, keys=self._gateway.keys()
        )

    def _receive(self, event: Event, relay_url: str) -> None:
        if not self._probe.heard(event, relay_url):
            self._gateway.receive(event, relay_url)

    async def carried(self) -> list[Carried]:
        """Have each relay prove that it carries what is addressed to our keys; takes some seconds."""
        service = self._keyring.service_id
        return await self._probe.ask(service, chosen(self._requests, service))

    def live(self) -> bool:
        """Whether a relay has taken our subscription."""
        return self._requests is not None and bool(self._requests.live_on())

    def listen_no_more(self) -> None:
        """Have no more requests received. What is in hand is the gateway's, and may still change a connection."""
        if self._requests is not None:
            self._requests.close()

    def leave_to_another(self) -> None:
        """Leave all requests to another service with the same keys, until the next start."""
        if self._requests is not None:
            log.error("another service with this key was there before: this one hears no requests any more")
            self.listen_no_more()
            self._requests = None

    async def stop(self) -> None:
        """End what changes connections on its own."""
        await self._background.cancel()

    async def announce(self) -> None:
        """Keep what is announced about all connections on all relays, for ever."""
        rounds = REFRESH_S // MISSING_S
        for number in itertools.count():
            try:
                if number % rounds:
                    await self._announcer.publish_missing()
                else:
                    await self._announcer.keep_announcing(await self._stored())
            except KitestringError as failure:
                self._log.warning("connections are not announced yet: %s", failure.message)
            await self._clock.sleep(MISSING_S)

    # ------------------------------------------------------------ changes

    async def grant_changed(self, grant_id: str) -> None:
        """Serve the grant as it is stored now; a connection is announced and read back before this returns. Raises
        KitestringError(UNAVAILABLE) when no relay shows it."""
        grant = await self._serve(grant_id)
        if grant is not None:
            await self._announcer.announced(grant)
            if grant.revoked_at is None:
                await self._announcer.read_back(grant)

    async def follow(self, feed: Feed) -> None:
        """Serve every grant as it changes, whoever has changed it, for ever; begun anew it goes on where it was."""
        with await feed.view(self._followed, GRANT_CHANGES) as changes:
            while True:
                for row in await changes.read():
                    if isinstance(row, FeedEvent):
                        await self._serve(row.subject)
                        self._followed = row.number

    async def _serve(self, grant_id: str) -> Grant | None:
        """Take one grant as it is stored now; None if it is no connection."""
        grant = await self._store.grant(grant_id)
        if grant is None or grant.wire not in OF_CONNECTIONS:
            return None
        self._know_key(grant)
        self._gateway.set_connection(grant)
        if self._requests is not None:
            self._requests.add_keys((grant.service_pubkey,))
        return grant

    def nip44_seen(self, grant: Grant) -> None:
        """Lift a connection to NIP-44 at its first such request: it never takes anything else again."""
        self._background.spawn(self._raise_cipher(grant))

    async def _raise_cipher(self, seen: Grant) -> None:
        grant = await self._store.grant(seen.grant_id)
        if grant is None or grant.nip44_seen:
            return
        raised = replace(grant, nip44_seen=True, version=grant.version + 1)
        claim = f"nip44:{grant.grant_id}"
        try:
            await execute(self._store, claim, OWNER_GRANT, (SaveGrant(raised),), {}, self._clock.now())
        except KitestringError as failure:
            log.warning("connection %s is not raised to NIP-44 yet: %s", grant.name, failure.message)
            return
        await self._serve(grant.grant_id)

    # ------------------------------------------------------------ what is stored

    async def _stored(self) -> list[Grant]:
        return [grant for grant in await self._store.grants() if grant.wire in OF_CONNECTIONS]

    def _know_key(self, grant: Grant) -> None:
        key = self._keyring.connection_key(grant.grant_id)
        self._signers[key.public_hex] = key
        self._own_keys.add(key.public_hex)

    def _request_filters(self, keys: Sequence[str]) -> list[Filter]:
        tags = {"p": frozenset(keys)}
        return [
            Filter(kinds=REQUEST_KINDS, tags=tags, since=self._clock.now() - LISTEN_FRESH_S),
            # Without times: a clock that is wrong, or steps while this stands, must not leave the service deaf.
            Filter(kinds=REQUEST_KINDS, tags=tags, limit=LISTEN_BACK_EVENTS),
        ]
