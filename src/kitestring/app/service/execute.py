"""One owner's command that only writes rows: claimed by its id, done once, its result kept."""

from __future__ import annotations

from typing import Any

import msgspec

from kitestring.app.service.owner_wire import CONTROL
from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import Message, Request
from kitestring.base.store import Store
from kitestring.base.transactions import Denied, Execute, Finished, Stale, Write

#: What an owner's command answers: JSON values.
Result = dict[str, Any]


async def execute(store: Store, request_id: str, writes: tuple[Write, ...], result: Result, now: int) -> Result:
    """Do all writes or none; the second time the stored result of the first is returned.

    Raises KitestringError when the store denies a write, or somebody changed the same row meanwhile.
    """
    request = Request(request_id, "control", OWNER_GRANT, b"", CONTROL, now, now)
    message = Message(request_id, "reply", msgspec.json.encode(result), b"", now, CONTROL)
    answer = await store.apply(Execute(request, writes, message))
    if isinstance(answer, Denied):
        left = None if answer.remaining_msat is None else int(answer.remaining_msat)
        raise KitestringError(answer.reason, remaining_msat=left)
    if isinstance(answer, Stale):
        raise KitestringError(Reason.BUSY)
    if isinstance(answer, Finished):
        stored: dict[str, Any] = msgspec.json.decode(answer.messages[0].plaintext)
        return stored
    return result
