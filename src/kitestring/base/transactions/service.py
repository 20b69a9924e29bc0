"""Notes of the service about itself: its node, its stops, and when apps have asked last."""

from __future__ import annotations

from kitestring.base.records import Node, StopCause
from kitestring.base.transactions.answers import Done, Tx


class NoteUses(Tx[Done], frozen=True):
    """Store when the apps of these grants have last asked for something (Unix seconds), by the clock as it is."""

    uses: tuple[tuple[str, int], ...]


class SaveNode(Tx[Done], frozen=True):
    """Insert or update the row of a node; an empty cursor keeps the stored one."""

    node: Node


class SetSpending(Tx[Done], frozen=True):
    """Stop or allow spending for one cause, with the reason that audit and doctor show. A stop, and an allowance with a
    reason, are told as alarms. To allow a ledger that was restored makes another ledger of it (``ledger_id``)."""

    stopped: bool
    why: str
    now: int
    cause: StopCause = StopCause.DRIFT
