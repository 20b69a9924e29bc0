"""A command that only writes rows: claimed by its id, done once, its result kept."""

from __future__ import annotations

from typing import Any

import msgspec

from kitestring.app.service.owner_wire import CONTROL
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import CONTROL_WIRE, REPLY, Message, Request
from kitestring.base.store import Reads, Store
from kitestring.base.transactions.answers import Denied, Finished, Running, Stale
from kitestring.base.transactions.owner import Execute, Write

#: The answer of an owner's command, as JSON values.
Result = dict[str, Any]


async def execute(
    store: Store, request_id: str, grant_id: str, writes: tuple[Write, ...], result: Result, now: int
) -> Result | None:
    """Do all writes or none for the grant ``grant_id``. None when that was done now; a repeated ``request_id`` changes
    nothing and returns the result of the first time.

    Raises KitestringError when the store denies a write, when somebody changed the same row meanwhile, or when the id
    is that of a request under way.
    """
    request = Request(request_id, CONTROL_WIRE, grant_id, b"", CONTROL, now, now)
    message = Message(request_id, REPLY, msgspec.json.encode(result), b"", now, CONTROL)
    answer = await store.apply(Execute(request, writes, message))
    if isinstance(answer, Denied):
        left = None if answer.remaining_msat is None else int(answer.remaining_msat)
        raise KitestringError(answer.reason, remaining_msat=left)
    if isinstance(answer, Stale | Running):
        raise KitestringError(Reason.BUSY)
    return _result(answer.messages) if isinstance(answer, Finished) else None


async def stored_result(store: Reads, request_id: str) -> Result | None:
    """The result that :func:`execute` has stored under this id; None when there is none."""
    return _result(await store.messages(request_id))


def _result(messages: tuple[Message, ...]) -> Result | None:
    return msgspec.json.decode(messages[0].plaintext, type=Result) if messages else None
