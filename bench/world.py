"""Who takes part: one service, its connections, their clients, strangers, and the invoices of a stranger's node.

Everything but the strangers follows from fixed seeds, so that the processes of one run agree without telling each
other.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.base.budgets import DAY_S, Budget
from kitestring.base.commands import DEBITS_WIRE
from kitestring.base.grants import Grant, Offer
from kitestring.base.money import sat
from kitestring.codec import bolt11_write
from kitestring.crypto.keys import SecretKey, derive
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event
from kitestring.wire.envelope import request_event, shared_secret

#: Connections, where a part does not say otherwise.
CLIENTS: Final = 64
#: Offers: none may have more than 1,000 unpaid invoices, and strangers ask ten thousand times.
OFFERS: Final = 64
NETWORK: Final = "regtest"
NODE_ID: Final = "02" + "ab" * 32
SEED: Final = sha256(b"kitestring bench").digest()
PAYEE: Final = sha256(b"kitestring bench payee").digest()
BUDGET: Final = Budget.daily(sat(100_000_000))
ROLLING: Final = Budget.rolling(sat(100_000_000), 7 * DAY_S)
POINTER: Final = "ab" * 16
METHODS: Final = frozenset({"pay_invoice", "make_invoice", "get_balance", "lookup_invoice", "list_transactions"})


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its own key, the key it talks to, the secret they share."""

    key: SecretKey
    service: str
    shared: bytes

    @classmethod
    def of(cls, key: SecretKey, service: str) -> Client:
        return cls(key, service, shared_secret(key, service, "nip44"))


@cache
def keyring() -> Keyring:
    return Keyring(SEED)


# ------------------------------------------------------------ connections


def grant_id(number: int) -> str:
    return f"bench{number:07}"


def grant(number: int, *, fresh: bool = False) -> Grant:
    """A connection as an owner would make it: every method, a daily budget, any cipher. A ``fresh`` one has never
    spoken; of every other one it is known that it speaks NIP-44."""
    name = grant_id(number)
    return Grant(
        grant_id=name, name=f"client {number}", wire="nwc", caller=_client_key(number).public_hex,
        service_pubkey=keyring().connection_key(name).public_hex, methods=METHODS,
        budgets=(BUDGET,), nip44_seen=not fresh, created_at=int(time.time()),
    )  # fmt: skip


def grants(count: int = CLIENTS) -> list[Grant]:
    return [grant(number) for number in range(count)]


@cache
def client(number: int) -> Client:
    return Client.of(_client_key(number), keyring().connection_key(grant_id(number)).public_hex)


def _client_key(number: int) -> SecretKey:
    return derive(SEED, "bench client", str(number))


# ------------------------------------------------------------ debits


def pointer() -> Grant:
    """A pointer that nobody may ask whom it does not know."""
    return Grant(
        grant_id=POINTER, name="till", wire=DEBITS_WIRE, pointer_id=POINTER, methods=METHODS,
        created_at=int(time.time()),
    )  # fmt: skip


def debit_grant(number: int) -> Grant:
    """What one requestor may take there: a rolling budget."""
    return Grant(
        grant_id=f"debit{number:07}", name=f"requestor {number}", wire=DEBITS_WIRE, methods=METHODS,
        caller=_requestor_key(number).public_hex, pointer_id=POINTER, budgets=(ROLLING,), created_at=int(time.time()),
    )  # fmt: skip


@cache
def requestor(number: int) -> Client:
    return Client.of(_requestor_key(number), keyring().service_id)


def _requestor_key(number: int) -> SecretKey:
    return derive(SEED, "bench requestor", str(number))


# ------------------------------------------------------------ offers


def offer(number: int) -> Offer:
    """An offer whose payer names the amount."""
    return Offer(offer_id=sha256(b"offer" + number.to_bytes(4)).hexdigest()[:16], label=f"offer {number}")


def stranger() -> Client:
    """Somebody with a fresh key who talks to the service itself."""
    return Client.of(SecretKey.generate(os.urandom), keyring().service_id)


# ------------------------------------------------------------ events and invoices


def request(sender: Client, plaintext: str, kind: int = kinds.NWC_REQUEST) -> Event:
    """A signed request."""
    return request_event(
        sender.key, kind=kind, service=sender.service, plaintext=plaintext, cipher="nip44", shared=sender.shared,
        entropy=os.urandom, now=int(time.time()),
    )  # fmt: skip


def frame(subscription_id: str, event: Event) -> bytes:
    """The relay's delivery of an event."""
    return b'["EVENT","' + subscription_id.encode() + b'",' + encode_event(event) + b"]"


def preimage(number: int) -> bytes:
    return sha256(b"preimage" + number.to_bytes(4)).digest()


def payment_hash(number: int) -> str:
    return sha256(preimage(number)).hexdigest()


def invoice(number: int) -> str:
    """A stranger's invoice of 1,000 sat as wallets write them: a description, no named payee."""
    return bolt11_write.encode(
        network=NETWORK, timestamp=int(time.time()), payment_hash=payment_hash(number),
        payment_secret=sha256(b"secret" + number.to_bytes(4)).hexdigest(), secret32=PAYEE, amount_msat=sat(1_000),
        description=f"order {number}", expiry_s=7_200,
    )  # fmt: skip
