"""The ways out of a stop of spending, one row for each cause."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from kitestring.base.records import StopCause


class EndedBy(Enum):
    """The one thing that ends a stop."""

    ITSELF = "itself"  # as soon as it is no longer so; nobody's word helps
    WORD = "word"  # the owner's, who says why
    BOOKS = "books"  # that agree with the node's, or the owner's word


class WayOut(NamedTuple):
    """``check`` is the name of its line in ``kitestring doctor``, ``mend`` says what to do."""

    check: str
    ended_by: EndedBy
    mend: str


_SAY_WHY: Final = '`kitestring allow-spending --note "WHY YOU ARE SURE"`'

WAYS_OUT: Final[Mapping[StopCause, WayOut]] = {
    StopCause.DRIFT: WayOut(
        "spending",
        EndedBy.ITSELF,
        "it goes by itself as soon as the node holds what the accounts are owed; see `kitestring audit --node`",
    ),
    StopCause.NODE: WayOut("node", EndedBy.ITSELF, "then it goes by itself"),  # the reason says what to put back
    StopCause.LEDGER: WayOut(
        "ledger",
        EndedBy.BOOKS,
        f"run `kitestring audit --node`, which allows it again if it finds nothing, or decide with {_SAY_WHY}",
    ),
    StopCause.FILE: WayOut("ledger", EndedBy.ITSELF, "stop the service, put the file back, and start it again"),
    StopCause.TWIN: WayOut("copy", EndedBy.WORD, f"end the other service, then run {_SAY_WHY}"),
}


def spending_is_stopped(cause: StopCause, why: str) -> str:
    """Say that it is, why, and what the owner does about it."""
    return f"spending is stopped: {why}; {WAYS_OUT[cause].mend}"
