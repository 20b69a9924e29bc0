"""An app with a wallet connection: it signs with its own clock, and hears what the relay shows."""

from __future__ import annotations

import json
from typing import Any

from kitestring.base.ports import Clock, Entropy
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag
from kitestring.wire.envelope import decrypt, request_event, shared_secret
from tests.kit.app.relay import KeepingRelay


class App:
    """``uri`` is the connection's. What it sends is on the relay for ever."""

    def __init__(self, uri: str, relay: KeepingRelay, clock: Clock, entropy: Entropy) -> None:
        found = decode_nwc(uri)
        self.key, self.service = SecretKey(found.secret), found.service_pubkey
        self._relay, self._clock, self._entropy = relay, clock, entropy
        self._shared = shared_secret(self.key, self.service, "nip44")

    def request(self, method: str, params: Any = None, *, expires_at: int | None = None) -> Event:
        """A signed request that nobody has seen yet."""
        return request_event(
            self.key, kind=kinds.NWC_REQUEST, service=self.service, cipher="nip44", shared=self._shared,
            plaintext=json.dumps({"method": method, "params": params or {}}), entropy=self._entropy,
            now=self._clock.now(), expires_at=expires_at,
        )  # fmt: skip

    def send(self, method: str, params: Any = None, **how: Any) -> Event:
        """Publish a request; the event that was asked with."""
        event = self.request(method, params, **how)
        self._relay.publish(event)
        return event

    def pay(self, bolt11: str, **params: Any) -> Event:
        return self.send("pay_invoice", {"invoice": bolt11, **params})

    def again(self, event: Event) -> None:
        """The very same event once more."""
        self._relay.publish(event)

    def replies(self, event: Event) -> list[Any]:
        """Every answer that the relay shows, the first one first."""
        found = [
            other
            for other in self._relay.events
            if other.pubkey == self.service and other.kind == kinds.NWC_RESPONSE and first_tag(other, "e") == event.id
        ]
        return [json.loads(decrypt(other.content, "nip44", self._shared)) for other in found]

    def code(self, event: Event) -> str:
        """What the first answer says: an error's code, ``ok``, or "" while there is none."""
        replies = self.replies(event)
        if not replies:
            return ""
        return str(replies[0]["error"]["code"]) if replies[0]["error"] else "ok"

    async def answer(self, event: Event, limit_s: float = 3_600.0) -> str:
        """As :meth:`code`, waiting for it; "" when there is none within ``limit_s`` virtual seconds."""
        until = self._clock.monotonic() + limit_s
        while not (code := self.code(event)) and self._clock.monotonic() < until:
            await self._clock.sleep(0.5)
        return code
