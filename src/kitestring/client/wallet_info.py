"""The info event of a wallet (kind 13194), read at the beginning and then watched: what it says about itself to all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kitestring.client.net import Waits
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription
from kitestring.wire.ask.nwc.announcement import ServiceInfo, read_info_event


class WalletInfo:
    """``latest`` is what the newest info event of ``service`` says, None while there is none. ``nip44_seen`` is true
    once any of them has offered NIP-44."""

    def __init__(self, pool: RelayPool, service: str, *, nip44_seen: bool) -> None:
        self.latest: ServiceInfo | None = None
        self.nip44_seen = nip44_seen
        self._pool: Final = pool
        self._service: Final = service
        self._created_at = -1

    async def open(self, waits: Waits) -> None:
        """Listen for as long as the pool lives. Returns when one relay has told it; where the first one has none, the
        others have ``others_s`` seconds to tell it."""
        subscription = self._pool.subscribe("info", self._filters, self._hear)
        await self._pool.until(lambda: self._is_told(subscription) or bool(subscription.live_on()), waits.info_s)
        await self._pool.until(lambda: self._is_told(subscription) or subscription.settled(), waits.others_s)

    def _is_told(self, subscription: Subscription) -> bool:
        return self.latest is not None and bool(subscription.live_on())

    def _filters(self, _: Sequence[str]) -> Sequence[Filter]:
        return (Filter(kinds={kinds.NWC_INFO}, authors={self._service}, limit=1),)

    def _hear(self, event: Event, _: str) -> None:
        if event.kind != kinds.NWC_INFO or event.pubkey != self._service or event.created_at <= self._created_at:
            return
        if verify_event(event):
            self._created_at = event.created_at
            self.latest = read_info_event(event)
            self.nip44_seen = self.nip44_seen or "nip44" in self.latest.ciphers
