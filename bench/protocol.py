"""The protocol path of one request without socket and ledger, and reading an invoice: pure code in this process."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import Final

from bench import world
from bench.figures import Figure
from bench.floor import Floor, Series, cpu_per_call_us
from kitestring.app.service.wires import Wires
from kitestring.base.money import sat
from kitestring.base.outcomes import Balance, Outcome, Paid
from kitestring.codec import bolt11
from kitestring.nostr import kinds
from kitestring.nostr.filter import Filter
from kitestring.nostr.inbox import Accept, Inbox
from kitestring.nostr.relay import ClientConversation, EventMessage, event_frame
from kitestring.wire.envelope import decrypt
from kitestring.wire.grammar import Facts
from kitestring.wire.registry import BY_KIND, WINDOWS
from kitestring.wire.reply_to import CONNECTION_KEY_PREFIX, ReplyTo

ROUNDS: Final = 15
REQUESTS: Final = 512
SUBSCRIPTION: Final = "requests:0"

_BALANCE: Final = Balance(sat(1_000))


class Path:
    """Relay frame in, relay frame out, as the service's own parts do it one after the other."""

    def __init__(self) -> None:
        grants = {grant.service_pubkey: grant for grant in world.grants()}
        ring = world.keyring()
        self._wires = Wires(ring, os.urandom)
        self._talk = ClientConversation("ws://127.0.0.1")
        self._talk.subscribe(SUBSCRIPTION, [Filter(kinds=frozenset({kinds.NWC_REQUEST}))])
        callers = {(key, grant.caller): grant for key, grant in grants.items()}
        self._inbox = Inbox(grants.__contains__, lambda _, recipient, author: callers.get((recipient, author)), WINDOWS)
        self._facts = Facts(world.NETWORK)
        self._now = int(time.time())

    def answer(self, frame: bytes, outcome: Outcome) -> bytes:
        message = self._talk.receive(frame)
        assert type(message) is EventMessage
        event = message.event
        verdict = self._inbox.check(event, self._now)
        assert type(verdict) is Accept
        wire, grant = BY_KIND[event.kind], verdict.speaker
        cipher = wire.cipher(event, grant).cipher
        key_id = CONNECTION_KEY_PREFIX + grant.grant_id
        to = ReplyTo(wire.name, key_id, event.pubkey, cipher, event.id, event.created_at)
        asked = wire.read(decrypt(event.content, cipher, self._wires.secret(to)), event, to, self._facts)
        encoded = self._wires.encode_to(asked.to, outcome, self._now)
        self._inbox.done(event.id)
        assert encoded is not None
        return event_frame(encoded.event)


def _frames(text: Callable[[int], str]) -> list[bytes]:
    return [
        world.frame(SUBSCRIPTION, world.request(world.client(number % world.CLIENTS), text(number)))
        for number in range(REQUESTS)
    ]


def measure(floor: Floor) -> list[Figure]:
    invoices = [world.invoice(number) for number in range(REQUESTS)]
    reading = _frames(lambda _: '{"method":"get_balance","params":{}}')
    paying = _frames(lambda n: '{"method":"pay_invoice","params":{"invoice":"' + invoices[n] + '"}}')
    paid = Paid("", world.preimage(0).hex(), sat(1_000), sat(1))
    path = Path()
    works: tuple[Callable[[int], object], ...] = (
        lambda i: path.answer(reading[i], _BALANCE),
        lambda i: path.answer(paying[i], paid),
        lambda i: bolt11.decode(invoices[i]),
        lambda i: bolt11.decode(invoices[i], recover=False),
    )
    series = [Series(floor) for _ in works]
    for number, (work, row) in itertools.product(range(ROUNDS + 1), zip(works, series, strict=True)):
        before = floor.sample()
        cost = cpu_per_call_us(work, REQUESTS)
        if number:  # the first round fills the caches
            row.add(cost, before)
    get, pay, decode, unrecovered = series
    recovery = decode.ratio - unrecovered.ratio
    return [
        Figure(
            "protocol path of one NWC request",
            get.ratio,
            2.0,
            "lower",
            f"{get.median_us:.0f} µs for get_balance; {pay.median_us:.0f} µs ({pay.ratio:.2f}×) for pay_invoice",
        ),
        Figure(
            "BOLT11 decode",
            decode.ratio,
            3.0,
            "lower",
            f"{decode.median_us:.0f} µs; recovering the payee {recovery:.2f}×",
        ),
    ]
