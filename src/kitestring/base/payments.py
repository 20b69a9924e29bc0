"""The payment state machine: one table, one file.

Every change of a payment's state in any store goes through :func:`step`; an illegal one raises and changes nothing.
The documentation draws :data:`TRANSITIONS`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from kitestring.base.money import Msat


class State(StrEnum):
    """The life of one outgoing payment."""

    RECEIVED = "received"  # read from a wire, nothing stored
    REFUSED = "refused"  # answered, nothing reserved
    ASKED = "asked"  # waits for the owner's decision
    RESERVED = "reserved"  # amount and fee cap are held; an internal payment goes from here straight to settled
    DISPATCHED = "dispatched"  # the node may have been asked
    SETTLED = "settled"
    FAILED = "failed"  # only with evidence
    UNKNOWN = "unknown"  # the node was asked and nobody can say what became of it
    RESOLVED = "resolved"  # decided by the operator, with a note


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.RECEIVED: frozenset({State.REFUSED, State.ASKED, State.RESERVED}),
    State.ASKED: frozenset({State.REFUSED, State.RESERVED}),
    # reserved → settled is the internal payment; reserved → failed is proven, because no node was ever asked.
    State.RESERVED: frozenset({State.DISPATCHED, State.SETTLED, State.FAILED}),
    State.DISPATCHED: frozenset({State.SETTLED, State.FAILED, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.SETTLED, State.FAILED, State.RESOLVED}),
    State.RESOLVED: frozenset({State.SETTLED}),  # a late truth, with an alarm
    State.REFUSED: frozenset(),
    State.SETTLED: frozenset(),
    State.FAILED: frozenset(),
}

#: States in which a payment owns its (service, node, hash); the database holds a unique index over exactly these.
HOLDING: Final = frozenset({State.RESERVED, State.DISPATCHED, State.UNKNOWN, State.SETTLED, State.RESOLVED})
#: States in which money is reserved and the truth is still to come.
OPEN: Final = frozenset({State.RESERVED, State.DISPATCHED, State.UNKNOWN})
TERMINAL: Final = frozenset(state for state, after in TRANSITIONS.items() if not after)


class IllegalStepError(RuntimeError):
    """A payment was asked to go where the table does not lead. Nothing was changed."""

    def __init__(self, before: State, after: State) -> None:
        super().__init__(f"a payment does not go from {before.value} to {after.value}")
        self.before, self.after = before, after


def step(before: State, after: State) -> State:
    """Return ``after`` if the table allows it. Raises :class:`IllegalStepError` otherwise."""
    if after not in TRANSITIONS[before]:
        raise IllegalStepError(before, after)
    return after


# Answers of a backend about one outgoing payment: a closed type, so that no adapter can say "failed" by accident.


class FailureReason(StrEnum):
    """Why a payment failed for good, as far as the node's proof tells."""

    FEE_LIMIT = "fee_limit"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    NO_ROUTE = "no_route"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"  # no connection to the node came about: it was never asked
    TAKEN = "taken"  # our own invoice was settled or cancelled before an internal payment of it
    OTHER = "other"


class Settled(msgspec.Struct, frozen=True, gc=False):
    """The node paid. ``preimage`` is 64 hex digits and hashes to the payment hash; ``fee_msat`` is the routing fee."""

    preimage: str
    fee_msat: Msat


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The node proved that nothing was paid and nothing can be any more. ``evidence`` is kept in the row.

    ``attempt_at`` is when the *node* took the order this is about, in Unix seconds by the node's own clock, as its
    books say (lnd: ``creation_time_ns``); None where it keeps no such time. A look-up always fills it in if the node
    knows it: only so is the end of this attempt told from that of an earlier one of the same hash.
    """

    evidence: str
    reason: FailureReason = FailureReason.OTHER
    attempt_at: int | None = None


class InFlight(msgspec.Struct, frozen=True, gc=False):
    """The node is trying."""


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Nobody can say. Read errors, time-outs, 5xx, cancelled tasks: all of them are this."""

    why: str


class NeverSeen(msgspec.Struct, frozen=True, gc=False):
    """The node does not know the hash, as of ``as_of`` (Unix seconds). A proof only with authoritative look-ups."""

    as_of: int


PayAnswer = Settled | Failed | InFlight | Unknown
LookupAnswer = Settled | Failed | InFlight | Unknown | NeverSeen
