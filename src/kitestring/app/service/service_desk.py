"""The owner's desk of the running service: every role, each by the part that holds its power."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.activity import Activity
from kitestring.app.service.beacon import BeaconPublisher
from kitestring.app.service.clocks import Clocks
from kitestring.app.service.connections import Connections
from kitestring.app.service.courier import Courier
from kitestring.app.service.execute import Result, execute
from kitestring.app.service.node_words import in_its_words
from kitestring.app.service.owner_wire import CONTROL, decode_control
from kitestring.app.service.relay_word import Carried, RelayWord
from kitestring.app.service.waiters import Waiters
from kitestring.base.approvals import Approval, OwnersWord
from kitestring.base.clocks import ClockReading
from kitestring.base.commands import (
    AnyCommand,
    CancelHold,
    CancelInvoice,
    GetBalance,
    Journaled,
    MakeInvoice,
    PayInvoice,
    SettleHold,
)
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Grant, Offer, Webhook
from kitestring.base.money import Msat
from kitestring.base.node import Backend, Finding
from kitestring.base.outcomes import Outcome
from kitestring.base.payments import PREIMAGE_BYTES
from kitestring.base.ports import Clock, CurrencyRates, Entropy
from kitestring.base.records import CONTROL_WIRE, NodeView, Payment, StopCause
from kitestring.base.store import Store
from kitestring.base.transactions.owner import Write
from kitestring.base.transactions.service import SetSpending
from kitestring.base.webhooks import WebhookAnswer
from kitestring.base.zones import Zone
from kitestring.client import payable
from kitestring.client.net import Net
from kitestring.client.payable import Payable, Terms
from kitestring.crypto.keys import SecretKey
from kitestring.engine.context import Incoming
from kitestring.engine.engine import Engine
from kitestring.engine.shares import ShareTable
from kitestring.policy.costs import Cost, cost_of, fee_cap_of, service_fee_of
from kitestring.transport.webhooks import check_webhook

#: The length of the id of a test of a webhook.
TEST_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class ServiceDesk:
    """Made by ``Core``. ``relays`` are those for our codes, ``served`` these and the old ones that codes still name;
    ``network`` is the node's.

    ``of_the_service`` gives what the doctor should know of the service itself.
    """

    config: Config
    keyring: Keyring
    store: Store
    backend: Backend
    clock: Clock
    entropy: Entropy
    engine: Engine
    waiters: Waiters
    connections: Connections
    clocks: Clocks
    relays: tuple[str, ...]
    served: tuple[str, ...]
    network: str
    rates: CurrencyRates
    beacon: BeaconPublisher
    courier: Courier
    activity: Activity
    of_the_service: Callable[[], tuple[Finding, ...]] = tuple
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def service_id(self) -> str:
        return self.keyring.service_id

    @property
    def zone(self) -> Zone:
        return self.config.zone

    def relay_urls(self) -> tuple[str, ...]:
        return self.relays

    @property
    def shares(self) -> ShareTable:
        return self.engine.shares

    def findings(self) -> tuple[Finding, ...]:
        return self.of_the_service()

    # ------------------------------------------------------------ read

    async def balance(self, grant_id: str) -> Outcome:
        return await self.engine.ask(grant_id, GetBalance())

    def fee_cap(self, command: PayInvoice, grant: Grant | None) -> Msat:
        return fee_cap_of(command, grant, self.config.limits.fee_ppm, self.config.limits.fee_min_msat)

    def service_fee(self, command: PayInvoice, grant: Grant | None) -> Msat:
        return service_fee_of(command, grant, self.config.limits.service_fee)

    async def is_internal(self, command: PayInvoice) -> bool:
        return await self.engine.is_internal(command)

    def cost(self, command: PayInvoice, grant: Grant, *, internal: bool) -> Cost:
        limits = self.config.limits
        return cost_of(
            command, grant, internal=internal, fee_ppm=limits.fee_ppm, fee_min_msat=limits.fee_min_msat,
            service_fee=limits.service_fee,
        )  # fmt: skip

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        return await self.engine.ask(grant_id, command)

    async def carried(self) -> list[Carried]:
        return await self.connections.carried()

    def live_relays(self) -> list[str]:
        return self.connections.live_urls()

    async def read_clocks(self) -> list[ClockReading]:
        return await self.clocks.read()

    # ------------------------------------------------------------ receive and spend

    async def receivable(self) -> Msat:
        return await self.engine.receivable()

    async def make_invoice(self, request_id: str, grant_id: str, command: MakeInvoice, wait_s: float) -> Outcome | None:
        return await self._perform(request_id, grant_id, command, wait_s)

    async def end_invoice(
        self, request_id: str, grant_id: str, command: SettleHold | CancelHold | CancelInvoice, wait_s: float
    ) -> Outcome | None:
        return await self._perform(request_id, grant_id, command, wait_s)

    def draw_preimage(self) -> str:
        return self.entropy(PREIMAGE_BYTES).hex()

    async def pay(self, request_id: str, grant_id: str, command: PayInvoice, wait_s: float) -> Outcome | None:
        return await self._perform(request_id, grant_id, command, wait_s)

    async def _perform(self, request_id: str, grant_id: str, command: Journaled, wait_s: float) -> Outcome | None:
        """Hand the command to the engine and wait; the wait decides nothing."""
        until = self.clock.monotonic() + wait_s
        incoming = Incoming(request_id, CONTROL_WIRE, grant_id, command, CONTROL, self.clock.now())
        with self.waiters.expecting(request_id) as answer:
            await self.engine.handle(incoming)
            await asyncio.wait((answer,), timeout=max(0.0, until - self.clock.monotonic()))
            return decode_control(answer.result().plaintext) if answer.done() else None

    async def find_payable(self, target: str, terms: Terms) -> Payable:
        """Ask over the relays in a code; ours are used freely, foreign ones pass the address check."""
        net = Net(
            self.clock, self.entropy, self.config.proxies, own_relays=self.served,
            allow_private=self.config.allow_private_relays,
        )  # fmt: skip
        async with await payable.ask(target, replace(terms, network=self.network), net) as found:
            return found

    # ------------------------------------------------------------ manage

    def relays_for_codes(self) -> tuple[str, ...]:
        live = self.connections.live_urls()
        return tuple(sorted(self.relays, key=lambda url: url not in live))

    def connection_pubkey(self, grant_id: str) -> str:
        return self.keyring.connection_key(grant_id).public_hex

    def webhook_secret(self, offer_id: str) -> str:
        return self.keyring.webhook_secret(offer_id)

    def check_webhook(self, webhook: Webhook, payer_data: Collection[str], *, own: bool) -> None:
        check_webhook(webhook, payer_data, own=own, private_hosts=self.config.private_hosts)

    async def test_webhook(self, offer: Offer, webhook: Webhook) -> WebhookAnswer:
        return await self.courier.send_test(offer, webhook, self.entropy(TEST_ID_BYTES).hex())

    def client_key(self, salt: bytes) -> SecretKey:
        return self.keyring.client_key(salt)

    async def execute(self, request_id: str, grant_id: str, writes: tuple[Write, ...], result: Result) -> Result | None:
        return await execute(self.store, request_id, grant_id, writes, result, self.clock.now())

    def did(self, what: str) -> None:
        self.activity.did(what)

    async def grant_changed(self, grant_id: str) -> None:
        await self.connections.grant_changed(grant_id)

    async def relay_words(self, grant: Grant) -> tuple[RelayWord, ...]:
        return await self.connections.relay_words(grant)

    async def node_view(self) -> NodeView:
        try:
            return await self.engine.node_view()
        except KitestringError as failure:
            raise _in_its_words(failure) from failure

    async def allow_spending(self, cause: StopCause, why: str) -> None:
        await self.store.apply(SetSpending(False, why, self.clock.now(), cause))

    async def decide(self, word: OwnersWord, wait_s: float) -> tuple[Approval, Payment | None]:
        until = self.clock.monotonic() + wait_s
        asking = await self.store.waiting(word.approval_id)
        with ExitStack() as heard:
            answers = [heard.enter_context(self.waiters.expecting(request.request_id)) for request in asking]
            decided = await self._decide(word)
            payment = await self.store.payment(word.approval_id)
            if payment is None or not answers:
                return decided, payment
            await asyncio.wait(answers, timeout=max(0.0, until - self.clock.monotonic()))
        return decided, await self.store.payment(word.approval_id)

    async def _decide(self, word: OwnersWord) -> Approval:
        try:
            return await self.engine.decide(word)
        except KitestringError as failure:
            raise _in_its_words(failure) from failure

    async def resolve_payment(self, payment_id: str, note: str) -> None:
        await self.engine.resolve(payment_id, note)


def _in_its_words(failure: KitestringError) -> KitestringError:
    """The same failure with the node's own words, which are for the owner alone."""
    message = in_its_words(failure.message, failure.private)
    return KitestringError(failure.reason, message, private=failure.private, **failure.details)
