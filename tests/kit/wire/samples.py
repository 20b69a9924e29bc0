"""Keys and records that the tests of the wires share."""

from __future__ import annotations

from typing import Any

from kitestring.base.money import Msat
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event, sign_event
from kitestring.wire.registry import OF_CONNECTIONS
from kitestring.wire.reply_to import CONNECTION_KEY_PREFIX, SERVICE_KEY, ReplyTo
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH

SERVICE = SecretKey(bytes(31) + b"\x07")
CLIENT = SecretKey(bytes(31) + b"\x09")
STRANGER = SecretKey(bytes(31) + b"\x0b")


def reply_to(wire: str) -> ReplyTo:
    """To the client, of a wire of connections or of strangers."""
    key_id = CONNECTION_KEY_PREFIX + "g1" if wire in OF_CONNECTIONS else SERVICE_KEY
    return ReplyTo(wire, key_id, CLIENT.public_hex, "nip44", "ab" * 32, NOW)


def event(kind: int, *tags: list[str]) -> Event:
    """As a wire sees it: nobody looks at the signature any more."""
    return Event("ab" * 32, CLIENT.public_hex, NOW, kind, [["p", SERVICE.public_hex], *tags], "", "00" * 64)


def transaction(**changes: Any) -> Transaction:
    members: dict[str, Any] = {
        "type": Direction.INCOMING,
        "state": TransactionState.PENDING,
        "payment_hash": PAYMENT_HASH,
        "amount_msat": Msat(21_000),
        "fee_msat": Msat(0),
        "created_at": NOW,
    }
    return Transaction(**{**members, **changes})


def zap_request(
    *tags: list[str], kind: int = kinds.ZAP_REQUEST, relays: tuple[str, ...] = ("wss://zaps.example",)
) -> str:
    """A zap request for the service's own key, signed by the client, with further tags."""
    named = [["relays", *relays]] if relays else []
    zapped = [] if any(tag[0] == "p" for tag in tags) else [["p", SERVICE.public_hex]]
    signed = sign_event(CLIENT, kind=kind, tags=[*zapped, *named, *tags], content="Größe ⚡", created_at=NOW)
    return encode_event(signed).decode()
