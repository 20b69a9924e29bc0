"""The payment state machine: one table, one file. The documentation draws :data:`TRANSITIONS`.

A payment is two transactions with one call to the node between them, and what makes it safe is what each of the three
leaves behind:

* **Transaction 1** (``ClaimPayment``) claims the request, compares grant, balance and budgets, reserves amount and
  fees, stores the payment hash, and marks the payment ``dispatched``. It is on disk before the node is asked.
  ``received``, ``asked`` and ``refused`` are decisions before it: no row of a payment exists in them.
* **The send**: one order to the node, whose key is the hash. It is the only step that cannot be taken back, so nothing
  that is known only afterwards may decide whether it was allowed.
* **Transaction 2** (``RecordPayment``) compares and sets the outcome, posts or releases what was reserved, and stores
  the finished reply. It is the only way to ``settled`` and ``failed``.

An internal payment (our own invoice) has no send: it stays ``reserved`` until transaction 2 moves both sides at once.

A crash can come between any two of these, and leaves:

====================================  ==============  ==================================================================
crash                                 stored          next start
====================================  ==============  ==================================================================
before transaction 1 is on disk       nothing         the request is new when it comes again
after it, before the send             ``dispatched``  asks the node by hash: never seen, so the same order is sent
after the send, before its answer     ``dispatched``  asks by hash: settled, failed, in flight, or never seen *yet*
after the answer, before transaction  ``dispatched``  asks by hash, and finds the same answer again
2 is on disk
after it, before the reply is sent    an end          the outbox sends the stored reply
internal, before transaction 2        ``reserved``    moves both sides, or finds the invoice gone
====================================  ==============  ==================================================================

``unknown`` is a payment about which the node has not said its final word: the money stays reserved, and the node is
asked again until it has. It also says that an order may have been sent more than once. ``resolved`` is the operator's
word that nobody will ever know: the money is released, the hash stays taken. The node may still prove the
operator wrong; then the truth is booked, with an alarm, for the money is gone whatever anybody has decided. That is why
``resolved`` may become ``settled``, and nothing else: that it has failed is what it was booked as already.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Final

import msgspec

from kitestring.base.money import MAX_MSAT, Msat


class State(StrEnum):
    """The life of one outgoing payment."""

    RECEIVED = "received"  # read from a wire, nothing stored
    REFUSED = "refused"  # answered, nothing reserved
    ASKED = "asked"  # waits for the owner's decision
    RESERVED = "reserved"  # amount and fees are held; an internal payment goes from here straight to settled
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

#: Of a payment's secret and of its hash (BOLT #2).
PREIMAGE_BYTES: Final = 32
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
    """The reason why a payment failed for good, as far as the node's proof tells."""

    FEE_LIMIT = "fee_limit"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    NO_ROUTE = "no_route"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"  # no connection to the node came about: it was never asked
    TOO_LATE = "too_late"  # never sent, and its time to be sent is over
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

    ``route_fee_msat`` is what a route would have cost that the fee limit has ruled out, where the node tells it. It is
    for the words to the payer alone, and is not kept.
    """

    evidence: str
    reason: FailureReason = FailureReason.OTHER
    attempt_at: int | None = None
    route_fee_msat: Msat | None = None


class InFlight(msgspec.Struct, frozen=True, gc=False):
    """The node is trying."""


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Nobody can say. Read errors, time-outs, 5xx, cancelled tasks: all of them are this."""

    why: str


class NeverSeen(msgspec.Struct, frozen=True, gc=False):
    """The node does not know the hash, as of ``as_of`` (Unix seconds). A proof only with authoritative look-ups."""

    as_of: int


def preimage_fits(preimage: str, payment_hash: str) -> bool:
    """Whether ``preimage`` is the proof of payment: 32 bytes whose SHA-256 is ``payment_hash``, both in hex of either
    case. Anything malformed is no proof."""
    try:
        secret = bytes.fromhex(preimage)
    except ValueError:
        return False
    has_length = len(secret) == PREIMAGE_BYTES and len(preimage) == 2 * PREIMAGE_BYTES  # blanks are no digits
    return has_length and sha256(secret).hexdigest() == payment_hash.lower()


def booked_fee(said: Msat, fee_cap: Msat) -> Msat:
    """The fee that is booked and told. In place of one that cannot be, it is the fee cap: no node was told to pay more,
    and the doubt is not the owner's."""
    return said if 0 <= said <= MAX_MSAT else fee_cap


PayAnswer = Settled | Failed | InFlight | Unknown
LookupAnswer = Settled | Failed | InFlight | Unknown | NeverSeen
