"""Neutral outcomes: what every wire encodes an answer from; the engine and the stores make them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from kitestring.base.budgets import Budget
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer
from kitestring.base.money import ZERO, Msat


class Direction(StrEnum):
    """The way of the money of a transaction."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


class TransactionState(StrEnum):
    """The state of a payment or an invoice as its owner may see it."""

    PENDING = "pending"
    ACCEPTED = "accepted"  # an invoice alone: paid, and held until somebody settles or cancels it
    SETTLED = "settled"
    FAILED = "failed"  # a payment alone
    EXPIRED = "expired"  # an invoice alone; also one that was canceled


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """One incoming or outgoing payment as its owner may see it. Times are Unix seconds, None = not (yet).
    ``fee_msat`` was for routing, ``service_fee_msat`` is what the service has taken itself: 0 before it settles.

    ``preimage`` is set only when settled, ``settle_deadline`` (the height of a block) only while a payment is held.
    ``account`` is the id of the account whose money it is. ``connection_id`` is that of the connection, or the debit
    grant, that it belongs to; "" for none. ``requestor`` is the key that has taken it as a debit, "" for any other.
    ``rate`` is the one that an offer was
    priced with, for a price in another currency.
    """

    type: Direction
    state: TransactionState
    payment_hash: str
    amount_msat: Msat
    fee_msat: Msat
    created_at: int
    settled_at: int | None = None
    expires_at: int | None = None
    bolt11: str = ""
    description: str = ""
    description_hash: str = ""
    preimage: str = ""
    metadata: str = ""
    offer_id: str = ""
    payer_data: str = ""
    account: str = OWNER_ACCOUNT
    connection_id: str = ""
    internal: bool = False
    requestor: str = ""
    settle_deadline: int | None = None
    rate: ExchangeRate | None = None
    service_fee_msat: Msat = ZERO

    @property
    def fees_msat(self) -> Msat:
        """All that was paid beside the amount, as an app is told."""
        return self.fee_msat + self.service_fee_msat


class Paid(msgspec.Struct, frozen=True, gc=False):
    """A payment settled. ``internal`` = moved inside this service, fee 0. ``fee_msat`` is for routing,
    ``service_fee_msat`` what the service has taken itself. ``created_at`` (Unix seconds) is when it began, 0 where that
    is not known. ``is_old``: it had settled before it was asked for this time, so that nothing was paid now."""

    payment_hash: str
    preimage: str
    amount_msat: Msat
    fee_msat: Msat
    internal: bool = False
    created_at: int = 0
    service_fee_msat: Msat = ZERO
    is_old: bool = False

    @property
    def fees_msat(self) -> Msat:
        """All that was paid beside the amount, as an app is told."""
        return self.fee_msat + self.service_fee_msat


class Invoiced(msgspec.Struct, frozen=True, gc=False):
    """An invoice was made."""

    transaction: Transaction


class HoldEnded(msgspec.Struct, frozen=True, gc=False):
    """A hold invoice has ended as its maker has decided: settled, or expired (which is what canceled ones are called).
    ``amount_msat`` is what was taken."""

    payment_hash: str
    state: TransactionState
    amount_msat: Msat = ZERO


class Canceled(msgspec.Struct, frozen=True, gc=False):
    """Nobody can pay this invoice any more: the node has said so, at the owner's word, or because it had expired."""

    payment_hash: str
    has_expired: bool = False


class Found(msgspec.Struct, frozen=True, gc=False):
    """The payment or invoice that was looked up."""

    transaction: Transaction


class Listed(msgspec.Struct, frozen=True, gc=False):
    """A page of the caller's payments and invoices, the newest first. ``left_out`` counts those that could not be read,
    where the page is another wallet's. ``total`` is how many there are on all pages, None where nobody counts them."""

    transactions: tuple[Transaction, ...]
    left_out: int = 0
    total: int | None = None


class Balance(msgspec.Struct, frozen=True, gc=False):
    """The amount that the caller can spend now."""

    balance_msat: Msat


