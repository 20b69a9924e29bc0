"""The owner's command about spending that was stopped by a doubt: about the ledger, or about who else serves it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.home.datadir import DataDir
from kitestring.app.owner.command import Call, Commands, Operate
from kitestring.app.owner.desk import Operating
from kitestring.app.owner.node import against_node
from kitestring.app.owner.params import MAX_NOTE_CHARS
from kitestring.app.owner.results import node as results
from kitestring.app.owner.stops import WAYS_OUT, EndedBy
from kitestring.app.service.execute import Result
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import Stop
from kitestring.base.text import one_line
from kitestring.ledger.audit.checks import audit


class AllowParams(msgspec.Struct, forbid_unknown_fields=True):
    note: Annotated[
        str,
        Meta(max_length=MAX_NOTE_CHARS, description="Why you are sure; without it the books must agree with the node."),
    ] = ""


async def spending_allow(desk: Operating, params: AllowParams, _call: Call) -> Result:
    """Let spending go on that was stopped by a doubt: a restored ledger, or a second service with the same key.

    Without a note only after a doubt about the ledger, and only if its books agree with the node's (`audit --node`).
    """
    stops, note = await desk.store.stops(), one_line(params.note, MAX_NOTE_CHARS)
    enough = {EndedBy.BOOKS, EndedBy.WORD} if note else {EndedBy.BOOKS}
    allowed = [stop for stop in stops if WAYS_OUT[stop.cause].ended_by in enough]
    if allowed and not note:
        await _need_right_books(desk)
    for stop in allowed:
        await desk.allow_spending(stop.cause, note or "the books agree with the node")
    left = [stop for stop in stops if stop not in allowed]
    if left and not allowed:
        raise _still_stopped(left[0])
    return {"allowed": [stop.cause.value for stop in allowed], "spending_stopped": left[0].why if left else None}


async def _need_right_books(desk: Operating) -> None:
    home = DataDir(desk.config.data_dir, desk.config.runtime_dir)
    wrong = [found.sentence for found in await asyncio.to_thread(audit, home.ledger, desk.service_id)]
    wrong += (await against_node(desk, whole_node=False)).violations
    if wrong:
        raise KitestringError(
            Reason.SPENDING_STOPPED,
            f"the books are not right ({len(wrong)} violations): see `kitestring audit --node`, or decide with --note",
        )


def _still_stopped(stop: Stop) -> KitestringError:
    return KitestringError(Reason.SPENDING_STOPPED, f"spending stays stopped: {stop.why}; {WAYS_OUT[stop.cause].mend}")


COMMANDS: Final[Commands] = (Operate("spending_allow", AllowParams, spending_allow, results.SpendingAllowedJson),)
