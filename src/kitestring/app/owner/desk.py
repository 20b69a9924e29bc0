"""The roles of the owner's commands, cut by right: a handler's first parameter says how much it is trusted with.

:class:`Reading` is the ledger alone and exists without a running service too; the others add one power each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol, TypeVar

from kitestring.app.home.config import Config
from kitestring.app.service.execute import Result
from kitestring.app.service.node_words import in_its_words
from kitestring.app.service.relay_word import Carried, RelayWord
from kitestring.base.approvals import Approval, OwnersWord
from kitestring.base.clocks import ClockReading
from kitestring.base.commands import AnyCommand, CancelHold, CancelInvoice, MakeInvoice, PayInvoice, SettleHold
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant, Offer, Webhook
from kitestring.base.money import Msat
from kitestring.base.node import Backend, Finding
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.ports import Clock, CurrencyRates, Entropy
from kitestring.base.records import NodeView, Payment, StopCause
from kitestring.base.store import Reads
from kitestring.base.transactions.owner import Write
from kitestring.base.webhooks import WebhookAnswer
from kitestring.base.zones import Zone
from kitestring.client.payable import Payable, Terms
from kitestring.crypto.keys import SecretKey
from kitestring.engine.shares import ShareTable
from kitestring.policy.costs import Cost

if TYPE_CHECKING:  # it loads the network, which most commands do without
    from kitestring.app.service.beacon import BeaconPublisher

T = TypeVar("T")


class Reading(Protocol):
    """The ledger, and what is known without asking anybody."""

    @property
    def store(self) -> Reads: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def service_id(self) -> str:
        """The public key of the service."""
        ...

    @property
    def zone(self) -> Zone:
        """The time zone by whose calendar budgets renew."""
        ...

    @property
    def rates(self) -> CurrencyRates:
        """The worth of currencies."""
        ...

    def relay_urls(self) -> tuple[str, ...]:
        """The relays of the service as it is set up now, the preferred one first. A code that was made before names
        those of its own time."""
        ...

    async def balance(self, grant_id: str) -> Outcome:
        """The amount that the grant can spend now; refused as UNAVAILABLE where the node cannot be asked."""
        ...

    def fee_cap(self, command: PayInvoice, grant: Grant | None) -> Msat:
        """The most that routing this payment may cost, by what is set for the grant, else for everybody."""
        ...

    def service_fee(self, command: PayInvoice, grant: Grant | None) -> Msat:
        """The fee of the service for this payment, from the account of the grant, if it leaves the service."""
        ...


class Asking(Reading, Protocol):
    """Reading that asks the node, so that it needs a running service."""

    @property
    def backend(self) -> Backend: ...
    @property
    def config(self) -> Config: ...
    @property
    def shares(self) -> ShareTable:
        """The part of everybody in what is shared."""
        ...

    def findings(self) -> tuple[Finding, ...]:
        """Lines of ``kitestring doctor`` about the running service itself."""
        ...

    async def ask(self, grant_id: str, command: AnyCommand) -> Outcome:
        """Carry out a reading command."""
        ...

    async def test_webhook(self, offer: Offer, webhook: Webhook) -> WebhookAnswer:
        """Tell a webhook of nothing, once, signed as a payment would be; takes some seconds."""
        ...

    async def carried(self) -> list[Carried]:
        """The proof of each relay that it carries what is addressed to our keys; takes some seconds."""
        ...

    async def relay_words(self, grant: Grant) -> tuple[RelayWord, ...]:
        """The words of each relay about a connection, after a moment."""
        ...

    def live_relays(self) -> list[str]:
        """The relays that bring us requests."""
        ...

    async def read_clocks(self) -> list[ClockReading]:
        """Compare our clock with those of the relays of others and of the node, as far as they tell the time."""
        ...


class Speaking(Asking, Protocol):
    """Saying to everybody what the service is."""

    @property
    def beacon(self) -> BeaconPublisher:
        """The beacon of the service, whether it is switched on or not."""
        ...


class Telling(Protocol):
    """Being looked at while changing something."""

    def did(self, what: str) -> None:
        """Tell whoever looks on of a command that has changed something which the feed does not tell."""
        return


class Receiving(Reading, Telling, Protocol):
    """Being paid."""

    async def receivable(self) -> Msat:
        """The amount that can come in now. Raises KitestringError(UNAVAILABLE)."""
        ...

    async def make_invoice(self, request_id: str, grant_id: str, command: MakeInvoice, wait_s: float) -> Outcome | None:
        """Make an invoice once per ``request_id``; None = not yet after ``wait_s`` seconds."""
        ...

    async def end_invoice(
        self, request_id: str, grant_id: str, command: SettleHold | CancelHold | CancelInvoice, wait_s: float
    ) -> Outcome | None:
        """Decide about an invoice once per ``request_id``; None = the node has not said the end after ``wait_s``
        seconds. The decision is stored by then."""
        ...

    def draw_preimage(self) -> str:
        """64 random hex digits, for an invoice whose preimage the service keeps."""
        ...


class Spending(Reading, Protocol):
    """Paying."""

    async def pay(self, request_id: str, grant_id: str, command: PayInvoice, wait_s: float) -> Outcome | None:
        """Pay once per ``request_id``; None = no end after ``wait_s`` seconds."""
        ...

    async def find_payable(self, target: str, terms: Terms) -> Payable:
        """The invoice that is to be paid for ``target``, an offer having been asked for one. Raises KitestringError."""
        ...


class Foreseeing(Asking, Protocol):
    """Finding out what a payment would be, without the power to make it."""

    @property
    def network(self) -> str:
        """The network of the node."""
        ...

    async def is_internal(self, command: PayInvoice) -> bool:
        """Whether a payment would move inside the service now, where there are no fees."""
        ...

    def cost(self, command: PayInvoice, grant: Grant, *, internal: bool) -> Cost:
        """The most that a payment of this grant may take, as it is reserved for it."""
        ...

    async def find_payable(self, target: str, terms: Terms) -> Payable:
        """As for paying. Raises KitestringError."""
        ...


class Managing(Reading, Telling, Protocol):
    """Changing who may do what. It needs neither node nor relay."""

    @property
    def one_at_a_time(self) -> asyncio.Lock:
        """Held by a command from its first look to its last write: two that look for one name would both take it. While
        it is held, no node, relay or source of rates is asked."""
        ...

    @property
    def entropy(self) -> Entropy: ...

    def relays_for_codes(self) -> tuple[str, ...]:
        """The relays for a code that is made now: those first that bring requests, for many apps read no other."""
        ...

    def connection_pubkey(self, grant_id: str) -> str:
        """The public key that the connection of this grant talks to."""
        ...

    def webhook_secret(self, offer_id: str) -> str:
        """The secret that signs what the webhook of this offer is told."""
        ...

    def check_webhook(self, webhook: Webhook, payer_data: Collection[str], *, own: bool) -> None:
        """Look at the address of a webhook; ``own`` says that the owner has written it. Raises KitestringError."""
        ...

    def client_key(self, salt: bytes) -> SecretKey:
        """The secret in the link of the connection with this ``link_salt``."""
        ...

    async def execute(self, request_id: str, grant_id: str, writes: tuple[Write, ...], result: Result) -> Result | None:
        """Do all writes or none, once per ``request_id``; the second time the stored result is returned, else None.

        Raises KitestringError when the store denies a write or it was decided on an old version.
        """
        ...

    async def grant_changed(self, grant_id: str) -> None:
        """Serve the grant as it is stored now. That relays are told goes on by itself."""
        ...

    async def relay_words(self, grant: Grant) -> tuple[RelayWord, ...]:
        """The words of each relay about a connection, after a moment; nothing where no service runs."""
        ...

    def live_relays(self) -> list[str]:
        """The relays that bring us requests; none where no service runs."""
        ...


class Operating(Asking, Managing, Protocol):
    """Managing that looks at the node: moving the node's money between accounts, and the operator's own word."""

    async def allow_spending(self, cause: StopCause, why: str) -> None:
        """Take back one stop; what another cause has stopped stays so."""
        ...

    async def node_view(self) -> NodeView:
        """The node's balance, asked now. Raises KitestringError(UNAVAILABLE)."""
        ...

    async def resolve_payment(self, payment_id: str, note: str) -> None:
        """The operator's word about a payment of unknown outcome. Raises KitestringError if it has another state."""
        ...


class Deciding(Managing, Protocol):
    """Managing that answers questions to the owner: what is decided may be a payment."""

    async def decide(self, word: OwnersWord, wait_s: float) -> tuple[Approval, Payment | None]:
        """Decide about a question, and wait at most ``wait_s`` seconds for the end of what follows: the question as it
        is then, and its payment, if there is one. The same word told twice is one decision.

        Raises KitestringError: UNKNOWN_TARGET, ALREADY_USED (it was decided otherwise, or by another command),
        UNDECIDED (it has expired), MALFORMED (this does not fit what is asked), BUSY (it has changed: look again).
        After any other one nothing is decided and the question stays open.
        """
        ...


class Desk(Speaking, Receiving, Foreseeing, Spending, Operating, Deciding, Protocol):
    """All roles: the running service."""


def expect(outcome: Outcome, kind: type[T]) -> T:
    """``outcome`` if it is of ``kind``; a refusal is raised as KitestringError."""
    if isinstance(outcome, kind):
        return outcome
    if isinstance(outcome, Refused):
        raise KitestringError(outcome.reason, in_its_words(outcome.message, outcome.private), **outcome.details)
    raise KitestringError(Reason.INTERNAL, f"the service answered with {type(outcome).__name__}")
