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

#: The byte that the key of a stranger is made of.
STRANGER = 13
#: The proof of work that an account costs where strangers may enroll in tests.
WORK_BITS = 4
#: The pointer of debits that a house has, if it has one.
POINTER = "till"
#: The link for apps that it has, if it has one.
LINK = "market"


class Peer:
    """Somebody who asks a service by events of one kind. What it sends is on the relay forever."""

    kind: int
    answer_kind: int

    def __init__(self, key: SecretKey, service: str, relay: KeepingRelay, clock: Clock, entropy: Entropy) -> None:
        self.key, self.service = key, service
        self._relay, self._clock, self._entropy = relay, clock, entropy
        self._shared = shared_secret(self.key, self.service, "nip44")

    def signed(self, plaintext: str, *, expires_at: int | None = None, work_bits: int = 0) -> Event:
        """A request that nobody has seen yet."""
        return request_event(
            self.key, kind=self.kind, service=self.service, cipher="nip44", shared=self._shared, plaintext=plaintext,
            entropy=self._entropy, now=self._clock.now(), expires_at=expires_at,
            work_bits=work_bits,
        )  # fmt: skip

    def publish(self, event: Event) -> Event:
        self._relay.publish(event)
        return event

    def replies(self, event: Event) -> list[Any]:
        """Every answer that the relay shows, the first one first."""
        return [reply for _, reply in self.named_replies(event)]

    def named_replies(self, event: Event) -> list[tuple[str, Any]]:
        """The same with the name of the part that each answers (``d``), "" for none."""
        found = [
            other
            for other in self._relay.events
            if other.pubkey == self.service and other.kind == self.answer_kind and first_tag(other, "e") == event.id
        ]
        return [
            (first_tag(other, "d") or "", json.loads(decrypt(other.content, "nip44", self._shared))) for other in found
        ]

    async def first(self, event: Event, limit_s: float = 3_600.0) -> Any:
        """The first answer, waiting for it; None when there is none within ``limit_s`` virtual seconds."""
        until = self._clock.monotonic() + limit_s
        while not (replies := self.replies(event)) and self._clock.monotonic() < until:
            await self._clock.sleep(0.5)
        return replies[0] if replies else None


class Stranger(Peer):
    """Asks an offer of the service for an invoice."""

    kind = answer_kind = kinds.OFFER

    async def invoice(self, offer_id: str, amount_sats: int) -> tuple[Event, str]:
        """The request, and the bolt11 that it was answered with."""
        event = self.publish(self.signed(json.dumps({"offer": offer_id, "amount_sats": amount_sats})))
        answer = await self.first(event)
        return event, str(answer["bolt11"])


class Newcomer(Peer):
    """Asks the service for an account."""

    kind = answer_kind = kinds.ENROLL

    def request(self) -> Event:
        """A signed request with as much work as a house asks for, that nobody has seen yet."""
        return self.signed("{}", work_bits=WORK_BITS)


class Requestor(Peer):
    """Asks a pointer of the service for money."""

    kind = answer_kind = kinds.DEBIT

    def request(self, bolt11: str = "", *, pointer: str = POINTER, **members: Any) -> Event:
        """A signed request that nobody has seen yet: to be paid, or (without an invoice) to be allowed to take."""
        asked = {"bolt11": bolt11} if bolt11 else {}
        return self.signed(json.dumps({"pointer": pointer} | asked | members))

    def code(self, event: Event) -> str:
        """What the first answer says: ``ok``, ``GFY 5``, or "" while there is none."""
        replies = self.replies(event)
        return debit_code(replies[0]) if replies else ""


class Manager(Peer):
    """An app that manages offers over a link of the service."""

    kind = answer_kind = kinds.MANAGE

    def request(self, action: str, offer: Any = None, *, link: str = LINK) -> Event:
        """A signed request that nobody has seen yet."""
        asked = {"resource": "offer", "action": action, "pointer": link, "offer": offer or {}}
        return self.signed(json.dumps(asked))


def debit_code(reply: Any) -> str:
    return "ok" if reply["res"] == "ok" else f"GFY {reply['code']}"


class App(Peer):
    """``uri`` is the connection's."""

    kind, answer_kind = kinds.NWC_REQUEST, kinds.NWC_RESPONSE

    def __init__(self, uri: str, relay: KeepingRelay, clock: Clock, entropy: Entropy) -> None:
        self.uri = uri
        found = decode_nwc(uri)
        super().__init__(SecretKey(found.secret), found.service_pubkey, relay, clock, entropy)

    def request(self, method: str, params: Any = None, *, expires_at: int | None = None) -> Event:
        """A signed request that nobody has seen yet."""
        return self.signed(json.dumps({"method": method, "params": params or {}}), expires_at=expires_at)

    def send(self, method: str, params: Any = None, **how: Any) -> Event:
        """Publish a request; the event that was asked with."""
        return self.publish(self.request(method, params, **how))

    def pay(self, bolt11: str, **params: Any) -> Event:
        return self.send("pay_invoice", {"invoice": bolt11, **params})

    def notifications(self) -> list[tuple[str, Any]]:
        """The type and the transaction of every notification that the relay shows, in NIP-44."""
        found = [
            json.loads(decrypt(event.content, "nip44", self._shared))
            for event in self._relay.events
            if event.pubkey == self.service and event.kind == kinds.NWC_NOTIFY
        ]
        return [(one["notification_type"], one["notification"]) for one in found]

    def code(self, event: Event) -> str:
        """What the first answer says: an error's code, ``ok``, or "" while there is none."""
        replies = self.replies(event)
        if not replies:
            return ""
        error = replies[0].get("error")
        return str(error["code"]) if error else "ok"

    async def answer(self, event: Event, limit_s: float = 3_600.0) -> str:
        """As :meth:`code`, waiting for it; "" when there is none within ``limit_s`` virtual seconds."""
        await self.first(event, limit_s)
        return self.code(event)