class BudgetState(msgspec.Struct, frozen=True, gc=False):
    """A budget as it stands: of several the one with the least left. ``budget`` None = there is none.

    ``used_msat`` has fees and open reservations in it, and may exceed the limit. What is counted now will have left at
    ``renews_at`` (Unix seconds), None = never.
    """

    budget: Budget | None = None
    used_msat: Msat = ZERO
    renews_at: int | None = None

    @property
    def left_msat(self) -> Msat | None:
        """The rest, below zero where more was used than is allowed now; None = without limit."""
        return None if self.budget is None else self.budget.limit_msat - self.used_msat


class Info(msgspec.Struct, frozen=True, gc=False):
    """Facts about the node and the grant, as get_info tells them; "" and None are not told. ``extensions`` are another
    wallet's: our own follow from the methods. ``lud16`` is the Lightning Address of the account. Of our own grants
    ``methods`` are the permissions, and ``without`` the methods that are not served, whatever a grant lists.
    ``foreign`` are methods of plugins."""

    alias: str
    color: str
    node_pubkey: str
    network: str
    block_height: int | None
    block_hash: str
    methods: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    lud16: str = ""
    without: frozenset[str] = frozenset()
    foreign: tuple[str, ...] = ()


class Received(msgspec.Struct, frozen=True, gc=False):
    """An invoice of ours was paid: what a receipt says. ``preimage`` is "" for internal payments."""

    payment_hash: str
    amount_msat: Msat
    preimage: str
    internal: bool = False


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A payment is under way, and nobody knows its end yet. ``created_at`` is Unix seconds."""

    payment_hash: str
    amount_msat: Msat
    created_at: int


class Signed(msgspec.Struct, frozen=True, gc=False):
    """A text that the node has signed: ``signature`` as :mod:`kitestring.codec.signed_message` has it."""

    message: str
    signature: str


class MethodCalled(msgspec.Struct, frozen=True, gc=False):
    """The method of a plugin was carried out; ``result`` is a JSON object."""

    result: bytes


class Connected(msgspec.Struct, frozen=True, gc=False):
    """An app has its connection; ``service_pubkey`` is the key that it talks to from now on."""

    service_pubkey: str


class Granted(msgspec.Struct, frozen=True, gc=False):
    """The caller may take from now on. ``budget`` is what it got, where that is less than it asked for."""

    budget: Budget | None = None


class Enrolled(msgspec.Struct, frozen=True, gc=False):
    """The caller has an account: the service's key, and what its codes carry. By the same ``pointer_id`` its money is
    taken and its offers are managed."""

    service_pubkey: str
    offer_id: str
    offer_relays: tuple[str, ...]
    pointer_id: str
    pointer_relays: tuple[str, ...]


class OfferTold(msgspec.Struct, frozen=True):
    """An offer as it is now, for its maker; ``service_pubkey`` stands in its code."""

    service_pubkey: str
    offer: Offer


class OffersListed(msgspec.Struct, frozen=True):
    """Offers of the caller, the newest first; ``is_more`` where there are older ones."""

    service_pubkey: str
    offers: tuple[Offer, ...]
    is_more: bool = False


class OfferGone(msgspec.Struct, frozen=True, gc=False):
    """There is no such offer any more, if there ever was."""


class Refused(msgspec.Struct, frozen=True):
    """Not carried out. ``details`` holds JSON values a wire may show: range, retry_after, delta, remaining_msat, …

    ``private`` is for the owner alone: no wire shows it.
    """

    reason: Reason
    message: str = ""
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    private: str = ""

    @classmethod
    def of(cls, failure: KitestringError) -> Refused:
        """The refusal that tells the same as ``failure``."""
        return cls(failure.reason, failure.message, dict(failure.details), failure.private)


Outcome = (
    Paid
    | Invoiced
    | HoldEnded
    | Canceled
    | Found
    | Listed
    | Balance
    | BudgetState
    | Info
    | Received
    | Granted
    | Connected
    | Enrolled
    | OfferTold
    | OffersListed
    | OfferGone
    | MethodCalled
    | Signed
    | Pending
    | Refused
)
