"""Real BOLT11 invoices, signed by a node that is not there."""

from __future__ import annotations

from hashlib import sha256

from kitestring.base.money import Msat
from kitestring.codec import bolt11_write
from tests.kit.clock import NOW

PREIMAGE = "11" * 32
PAYMENT_HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
#: The secret key of the node that signs them.
NODE_KEY = bytes([5]) * 32


def invoice(
    amount_msat: int | None = 21_000,
    *,
    payment_hash: str = PAYMENT_HASH,
    network: str = "regtest",
    at: int = NOW,
    expiry_s: int = 3_600,
    description: str = "tea",
    name_payee: bool = False,
) -> str:
    """Made ``at`` (Unix seconds), over an amount or none."""
    return bolt11_write.encode(
        network=network,
        timestamp=at,
        payment_hash=payment_hash,
        payment_secret="22" * 32,
        secret32=NODE_KEY,
        amount_msat=None if amount_msat is None else Msat(amount_msat),
        description=description,
        expiry_s=expiry_s,
        name_payee=name_payee,
    )
