"""The owner's view of the feed: everything that became true, in the order of the commits."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.command import Call, Commands, Read
from kitestring.app.owner.desk import Reading
from kitestring.app.service.execute import Result
from kitestring.base.events import Event, Missed
from kitestring.base.money import MAX_WHOLE

#: Rows in one answer.
MAX_ROWS: Final = 500
DEFAULT_ROWS: Final = 20


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
    return {"last": last, "missed": missed, "events": [_shown(row) for row in rows if isinstance(row, Event)]}


def _shown(event: Event) -> dict[str, object]:
    return {
        "number": event.number,
        "happened_at": event.at,
        "kind": event.kind.value,
        "subject": event.subject,
        "connection_id": event.grant_id,
        "account": event.account_id,
        "detail": event.detail,
    }


COMMANDS: Final[Commands] = (Read("events", EventsParams, events),)
