"""Who takes part: one service, its connections, their clients, and the invoices of a stranger's node.

Everything follows from fixed seeds, so that the processes of one run agree without telling each other.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Final

from kitestring.app.home.keyring import Keyring
from kitestring.base.grants import Budget, Grant
from kitestring.base.money import sat
from kitestring.codec import bolt11_write
from kitestring.crypto.keys import SecretKey, derive
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event
from kitestring.wire.envelope import request_event, shared_secret

CLIENTS: Final = 64
NETWORK: Final = "regtest"
SEED: Final = sha256(b"kitestring bench").digest()
PAYEE: Final = sha256(b"kitestring bench payee").digest()
METHODS: Final = frozenset({"pay_invoice", "make_invoice", "get_balance", "lookup_invoice", "list_transactions"})


@dataclass(frozen=True, slots=True)
class Client:
    """One connection's client: its own key, the key it talks to, the secret they share."""

    key: SecretKey
    service: str
    shared: bytes


def keyring() -> Keyring:
    return Keyring(SEED)


def grants() -> list[Grant]:
    """64 connections as an owner would make them: every method, a daily budget, NIP-44."""
    ring = keyring()
    return [
        Grant(
            grant_id=f"bench{number:02}", name=f"client {number}", wire="nwc", caller=_client_key(number).public_hex,
            service_pubkey=ring.connection_key(f"bench{number:02}").public_hex, methods=METHODS,
            budget=Budget.daily(sat(100_000_000)), nip44_seen=True, created_at=int(time.time()),
        )
        for number in range(CLIENTS)
    ]  # fmt: skip


@cache
def clients() -> tuple[Client, ...]:
    ring, made = keyring(), []
    for number in range(CLIENTS):
        key, service = _client_key(number), ring.connection_key(f"bench{number:02}").public_hex
        made.append(Client(key, service, shared_secret(key, service, "nip44")))
    return tuple(made)


def _client_key(number: int) -> SecretKey:
    return derive(SEED, "bench client", str(number))


def request(number: int, plaintext: str) -> Event:
    """A signed NWC request of the client whose turn it is."""
    client = clients()[number % CLIENTS]
    return request_event(
        client.key, kind=kinds.NWC_REQUEST, service=client.service, plaintext=plaintext, cipher="nip44",
        shared=client.shared, entropy=os.urandom, now=int(time.time()),
    )  # fmt: skip


def frame(subscription_id: str, event: Event) -> bytes:
    """The relay's delivery of an event."""
    return b'["EVENT","' + subscription_id.encode() + b'",' + encode_event(event) + b"]"


def preimage(number: int) -> bytes:
    return sha256(b"preimage" + number.to_bytes(4)).digest()


def invoice(number: int) -> str:
    """A stranger's invoice of 1,000 sat as wallets write them: a description, no named payee."""
    return bolt11_write.encode(
        network=NETWORK, timestamp=int(time.time()), payment_hash=sha256(preimage(number)).hexdigest(),
        payment_secret=sha256(b"secret" + number.to_bytes(4)).hexdigest(), secret32=PAYEE, amount_msat=sat(1_000),
        description=f"order {number}", expiry_s=7_200,
    )  # fmt: skip
