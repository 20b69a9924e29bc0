"""Invoices, keys and records that the tests of the wires share."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import Any

from kitestring.base.money import Msat
from kitestring.base.outcomes import Transaction
from kitestring.base.ports import Entropy
from kitestring.codec import bolt11_write
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event
from kitestring.wire.registry import OF_CONNECTIONS
from kitestring.wire.reply_to import CONNECTION_KEY_PREFIX, SERVICE_KEY, ReplyTo

NOW = 1_760_000_000
SERVICE = SecretKey(bytes(31) + b"\x07")
CLIENT = SecretKey(bytes(31) + b"\x09")
STRANGER = SecretKey(bytes(31) + b"\x0b")
PREIMAGE = "11" * 32
PAYMENT_HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()


def counting_entropy() -> Entropy:
    """Bytes that are never the same twice."""
    counter = count(1)
    return lambda size: next(counter).to_bytes(size)


def reply_to(wire: str) -> ReplyTo:
    """To the client, of a wire of connections or of strangers."""
    key_id = CONNECTION_KEY_PREFIX + "g1" if wire in OF_CONNECTIONS else SERVICE_KEY
    return ReplyTo(wire, key_id, CLIENT.public_hex, "nip44", "ab" * 32, NOW)


def event(kind: int, *tags: list[str]) -> Event:
    """As a wire sees it: nobody looks at the signature any more."""
    return Event("ab" * 32, CLIENT.public_hex, NOW, kind, [["p", SERVICE.public_hex], *tags], "", "00" * 64)


def invoice(
    amount_msat: int | None,
    *,
    network: str = "regtest",
    expiry_s: int = 3600,
    description: str = "tea",
    name_payee: bool = False,
) -> str:
    return bolt11_write.encode(
        network=network,
        amount_msat=None if amount_msat is None else Msat(amount_msat),
        timestamp=NOW,
        payment_hash=PAYMENT_HASH,
        payment_secret="22" * 32,
        description=description,
        expiry_s=expiry_s,
        secret32=bytes(31) + b"\x05",
        name_payee=name_payee,
    )


def transaction(**changes: Any) -> Transaction:
    members: dict[str, Any] = {
        "type": "incoming",
        "state": "pending",
        "payment_hash": PAYMENT_HASH,
        "amount_msat": Msat(21_000),
        "fee_msat": Msat(0),
        "created_at": NOW,
    }
    return Transaction(**{**members, **changes})
