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
    """What follows from the feed from that time on, if every connection may hear of everything that it sees, has always
    seen it since it was made, and lives for ever."""
    rows = await store.events(0, 100_000)
    made = {row.subject: row.number for row in reversed(rows) if row.kind is EventKind.GRANTED}
    apps = [grant for grant in await store.grants() if grant.wire == "nwc"]
    return sorted(
        (app.grant_id, f"{TYPES[row.kind]} {row.subject}")
        for row in rows
        if row.at >= since and row.kind in TYPES and (not row.detail or row.kind is EventKind.ACCEPTED)
        for app in apps
        if app.sees(row.grant_id, row.account_id) and row.number > made.get(app.grant_id, 0)
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
