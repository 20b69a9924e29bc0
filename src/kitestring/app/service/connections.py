"""The grants of the running service as the ledger has them now: wallet connections (NWC) are listened to and announced,
callers of debits are known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.announcer import MISSING_S, Announcer
from kitestring.app.service.background import Background
from kitestring.app.service.execute import execute
from kitestring.app.service.gateway import Gateway
from kitestring.app.service.last_uses import LastUses
from kitestring.app.service.probe import Probe, chosen
from kitestring.app.service.reach import Reach, why_deaf
from kitestring.app.service.relay_word import Carried, RelayWord
from kitestring.app.service.seldom import Seldom
from kitestring.app.service.signers import Signers
from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import KitestringError
from kitestring.base.events import GRANT_CHANGES, FeedEvent
from kitestring.base.grants import Grant
from kitestring.base.ports import Clock
from kitestring.base.store import Store
from kitestring.base.transactions.owner import SaveGrant
from kitestring.engine.feed import Feed
from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter
from kitestring.relay.vouched import VouchedKeys
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription
from kitestring.wire.registry import BY_NAME, OF_CONNECTIONS, WINDOWS

log = logging.getLogger("kitestring")

#: Requests that may still be carried out are wanted without a number: their age window. Our own relay gives all it has
#: of them; a foreign one may cap what it gives, and then a client without an answer sends its request again.
LISTEN_FRESH_S: Final = max(window.back_s for window in WINDOWS.values())
#: Of all others only the newest, per REQ: a relay that keeps them all would flood the service at every reconnect.
LISTEN_BACK_EVENTS: Final = 500
REQUEST_KINDS: Final = frozenset(WINDOWS)


class Connections:
    """Keeps gateway, keys, subscriptions and announcements to what is stored.

    ``signers`` are the keys that the pool may sign with, ``vouched`` those that our own relay has room for always: the
    keys of connections are added to both, and those of all apps that have a grant to the latter.
    """

    def __init__(
        self, *, store: Store, keyring: Keyring, gateway: Gateway, pool: RelayPool,
        announcer: Announcer, probe: Probe, clock: Clock, signers: Signers, vouched: VouchedKeys,
        last_uses: LastUses,
    ) -> None:  # fmt: skip
        self._store: Final = store
        self._keyring: Final = keyring
        self._gateway: Final = gateway
        self._pool: Final = pool
        self._announcer: Final = announcer
        self._probe: Final = probe
        self._reach: Final = Reach(pool, announcer, clock)
        self._clock: Final = clock
        self._signers: Final = signers
        self._vouched: Final = vouched
        self._last_uses: Final = last_uses
        self._callers: Final[dict[str, str]] = {}
        self._requests: Subscription | None = None
        self._background = Background(clock)
        self._log = Seldom(log, clock)
        self._uses: Final[dict[tuple[str, str], bool]] = {}  # being noted, by connection and app; whether in NIP-44
        self._followed = 0  # grants are served as every event up to here has left them

    # ------------------------------------------------------------ life

    async def know(self) -> None:
        """Load the stored grants; before the pool connects, so that it may sign for all connections. Those used last
        come first: a relay that asks for an AUTH by each key takes minutes for thousands of them."""
        self._followed = await self._store.last_event()
        grants, used = await self._store.grants(), await self._last_uses.load()
        grants.sort(key=lambda grant: used.get(grant.grant_id, grant.created_at), reverse=True)
        self._vouched.own.update(self._signers)
        for grant in grants:
            self._know(grant)

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

    def live_urls(self) -> list[str]:
        """The relays that have taken our subscription."""
        return [] if self._requests is None else self._requests.live_on()

    def settled(self) -> bool:
        """Whether each relay has taken our subscription, or is known not to."""
        live = self.live_urls()
        return all(row.url in live or row.last_error or row.refused for row in self._pool.status())

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
        """Keep what is announced about all connections on all relays, forever."""
        while True:
            try:
                if self._announcer.is_look_due():
                    await self._announcer.keep_announcing(await self._stored())
                else:
                    await self._announcer.publish_missing()
            except KitestringError as failure:
                self._log.warning("connections are not announced yet: %s", failure.message)
            await self._clock.sleep(MISSING_S)

    # ------------------------------------------------------------ changes

    async def grant_changed(self, grant_id: str) -> None:
        """Serve the grant as it is stored now. To announce it is the announcer's, for as long as it takes."""
        await self._serve(grant_id)

    async def relay_words(self, grant: Grant) -> tuple[RelayWord, ...]:
        """The words of each relay about the connection; they have a moment to answer. See :class:`Reach`."""
        return await self._reach.words(grant)

    def why_deaf(self) -> str:
        """Say why no relay brings us requests, in the words of each."""
        return why_deaf(self._pool.status())

    async def follow(self, feed: Feed) -> None:
        """Serve every grant as it changes, whoever has changed it, forever; begun anew it goes on where it was."""
        with await feed.reader(self._followed, GRANT_CHANGES) as changes:
            while True:
                for row in await changes.read():
                    if isinstance(row, FeedEvent):
                        await self._serve(row.subject)
                        self._followed = row.number

    async def _serve(self, grant_id: str) -> None:
        """Take one grant as it is stored now."""
        grant = await self._store.grant(grant_id)
        if grant is None:
            return
        self._know(grant)
        if grant.wire in OF_CONNECTIONS and self._requests is not None:
            self._requests.add_keys((grant.service_pubkey,))

    def _know(self, grant: Grant) -> None:
        if grant.wire not in BY_NAME:  # the owner's
            return
        if grant.wire in OF_CONNECTIONS:
            self._know_key(grant)
        self._know_caller(grant)
        self._gateway.set_grant(grant)

    def used(self, grant: Grant, *, nip44: bool) -> None:
        """Note a first request. Its sender has the link, so nobody can be shown it again; a connection for both
        encryptions is lifted to NIP-44 by the first ``nip44`` request, and never takes anything else again."""
        use = grant.grant_id, grant.caller
        under_way = self._uses.get(use)
        self._uses[use] = nip44 or bool(under_way)
        if under_way is None:
            self._background.spawn(self._note_uses(*use))

    async def _note_uses(self, grant_id: str, caller: str) -> None:
        """Note them one after the other: the first NIP-44 request may come while the first of all is being noted."""
        noted: bool | None = None
        try:
            while noted is not self._uses[grant_id, caller]:
                noted = self._uses[grant_id, caller]
                await self._note_use(grant_id, caller, nip44=noted)
        finally:
            del self._uses[grant_id, caller]

    async def _note_use(self, grant_id: str, caller: str, *, nip44: bool) -> None:
        grant = await self._store.grant(grant_id)
        if grant is None or grant.caller != caller:  # it has another link by now, which nobody has used
            return
        if not (grant.link_salt or (nip44 and not grant.nip44_seen)):
            return
        used = replace(grant, nip44_seen=grant.nip44_seen or nip44, link_salt=b"", version=grant.version + 1)
        claim = f"used:{grant.grant_id}:{used.version}"
        try:
            await execute(self._store, claim, OWNER_GRANT, (SaveGrant(used),), {}, self._clock.now())
        except KitestringError as failure:
            self._log.warning("the first use of connection %s is not noted yet: %s", grant.name, failure.message)
            return
        await self._serve(grant.grant_id)

    # ------------------------------------------------------------ what is stored

    async def _stored(self) -> list[Grant]:
        return [grant for grant in await self._store.grants() if grant.wire in OF_CONNECTIONS]

    def _know_key(self, grant: Grant) -> None:
        self._signers.add(grant.service_pubkey, grant.grant_id)
        self._vouched.own.add(grant.service_pubkey)

    def _know_caller(self, grant: Grant) -> None:
        """An app is known as long as it has a grant that is not revoked; a pointer of debits has no app."""
        before = self._callers.pop(grant.grant_id, "")
        if grant.caller and grant.revoked_at is None:
            self._callers[grant.grant_id] = grant.caller
            self._vouched.known.add(grant.caller)
        if before not in {"", self._callers.get(grant.grant_id)} and before not in self._callers.values():
            self._vouched.known.discard(before)

    def _request_filters(self, keys: Sequence[str]) -> list[Filter]:
        tags = {"p": frozenset(keys)}
        return [
            Filter(kinds=REQUEST_KINDS, tags=tags, since=self._clock.now() - LISTEN_FRESH_S),
            # Without times: a clock that is wrong, or steps while this stands, must not leave the service deaf.
            Filter(kinds=REQUEST_KINDS, tags=tags, limit=LISTEN_BACK_EVENTS),
        ]
