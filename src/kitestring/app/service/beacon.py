"""The beacon of the service: one replaceable event that says to everybody that it works, and what it is.

It is said anew every minute, and only while the node and a relay work: who reads none for three minutes knows that the
service is away. Nothing of it is stored, and one at a time is on its way: what no relay takes is not kept, because the
next one says more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from kitestring.app.home.beacon import BeaconSettings, operator_key
from kitestring.app.service.seldom import Seldom
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ports import Clock, Entropy
from kitestring.codec.beacon import MAX_RELAYS, BeaconContent, BeaconFees
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.policy.fees import NO_SERVICE_FEE, ServiceFee
from kitestring.transport.publications import RelayAnswer, Verdict
from kitestring.transport.relays import RelayPool
from kitestring.wire.beacon import AHEAD_S, EVERY_S, beacon_draft
from kitestring.wire.grammar import Draft
from kitestring.wire.registry import WIRES

log = logging.getLogger("kitestring.beacon")

#: Seconds after which it is tried again where the node or every relay was away: who comes back is soon seen.
AGAIN_S: Final = 15.0
#: Seconds in which each relay must take it.
PUBLISH_S: Final = 10.0


def clink_kinds(switched_off: Collection[str] = ()) -> tuple[int, ...]:
    """The kinds of requests of CLINK that the service answers: of every wire but those that are ``switched_off``, by
    name."""
    served = {kind for wire in WIRES if wire.name not in switched_off for kind in wire.windows}
    return tuple(sorted(served & kinds.CLINK))


def told_fees(fee: ServiceFee) -> BeaconFees | None:
    """The fee of the service as its beacon tells it; None where it takes none."""
    return None if fee == NO_SERVICE_FEE else BeaconFees(fee.floor_msat.sats_up(), fee.bps)


@dataclass(frozen=True, slots=True)
class BeaconFacts:
    """Told in the beacon beside the settings, and true of the service: ``relays`` where it listens, the preferred one
    first; ``supported_kinds`` of the requests that it answers; the ``fees`` that it takes and the ``enroll_difficulty``
    that it enforces, None where it says nothing about them."""

    relays: tuple[str, ...]
    supported_kinds: tuple[int, ...]
    fees: BeaconFees | None = None
    enroll_difficulty: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The last beacon, and the word of each relay about it."""

    event: Event
    relays: Mapping[str, Verdict]
    is_taken: bool


class BeaconPublisher:
    """Publishes the beacon of one service with ``key``. ``trouble`` says why the service does not work now, "" where it
    does; it must not raise."""

    def __init__(
        self, pool: RelayPool, key: SecretKey, settings: BeaconSettings, facts: BeaconFacts,
        trouble: Callable[[], Awaitable[str]], clock: Clock, entropy: Entropy,
    ) -> None:  # fmt: skip
        self.is_on: Final = settings.publish
        self.operator: Final = operator_key(settings.operator)
        self.content: Final = BeaconContent(
            name=settings.name, avatar_url=settings.avatar_url, website=settings.website,
            description=settings.description, relays=facts.relays[:MAX_RELAYS], fees=facts.fees,
            enroll_difficulty=facts.enroll_difficulty, supported_kinds=facts.supported_kinds,
        )  # fmt: skip
        self.said: Said | None = None
        self._pool = pool
        self._key = key
        self._trouble = trouble
        self._clock = clock
        self._entropy = entropy
        self._turn: Final = asyncio.Lock()
        self._log = Seldom(log, clock)

    def draft(self) -> Draft:
        """The beacon as it is now, before it has a key and a date."""
        return beacon_draft(self.content, self.operator)

    async def watch(self) -> None:
        """Forever: say it every minute while the service works. Where it is switched off, nothing is ever said."""
        if not self.is_on:
            await asyncio.Event().wait()
        while True:
            began_s = self._clock.monotonic()
            pause_s = EVERY_S if await self._say_if_it_works() else AGAIN_S
            await self._clock.sleep(max(0.0, began_s + pause_s - self._clock.monotonic()))

    async def _say_if_it_works(self) -> bool:
        try:
            said = await self.publish()
        except KitestringError as failure:
            self._log.warning("no beacon is published: %s", failure.message)
            return False
        if not said.is_taken:
            self._log.warning("no relay takes the beacon")
        return said.is_taken

    async def publish(self) -> Said:
        """Say it now. Raises KitestringError: UNSUPPORTED where it is switched off, UNAVAILABLE where the service does
        not work."""
        if not self.is_on:
            sentence = "the beacon is switched off: set `publish = true` in the section [beacon] of the settings"
            raise KitestringError(Reason.UNSUPPORTED, sentence, key="beacon.publish")
        async with self._turn:
            if why := await self._trouble():
                raise KitestringError(Reason.UNAVAILABLE, why)
            event = self._signed()
            result = await self._pool.publish(event, deadline_s=PUBLISH_S, every=True)
            is_taken = any(verdict.answer is RelayAnswer.ACCEPTED for verdict in result.relays.values())
            self.said = Said(event, result.relays, is_taken)
            return self.said

    def _signed(self) -> Event:
        """Relays keep the newest, so that each is dated after the one before; but a date that a clock had set far ahead
        binds no later one, for nobody believes it."""
        now, draft = self._clock.now(), self.draft()
        last = 0 if self.said is None else self.said.event.created_at
        at = max(now, last + 1) if last < now + AHEAD_S else now
        return sign_event(
            self._key, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=at, aux=self._entropy(32)
        )
