"""The notifications of Nostr Wallet Connect (NIP-47, extension 02), the client's side: which are believed, and what
they say.

A notification is the wallet's own word, as an answer is: signed by the key of the connection, and encrypted to us.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.errors import CodecError
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.codec.json import loads_reply
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, verify_event
from kitestring.wire.ask.members import text_in
from kitestring.wire.ask.nwc.announcement import ServiceInfo
from kitestring.wire.ask.nwc.codes import MAX_CODE_CHARS
from kitestring.wire.ask.nwc.transactions import read_transaction
from kitestring.wire.envelope import MAX_REPLY_BYTES

#: In NIP-44, and in NIP-04.
KINDS: Final = frozenset({kinds.NWC_NOTIFY, kinds.NWC_NOTIFY_NIP04})
#: The types that are understood, each with the direction of what it tells. Others are passed over.
TYPES: Final = {
    "payment_received": Direction.INCOMING,
    "payment_sent": Direction.OUTGOING,
    "hold_invoice_accepted": Direction.INCOMING,
}
#: The one that tells of a payment that waits for a decision.
HELD_TYPE: Final = "hold_invoice_accepted"
#: Those of them that tell the end of a payment.
SETTLED_TYPES: Final = {direction: name for name, direction in TYPES.items() if name.startswith("payment_")}


class Notification(msgspec.Struct, frozen=True, gc=False):
    """A wallet says that something has happened: ``type`` is ``payment_received``, ``payment_sent`` or
    ``hold_invoice_accepted``, and ``transaction`` what happened to."""

    type: str
    transaction: Transaction


def may_notify(info: ServiceInfo | None) -> bool:
    """Whether a wallet announces notifications, in any of the ways in use; False where it announces nothing."""
    return info is not None and bool(info.notifications or "notifications" in info.methods or "02" in info.extensions)


def is_notification(event: Event, service: str, own: str) -> bool:
    """Whether this is one of ``service`` to ``own`` (public keys): kind, author, first ``p`` if there is one, then id
    and signature."""
    if event.kind not in KINDS or event.pubkey != service or first_tag(event, "p") not in {None, own}:
        return False
    return verify_event(event)


def decode_notification(plaintext: str) -> Notification:
    """Read a notification. Raises CodecError for a type that is not understood, and where the transaction cannot be
    read, says something else than the type, or has no payment hash."""
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    name = text_in(members, "notification_type", MAX_CODE_CHARS)
    direction, told = TYPES.get(name), members.get("notification")
    if direction is None:
        raise CodecError(f"the wallet's notification is of no known type: {name}")
    if not isinstance(told, dict):
        raise CodecError("the wallet's notification has no transaction")
    # What a type says goes without saying in older wallets.
    is_end = name in SETTLED_TYPES.values()
    found = read_transaction({"type": direction.value} | ({"state": "settled"} if is_end else {}) | told)
    if found.type is not direction or (is_end and found.state is not TransactionState.SETTLED):
        raise CodecError(f"the wallet's notification says {name}, and tells something else")
    return Notification(name, found)
