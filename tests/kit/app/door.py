"""A gateway in front of a real engine: real events go in, real events come out, and a pool that sends them nowhere."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from kitestring.app.home.config import RequestLimits
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.announcer import Announcer
from kitestring.app.service.background import Background
from kitestring.app.service.gateway import Gateway
from kitestring.app.service.last_words import LastWords
from kitestring.app.service.notifier import Notifier
from kitestring.app.service.rendezvous import Rendezvous
from kitestring.app.service.routes import routes
from kitestring.app.service.seams import Seams
from kitestring.app.service.throttling import Throttles
from kitestring.app.service.waiters import Waiters
from kitestring.app.service.wires import Wires
from kitestring.base.grants import Grant
from kitestring.base.ports import Encoded
from kitestring.base.records import Message
from kitestring.client.net import Net
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, decode_event, first_tag, verify_event
from kitestring.transport.publications import PublishResult, RelayAnswer, Verdict
from kitestring.wire.envelope import decrypt, request_event, shared_secret
from kitestring.wire.grammar import Facts
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life, Rig

APP = SecretKey(b"\x01" * 32)
STRANGER = SecretKey(b"\x02" * 32)
NODE_KEY = b"\x03" * 32
URL = "ws://127.0.0.1:1"


def at_once(go: Callable[[], None]) -> bool:
    """In the place of a witness that knows of everything already."""
    go()
    return True


class Pool:
    """A relay pool whose relays take at once what ``takes`` says, by default everything."""

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.takes: Callable[[Event], bool] = lambda _: True

    def send(self, event_id: str, pubkey: str, event_json: bytes, done: Any) -> None:
        event = decode_event(event_json)
        assert (event.id, event.pubkey) == (event_id, pubkey)
        assert verify_event(event)
        taken = self.takes(event)
        if taken:
            self.sent.append(event)
        done(PublishResult(taken, {URL: Verdict(RelayAnswer.ACCEPTED if taken else RelayAnswer.LATER)}))

    def connected_urls(self) -> list[str]:
        return [URL]


class Door:
    """A gateway in front of a real engine, and one NWC connection ``app`` of the client :data:`APP`."""

    def __init__(self, rig: Rig, limits: RequestLimits) -> None:
        self.rig, self.clock = rig, rig.clock
        self.keyring = Keyring(b"\x09" * 32)
        self.pool = Pool()
        self.raised: list[str] = []
        self.used: list[str] = []
        self._askers = {key.public_hex: key for key in (APP, STRANGER)}
        wires = Wires(self.keyring, rig.life.entropy)
        pool: Any = self.pool
        self.waiters = Waiters()
        announcer = Announcer(pool, rig.store, self.keyring, rig.clock, rig.life.entropy)
        rig.store.subscribe(self.waiters.hear)
        self.notifier = Notifier(pool, rig.store, wires, rig.clock)
        rendezvous = Rendezvous(Net(rig.clock, rig.life.entropy))
        seams = Seams(
            pool,
            rig.store,
            wires,
            rig.clock,
            announcer,
            at_once,
            self.notifier,
            rendezvous,
            Background(rig.clock),
        )
        rig.delivery._routes = routes(seams)
        rig.context.encode, rig.context.deliver = wires.encode, self._deliver
        rig.context.enrolling = replace(rig.context.enrolling, service_pubkey=self.keyring.service_id)
        self._wires, self._limits = wires, limits
        self.seen: list[str] = []
        self.refused: list[Any] = []
        self.gateway = self._new_gateway()

    def _new_gateway(self) -> Gateway:
        return Gateway(
            service_pubkey=self.keyring.service_id, facts=Facts("regtest"), wires=self._wires, engine=self.rig.engine,
            send_once=self._send_once, clock=self.clock, throttles=Throttles(self._limits, self.clock),
            last_words=LastWords(self.rig.life.path.with_suffix(".refused"), self.clock), used=self._note_use,
            seen=self.seen.append, refused=lambda *told: self.refused.append(told),
        )  # fmt: skip

    def _note_use(self, grant: Grant, nip44: bool) -> None:
        (self.raised if nip44 else self.used).append(grant.grant_id)

    def _deliver(self, messages: tuple[Message, ...]) -> None:
        self.waiters.tell(messages)
        self.rig.delivery.send_once(messages)

    def _send_once(self, answer: Encoded) -> None:
        event = decode_event(answer.event)
        self.pool.send(event.id, event.pubkey, answer.event, lambda _: None)

    async def open(self, **more: Any) -> None:
        key = self.keyring.connection_key("app")
        await self.rig.grant("app", caller=APP.public_hex, service_pubkey=key.public_hex, **more)
        await self.refresh()
        await self.rig.engine.start()

    async def forget(self) -> None:
        """What a restart forgets: which requests were answered, and whose buckets are empty."""
        self.gateway = self._new_gateway()
        await self.refresh()

    async def refresh(self) -> None:
        for grant in await self.rig.store.grants():
            self.gateway.set_grant(grant)

    @property
    def grant_key(self) -> str:
        return self.keyring.connection_key("app").public_hex

    # ------------------------------------------------------------ asking

    def request(self, method: str, params: Any = None, **how: Any) -> Event:
        return self.event(json.dumps({"method": method, "params": params}), **how)

    def event(
        self, plaintext: str, *, key: SecretKey = APP, to: str = "", cipher: Any = "nip44", age_s: int = 0,
        kind: int = kinds.NWC_REQUEST, expires_at: int | None = None,
    ) -> Event:  # fmt: skip
        service = to or self.grant_key
        self._askers[key.public_hex] = key
        return request_event(
            key, kind=kind, service=service, plaintext=plaintext, cipher=cipher,
            shared=shared_secret(key, service, cipher), entropy=self.rig.life.entropy, now=self.clock.now() - age_s,
            expires_at=expires_at,
        )  # fmt: skip

    async def tell(self, event: Event) -> list[Any]:
        """Receive it and let the service come to rest; what was published about it."""
        before = len(self.pool.sent)
        self.gateway.receive(event, "ws://127.0.0.1:1")
        await self.gateway.drain(60)
        await self.clock.sleep(0.1)
        return [self.read(reply) for reply in self.pool.sent[before:] if first_tag(reply, "e") == event.id]

    def offer_request(self, text: str = '{"offer":"coffee","amount_sats":21}', **how: Any) -> Event:
        """Of a stranger, to the service's own key."""
        asking: dict[str, Any] = {"key": STRANGER, "to": self.keyring.service_id, "kind": kinds.OFFER}
        return self.event(text, **(asking | how))

    async def ask(self, method: str, params: Any = None, **how: Any) -> Any:
        (reply,) = await self.tell(self.request(method, params, **how))
        return reply

    def read(self, reply: Event) -> Any:
        key = self._askers[first_tag(reply, "p") or ""]
        cipher: Any = "nip04" if "?iv=" in reply.content else "nip44"
        return json.loads(decrypt(reply.content, cipher, shared_secret(key, reply.pubkey, cipher)))

    def invoice(self, script: Script | None = None, **more: Any) -> str:
        """A real invoice of somebody outside, over 10 sat."""
        return self.rig.node.outside_bolt11(**({"amount_msat": 10_000, "script": script} | more))


Test = Callable[[Life, Door], Awaitable[None]]


def door(limits: RequestLimits | None = None, **grant: Any) -> Callable[[Test], Callable[[Life], None]]:
    """Run ``test(life, door)`` with an open door on a virtual clock."""

    def decorate(test: Test) -> Callable[[Life], None]:
        async def story(life: Life) -> None:
            async with life.service(start=False) as rig:
                opened = Door(rig, limits or RequestLimits())
                await opened.open(**grant)
                await test(life, opened)

        def run(life: Life) -> None:
            virtual(story)(life)

        run.__name__ = test.__name__
        return run

    return decorate


def code(reply: Any) -> str:
    return str(reply["error"]["code"])
