"""Neutral commands and outcomes: what every wire decodes to and encodes from.

Commands that change state are journaled in this form, so that they can be carried on after a crash without the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from kitestring.base.errors import Reason
from kitestring.base.money import Msat

#: The account that is the node itself, and the grant of its owner (no limits, every method).
OWNER_ACCOUNT: Final = "owner"
OWNER_GRANT: Final = "owner"


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of the neutral commands. Texts from peers arrive here already capped and stripped."""


class PayInvoice(Command, frozen=True, kw_only=True):
    """Pay ``bolt11``. ``amount_msat`` is what will be paid, also for amountless invoices (then ``amountless``).

    The wire has decoded the invoice; the engine never parses one. Times are Unix seconds.
    """

    bolt11: str
    payment_hash: str
    amount_msat: Msat
    amountless: bool = False
    max_fee_msat: Msat | None = None
    network: str = ""
    expires_at: int = 0
    description: str = ""
    description_hash: str = ""
    metadata: str = ""


class MakeInvoice(Command, frozen=True, kw_only=True):
    """Make an invoice into the caller's account. ``amount_msat`` None = amountless. ``metadata`` is JSON text."""

    amount_msat: Msat | None
    description: str = ""
    description_hash: str = ""
    expiry_s: int = 3600
    metadata: str = ""
    offer_id: str = ""
    payer_data: str = ""


class LookupInvoice(Command, frozen=True, kw_only=True):
    payment_hash: str


class ListTransactions(Command, frozen=True, kw_only=True):
    """``from_`` and ``until`` are inclusive Unix seconds of creation; ``direction`` is "", "incoming" or "outgoing"."""

    from_: int = 0
    until: int = 0
    limit: int = 20
    offset: int = 0
    unpaid_incoming: bool = False
    unpaid_outgoing: bool = False
    direction: str = ""


class GetBalance(Command, frozen=True, kw_only=True):
    pass


class GetInfo(Command, frozen=True, kw_only=True):
    pass


Journaled = PayInvoice | MakeInvoice
AnyCommand = PayInvoice | MakeInvoice | LookupInvoice | ListTransactions | GetBalance | GetInfo


def _plain(value: object) -> int:
    if isinstance(value, Msat):
        return int(value)
    raise TypeError(f"no stored form for {type(value).__name__}")


def _typed(kind: type, value: object) -> object:
    if kind is Msat and isinstance(value, int):
        return Msat(value)
    raise TypeError(f"cannot read {kind.__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(Journaled, dec_hook=_typed)


def freeze(command: Journaled) -> bytes:
    """The stored form of a journaled command."""
    return _encoder.encode(command)


def thaw(stored: bytes) -> Journaled:
    """The command that :func:`freeze` stored."""
    command: Journaled = _decoder.decode(stored)
    return command


# Outcomes. Wires encode these; the engine and the stores make them.


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
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Found:
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Listed:
    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Balance:
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
