"""The notifications of Nostr Wallet Connect (NIP-47, extension 02), the service's side: one table of types.

State of the text: 2026-09. What is told is one transaction that the connection is shown, in the form of
``list_transactions``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from kitestring.base.events import EventKind
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Direction, Transaction
from kitestring.nostr import kinds
from kitestring.wire.encryption import spoken_ciphers
from kitestring.wire.grammar import NotificationType, Notifying
from kitestring.wire.reply_to import Cipher
from kitestring.wire.serve.nwc.transactions import TransactionEntry, entry_of

#: The kind of event for each cipher.
KINDS: Final[Mapping[Cipher, int]] = {"nip44": kinds.NWC_NOTIFY, "nip04": kinds.NWC_NOTIFY_NIP04}
#: The word in an info event for all of them together.
WORD: Final = "notifications"

NOTIFICATIONS: Final[dict[str, NotificationType]] = {
    row.name: row
    for row in (
        NotificationType("payment_received", EventKind.RECEIVED, Direction.INCOMING, "payment_received", ("02",)),
        NotificationType("payment_sent", EventKind.SETTLED, Direction.OUTGOING, "payment_sent", ("02",)),
        NotificationType(
            "hold_invoice_accepted", EventKind.ACCEPTED, Direction.INCOMING, "hold_invoice_accepted", ("03",)
        ),
    )
}


def notified(permissions: Collection[str]) -> list[NotificationType]:
    """The types of a grant that lists these."""
    return [row for row in NOTIFICATIONS.values() if row.permission in permissions]


class _Notification(msgspec.Struct):
    notification_type: str
    notification: TransactionEntry


_write: Final = msgspec.json.Encoder().encode


def notification(name: str, record: Transaction) -> bytes:
    """The plaintext of a notification. The longest one, with 4,096 characters of metadata and the longest invoice, has
    less than 26,000 bytes."""
    return _write(_Notification(name, entry_of(record)))


def _spoken(grant: Grant) -> tuple[Cipher, ...]:
    return spoken_ciphers(grant.cipher, grant.nip44_seen, is_used=not grant.link_salt)


NOTIFYING: Final = Notifying(NOTIFICATIONS, notification, _spoken, KINDS)
