"""Neutral outcomes: what every wire encodes an answer from; the engine and the stores make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import Reason
from kitestring.base.money import Msat


@dataclass(frozen=True, slots=True)
class Transaction:
    """One incoming or outgoing payment as its owner may see it. Times are Unix seconds, None = not (yet).

    ``state`` is ``pending``, ``settled``, ``failed`` or ``expired``; ``preimage`` is set only when settled.
    """

    type: str
    state: str
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
    account_id: str = OWNER_ACCOUNT
    grant_id: str = ""
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment settled. ``internal`` = moved inside this service, fee 0."""

    payment_hash: str
    preimage: str
    amount_msat: Msat
    fee_msat: Msat
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Invoiced:
    """An invoice was made."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Found:
    """The payment or invoice that was looked up."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the caller's payments and invoices, the newest first."""

    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """How much the caller can spend now."""

    balance_msat: Msat


@dataclass(frozen=True, slots=True)
class Info:
    """Facts about the node and the grant, as get_info tells them."""

    alias: str
    color: str
    pubkey: str
    network: str
    block_height: int
    block_hash: str
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """An invoice of ours was paid: what a receipt says. ``preimage`` is "" for internal payments."""

    payment_hash: str
    amount_msat: Msat
    preimage: str
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Not carried out. ``details`` holds JSON values a wire may show: range, retry_after, delta, remaining_msat, …"""

    reason: Reason
    message: str = ""
    details: dict[str, Any] = field(default_factory=dict)


Outcome = Paid | Invoiced | Found | Listed | Balance | Info | Received | Refused
