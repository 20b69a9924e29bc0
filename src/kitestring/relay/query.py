"""Looking through stored events without keeping everybody else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from heapq import nlargest

from kitestring.nostr.filter import Filter
from kitestring.relay.entry import Entry
from kitestring.relay.limits import LOOKED_AT_PER_TURN
from kitestring.relay.store import EventStore


async def query(store: EventStore, filters: Sequence[Filter], now: int, cap: Callable[[Filter], int]) -> list[Entry]:
    """The events that match any of the filters, newest first, each once: as stored when this begins to run. ``cap``
    says how many there may be for a filter, whatever it asks for.

    Others have their turn every :data:`LOOKED_AT_PER_TURN` events; with fewer to look at it is done at once.
    """
    parts = [(wanted, store.candidates(wanted)) for wanted in filters if wanted.limit != 0]
    found: dict[Entry, None] = {}
    for wanted, candidates in parts:
        limit = cap(wanted) if wanted.limit is None else min(wanted.limit, cap(wanted))
        best: list[Entry] = []
        for start in range(0, len(candidates), LOOKED_AT_PER_TURN):
            turn = candidates[start : start + LOOKED_AT_PER_TURN]
            matching = [entry for entry in turn if entry.ends_at > now and wanted.matches(entry.event)]
            best += matching
            if len(best) > limit:
                best = nlargest(limit, best, key=_newest)
            if len(turn) == LOOKED_AT_PER_TURN:
                await asyncio.sleep(0)
        found.update(dict.fromkeys(best))
    return sorted(found, key=_newest, reverse=True)


def _newest(entry: Entry) -> tuple[int, str]:
    return entry.event.created_at, entry.event.id
