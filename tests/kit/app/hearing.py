"""What apps must have been told of their payments, once each, and what they were told."""

from __future__ import annotations

from typing import Any

from kitestring.base.events import EventKind
from kitestring.base.records import NOTIFICATION

TYPES = {
    EventKind.RECEIVED: "payment_received",
    EventKind.ACCEPTED: "hold_invoice_accepted",
    EventKind.SETTLED: "payment_sent",
}

#: A grant, and the words of its notification.
Told = tuple[str, str]


async def to_be_told(store: Any, since: int = 0) -> list[Told]:
    """What follows from the feed from that time on, if every connection may hear of everything of its own and lives for
    ever."""
    wires = {grant.grant_id: grant.wire for grant in await store.grants()}
    rows = [row for row in await store.events(0, 100_000) if row.at >= since and row.kind in TYPES]
    return sorted(
        (row.grant_id, f"{TYPES[row.kind]} {row.subject}")
        for row in rows
        if (not row.detail or row.kind is EventKind.ACCEPTED) and wires.get(row.grant_id) == "nwc"
    )


async def stored(store: Any) -> list[Told]:
    """The notifications in the outbox."""
    rows = [one.message for one in await store.outbox(0, 100_000)]
    return sorted((one.address.decode(), one.plaintext.decode()) for one in rows if one.kind == NOTIFICATION)


async def hash_of(store: Any, words: str) -> str:
    """The payment hash that the words of a notification are about."""
    name, _, subject = words.partition(" ")
    found = await (store.payment(subject) if name == "payment_sent" else store.invoice(subject))
    return str(found.payment_hash)
