"""Rows of the ledger as values: requests and their answers, payments, invoices, nodes. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass

from kitestring.base.money import ZERO, Msat
from kitestring.base.payments import State


@dataclass(frozen=True, slots=True)
class Request:
    """One claimed request. ``request_id`` is a Nostr event id or an owner's idempotency key, consumed once, for ever.

    ``command`` is the frozen neutral command, ``reply_to`` belongs to the wire and is opaque here. ``sent_at`` is the
    sender's time: what is older than the pruned horizon is refused. ``grant_id`` is "" for strangers (offers).
    """

    request_id: str
    wire: str
    grant_id: str
    command: bytes
    reply_to: bytes
    sent_at: int
    received_at: int
    payment_id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A finished answer. ``part`` is ``reply`` or ``receipt``. ``event`` is the signed wire form, b"" when nothing
    is to be published (the owner's control socket). ``signed_at`` is the event's own time."""

    request_id: str
    part: str
    plaintext: bytes
    event: bytes
    signed_at: int
    reply_to: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One outgoing payment. ``fee_cap_msat`` is reserved with the amount; ``fee_msat`` is what it really cost."""

    payment_id: str
    node_id: str
    epoch: int
    account_id: str
    grant_id: str
    payment_hash: str
    bolt11: str
    amount_msat: Msat
    fee_cap_msat: Msat
    created_at: int
    state: State = State.RESERVED
    internal: bool = False
    amountless: bool = False
    expires_at: int = 0
    description: str = ""
    description_hash: str = ""
    metadata: str = ""
    fee_msat: Msat = ZERO
    preimage: str = ""
    evidence: str = ""
    settled_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One incoming invoice. ``state``: ``creating`` (the node may not know it yet), ``open``, ``settled``, ``expired``,
    ``canceled``. ``request_id`` is the request that asked for it; a receipt reuses its ``reply_to``.
    ``preimage`` is set when we drew it ourselves, or when the node told it at settlement."""

    invoice_id: str
    node_id: str
    epoch: int
    account_id: str
    grant_id: str
    payment_hash: str
    bolt11: str
    amount_msat: Msat | None
    created_at: int
    expires_at: int
    state: str = "open"
    preimage: str = ""
    description: str = ""
    description_hash: str = ""
    metadata: str = ""
    offer_id: str = ""
    payer_data: str = ""
    request_id: str = ""
    received_msat: Msat | None = None
    settled_at: int | None = None
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A Lightning node this service stands on, or stood on. ``cursor`` is the settled stream's opaque position."""

    node_id: str
    epoch: int
    backend: str
    network: str
    cursor: bytes = b""


@dataclass(frozen=True, slots=True)
class NodeView:
    """What the node said it can spend, and the service's ``spent`` counter read *before* it was asked."""

    spendable_msat: Msat
    spent_mark_msat: Msat


@dataclass(frozen=True, slots=True)
class Charge:
    """A budget charge, computed by policy: the bucket the amount falls into and the oldest bucket that still counts.

    Buckets below ``oldest`` have left the window. A calendar budget uses one bucket, its period's start.
    """

    grant_id: str
    amount_msat: Msat
    limit_msat: Msat
    bucket: int
    oldest: int
