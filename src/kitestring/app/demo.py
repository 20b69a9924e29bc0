"""The whole story in one process tree: an offer is paid, a connection pays, a budget refuses, a crash loses nothing.

The relay and everybody outside live in this process; the service is a child that is killed in mid-payment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from kitestring.app.demo_words import NAMES, WireLine, line
from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.base.node import NodePaymentState
from kitestring.base.outcomes import Paid
from kitestring.client.net import Net
from kitestring.client.nwc import NwcClient
from kitestring.client.offers.asking import OfferQuestion, ask_offer
from kitestring.codec import bolt11, pointers
from kitestring.crypto import nip44
from kitestring.crypto.keys import SecretKey
from kitestring.ledger.audit.checks import audit
from kitestring.nostr.event import Event, first_tag, verify_event
from kitestring.nostr.filter import Filter
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.transport.relays import RelayPool

#: Seconds for each wait of the story; a healthy machine needs less than two.
PATIENCE_S: Final = 30.0
ROUND_S: Final = 0.02
#: How long the payee of the crash scene keeps the payment: long enough to kill the service in between.
LATE_MS: Final = 1_500
OFFER_SAT: Final = 21
PAY_SAT: Final = 50
TIGHT_SAT: Final = 100
TOO_MUCH_SAT: Final = 500
#: How a client begins the sentence of a wallet that has refused.
REFUSED_BY: Final = "the wallet refused: "
CRASH_SAT: Final = 77


class Audience(Protocol):
    """A spectator of the story: the command line, or a test."""

    def scene(self, title: str) -> None: ...
    def tell(self, text: str) -> None: ...
    def wire(self, line: WireLine, event: Event, plaintext: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """``violations`` of the ledger and against the node; ``events`` seen on the relay, ``forged`` among them."""

    violations: tuple[str, ...]
    events: int
    forged: int
    killed_pid: int

    @property
    def good(self) -> bool:
        return not self.violations and not self.forged and self.events > 0


class Child:
    """The service as a process of its own."""

    def __init__(self, home: Path, relay_url: str) -> None:
        self._command = [sys.executable, "-m", "kitestring", "up", "--json", "--data-dir", str(home)]
        self._command += ["--relay", relay_url]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> dict[str, Any]:
        """The card. Raises KitestringError when the service does not come up."""
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.PIPE)
        pipe = self._process.stdout
        line = await asyncio.wait_for(pipe.readline(), PATIENCE_S) if pipe is not None else b""
        if not line:
            raise KitestringError(Reason.INTERNAL, "the service of the demonstration did not start")
        card: dict[str, Any] = json.loads(line)
        return card

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    async def end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        await asyncio.wait_for(self._process.wait(), PATIENCE_S)
        self._process = None


class Demo:
    """One performance in ``home``, an empty directory."""

    def __init__(self, home: Path, audience: Audience) -> None:
        self._home = DataDir(home, home)
        self._audience = audience
        self._clock = SystemClock()
        self._events = 0
        self._forged = 0
        self._keys: dict[str, SecretKey] = {}

    async def play(self) -> Ending:
        """Raises KitestringError when the story does not go as it should."""
        async with self._stage() as (relay_url, child):
            card = await self._opening(child, relay_url)
            await self._offer(card["noffer"], relay_url)
            async with self._client(await self._first_link(card["unused"])) as client:
                await self._payment(client)
                await self._budget()
                killed = await self._crash(client, child)
            violations = await self._audit()
        return Ending(tuple(violations), self._events, self._forged, killed)

    # ------------------------------------------------------------ stage

    @asynccontextmanager
    async def _stage(self) -> AsyncIterator[tuple[str, Child]]:
        relay = Relay(None, clock=self._clock, entropy=os.urandom)
        await relay.start()
        pool = RelayPool([relay.url], clock=self._clock, entropy=os.urandom)
        child = Child(self._home.path, relay.url)
        try:
            await pool.start()
            pool.subscribe("audience", lambda _: [Filter(kinds=frozenset(NAMES))], self._hear)
            yield relay.url, child
        finally:
            await child.end(signal.SIGTERM)
            await pool.stop()
            await relay.stop()

    def _hear(self, event: Event, _relay_url: str) -> None:
        self._events += 1
        self._forged += not verify_event(event)
        plaintext = self._plaintext(event)
        self._audience.wire(line(event.kind, plaintext, answers=event.pubkey in self._keys), event, plaintext)

    def _plaintext(self, event: Event) -> str:
        """The decrypted text of an event; this play owns one of the two keys that can read it."""
        to = first_tag(event, "p")
        if to is None:
            return event.content
        key = self._keys.get(event.pubkey) or self._keys[to]
        peer = to if event.pubkey in self._keys else event.pubkey
        return nip44.decrypt(event.content, nip44.conversation_key(key, peer))

    async def _learn_keys(self) -> None:
        keyring = Keyring(self._home.read_seed())
        made = await asyncio.to_thread(ControlClient(self._home).call, "connections", {})
        keys = [keyring.service_key, *(keyring.connection_key(one["connection_id"]) for one in made["connections"])]
        self._keys = {key.public_hex: key for key in keys}

    async def _first_link(self, name: str) -> str:
        """The link of the first start, which the card shows on a terminal alone."""
        shown = await asyncio.to_thread(ControlClient(self._home).call, "link", {"name": name}, "demo-link")
        return str(shown["nwc_uri"])

    def _client(self, uri: str) -> NwcClient:
        return NwcClient(uri, Net(self._clock, os.urandom))

    def _world(self) -> World:
        return World(self._home.sandbox_db)

    async def _until(self, what: str, true: Callable[[], bool]) -> None:
        until = self._clock.monotonic() + PATIENCE_S
        while not true():
            if self._clock.monotonic() > until:
                raise KitestringError(Reason.INTERNAL, f"the demonstration waited in vain for {what}")
            await self._clock.sleep(ROUND_S)

    # ------------------------------------------------------------ scenes

    async def _opening(self, child: Child, relay_url: str) -> dict[str, Any]:
        self._audience.scene("A service starts, on a simulated node with 1,000,000 sat")
        card = await child.start()
        await self._learn_keys()
        self._audience.tell(f"process {child.pid}; the relay {relay_url} stands between it and everybody")
        return card

    async def _offer(self, code: str, relay_url: str) -> None:
        self._audience.scene(f"Somebody pays its offer: {OFFER_SAT} sat")
        noffer = pointers.decode(code)
        if not isinstance(noffer, pointers.Noffer):
            raise KitestringError(Reason.INTERNAL, "the card shows no offer")
        net = Net(self._clock, os.urandom, own_relays=(relay_url,))
        async with await ask_offer(noffer, OfferQuestion(OFFER_SAT), net) as asked:
            self._audience.tell("the payer pays the invoice over Lightning")
            with self._world() as world:
                preimage = world.pay(asked.bolt11)
            receipt = await asked.wait_receipt(PATIENCE_S)
        if receipt is None or receipt.preimage != preimage:
            raise KitestringError(Reason.INTERNAL, "the receipt did not come")
        self._audience.tell("the preimage is the one that the payer got: the receipt is true")

    async def _payment(self, client: NwcClient) -> None:
        self._audience.scene(f"An app pays {PAY_SAT} sat by its wallet connection")
        with self._world() as world:
            invoice = world.invoice(sat(PAY_SAT), "coffee")
        self._tell_paid(await client.pay_invoice(invoice))

    def _tell_paid(self, paid: Paid) -> None:
        self._audience.tell(f"the app has paid {paid.amount_msat}, and {paid.fee_msat} for the way")

    async def _budget(self) -> None:
        self._audience.scene(f"An app that may spend {TIGHT_SAT} sat a day asks for {TOO_MUCH_SAT}")
        params = {"name": "tight", "budget_msat": int(sat(TIGHT_SAT)), "period": "day"}
        made = await asyncio.to_thread(ControlClient(self._home).call, "connect", params, "demo")
        await self._learn_keys()
        with self._world() as world:
            invoice = world.invoice(sat(TOO_MUCH_SAT), "too much")
        async with self._client(made["nwc_uri"]) as client:
            refused = await _refusal(client.pay_invoice(invoice))
        if refused.reason is not Reason.OVER_BUDGET:
            raise KitestringError(Reason.INTERNAL, f"the budget did not refuse: {refused.message}")
        self._audience.tell(refused.message.removeprefix(REFUSED_BY))

    async def _crash(self, client: NwcClient, child: Child) -> int:
        self._audience.scene(f"The service is killed in the middle of a payment of {CRASH_SAT} sat")
        with self._world() as world:
            invoice = world.invoice(sat(CRASH_SAT), "crash", behaviour=Behaviour.LATE, delay_ms=LATE_MS)
            payment_hash = bolt11.decode(invoice).payment_hash
            paying = asyncio.create_task(client.pay_invoice(invoice))
            await self._until(
                "the payment to be under way", lambda: _state(world, payment_hash) is NodePaymentState.OPEN
            )
            killed = child.pid
            await child.end(signal.SIGKILL)
            self._audience.tell(f"SIGKILL of process {killed}, while the payment is on its way")
            await self._until("the node to settle", lambda: _state(world, payment_hash) is NodePaymentState.SETTLED)
        self._audience.tell("the node has paid it while the service was dead")
        await child.start()
        self._audience.tell(f"the service is back as process {child.pid}, and asks the node what became of it")
        self._tell_paid(await asyncio.wait_for(paying, PATIENCE_S))
        return killed

    async def _audit(self) -> list[str]:
        self._audience.scene("The books are compared: with themselves, and with the node")
        call = ControlClient(self._home).call
        card = await asyncio.to_thread(call, "card", {})
        seen = await asyncio.to_thread(call, "audit_node", {"whole_node": True})
        found = [f"{one.invariant}: {one.sentence}" for one in audit(self._home.ledger, card["service_pubkey"])]
        found += seen["violations"]
        for violation in found:
            self._audience.tell(violation)
        paid, received = _number(seen["payments"], "payment"), _number(seen["invoices"], "invoice")
        self._audience.tell(f"{paid} and {received} agree; {_number(len(found), 'violation')}")
        return found


def _number(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _state(world: World, payment_hash: str) -> NodePaymentState | None:
    return next((one.state for one in world.payments() if one.payment_hash == payment_hash), None)


async def _refusal(paying: Awaitable[Paid]) -> KitestringError:
    try:
        paid = await paying
    except KitestringError as refused:
        return refused
    raise KitestringError(Reason.INTERNAL, f"the budget let {paid.amount_msat} through")
