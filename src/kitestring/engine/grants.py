"""The grants that decisions are made on, each read once."""

from __future__ import annotations

from kitestring.base.events import GRANT_CHANGES
from kitestring.base.grants import Grant
from kitestring.base.store import Store
from kitestring.base.transactions.feed import Committed


class Grants:
    """Grants by id. A change is heard of with its commit; a decision just before it is noticed by transaction 1,
    which compares the version. Holds at most the grants of the ledger that were asked for, about 1 kB each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Grant] = {}
        self._places: dict[tuple[str, str, str], str] = {}
        self._heard = 0  # changes so far: what was read before one may be older than it, and is not kept
        store.subscribe(self._hear)

    async def get(self, grant_id: str) -> Grant | None:
        return self._known.get(grant_id) or await self.reload(grant_id)

    async def reload(self, grant_id: str) -> Grant | None:
        """Read it from the ledger now."""
        heard = self._heard
        grant = await self._store.grant(grant_id)
        if grant is None:
            self._known.pop(grant_id, None)
        elif heard == self._heard:
            self._known[grant_id] = grant
        return grant

    async def at(self, wire: str, caller: str, pointer_id: str) -> Grant | None:
        """The grant of a public key at a pointer, if it was not revoked."""
        key = (wire, caller, pointer_id)
        known = self._known.get(self._places.get(key, ""))
        if known is not None and known.revoked_at is None:
            return known
        heard = self._heard
        found = next((one for one in await self._store.grants_of(wire, caller) if one.pointer_id == pointer_id), None)
        if found is not None and heard == self._heard:
            self._places[key] = found.grant_id
            self._known[found.grant_id] = found
        return found

    def _hear(self, news: Committed) -> None:
        for event in news.events:
            if event.kind in GRANT_CHANGES:
                self._heard += 1
                self._known.pop(event.subject, None)
