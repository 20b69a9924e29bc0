"""The owner's view of the feed: everything that became true, in the order of the commits."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.approvals import what_is_asked
from kitestring.app.owner.command import Call, Commands, Read
from kitestring.app.owner.desk import Reading
from kitestring.app.owner.params import of_others
from kitestring.app.owner.results import node as results
from kitestring.app.service.execute import Result
from kitestring.base.approvals import Approval
from kitestring.base.events import EventKind, FeedEvent, Missed
from kitestring.base.money import MAX_WHOLE

#: Rows in one answer.
MAX_ROWS: Final = 500
DEFAULT_ROWS: Final = 20
HASH: Final = re.compile("[0-9a-f]{64}")
_OF_QUESTIONS: Final = frozenset({EventKind.ASKED, EventKind.DECIDED})


class EventsParams(msgspec.Struct, forbid_unknown_fields=True):
    after: (
        Annotated[
            int,
            Meta(
                ge=0, le=MAX_WHOLE, description="The number of the last event that was seen (default: show the newest)."
            ),
        ]
        | None
    ) = None
    limit: Annotated[
        int, Meta(ge=1, le=MAX_ROWS, description=f"How many (default: {DEFAULT_ROWS}, at most {MAX_ROWS}).")
    ] = DEFAULT_ROWS


async def events(desk: Reading, params: EventsParams, _call: Call) -> Result:
    """Show what became true: payments and invoices that ended, connections that changed, alarms. The oldest first."""
    last = await desk.store.last_event()
    after = max(0, last - params.limit) if params.after is None else params.after
    rows = await desk.store.events(after, params.limit)
    missed = sum(row.count for row in rows if isinstance(row, Missed)) if params.after is not None else 0
    return {
        "last": last,
        "missed": missed,
        "events": [await _shown(desk, row) for row in rows if isinstance(row, FeedEvent)],
    }


async def _shown(desk: Reading, event: FeedEvent) -> dict[str, object]:
    asked = await desk.store.approval(event.subject) if event.kind in _OF_QUESTIONS else None
    return {
        "number": event.number,
        "happened_at": event.at,
        "kind": event.kind.value,
        "payment_hash": await _payment_hash(desk, event.subject),
        "approval_id": event.subject if event.kind in _OF_QUESTIONS else None,
        "connection_id": of_others(event.grant_id),
        "account": event.account_id or None,
        "detail": event.detail or None if asked is None else await _sentence(desk, event, asked),
    }


async def _sentence(desk: Reading, event: FeedEvent, asked: Approval) -> str:
    """Say what was asked, and how it ended."""
    pointer = await desk.store.grant(asked.target)
    words = what_is_asked(asked, asked.target if pointer is None else pointer.name)
    if event.kind is EventKind.ASKED:
        return words
    by = f" by {asked.decided_by}" if asked.decided_by else ""
    return f"{event.detail}{by}: {words}"


async def _payment_hash(desk: Reading, subject: str) -> str | None:
    """The hash under which every other command knows what the event is about; None where that is no money, or gone.

    The ledger's own ids of payments and invoices are shown nowhere else. A settlement of none of our invoices, and an
    alarm about one, have the hash as their subject.
    """
    found = await desk.store.payment(subject) or await desk.store.invoice(subject)
    if found is not None:
        return found.payment_hash
    return subject if HASH.fullmatch(subject) else None


COMMANDS: Final[Commands] = (Read("events", EventsParams, events, results.EventListJson),)
