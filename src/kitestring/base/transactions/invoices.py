"""Invoices of this service, and what the node says about them."""

from __future__ import annotations

from typing import Final

from kitestring.base.grants import Offer
from kitestring.base.invoices import MAX_UNPAID, Decision
from kitestring.base.money import Msat
from kitestring.base.records import Message, OwnInvoice, Request
from kitestring.base.shares import Share
from kitestring.base.transactions.answers import (
    AlreadyCredited,
    Claimed,
    Credited,
    Denied,
    Done,
    Finished,
    More,
    NotCredited,
    Running,
    Stale,
    Tx,
)

#: Requests that may wait for the end of one invoice: its maker asks once, and again while the node is away.
MAX_DECIDING: Final = 20


class HoldPayment(Tx[Done | Stale], frozen=True):
    """A payment of a hold invoice is held (→ accepted), by the node, or as ``payment_id`` inside this service. It goes
    back at the height ``settle_deadline``. Stale where it is not open, or was decided meanwhile; the same once more is
    Done."""

    node_id: str
    payment_hash: str
    held_msat: Msat
    settle_deadline: int
    now: int
    payment_id: str = ""


class DecideHold(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Decide about a hold invoice that waits, for good: before the node is told, so that it is carried on after a
    crash. An ordinary invoice that is open can be decided to be cancelled, and not to be settled: from then on no
    payment of this service begins or ends with it.

    ``request`` asks for it, and is claimed: it waits under the id of the invoice until that has ended. None where the
    service itself decides; then ``why`` is told as an alarm. ``preimage`` (64 hex digits) is needed to settle. Stale
    where it cannot be decided so (any more), and for an old ``grant_version``. Denied as RATE_LIMITED where
    :data:`MAX_DECIDING` requests wait for its end already. A preimage that does not fit raises
    KitestringError(INTERNAL).
    """

    invoice_id: str
    decision: Decision
    now: int
    request: Request | None = None
    grant_version: int = 0
    preimage: str = ""
    why: str = ""


class WarnHold(Tx[Done], frozen=True):
    """The deadline of a held payment is near: told as an alarm, once."""

    invoice_id: str
    why: str
    now: int


class AlarmHold(Tx[Done], frozen=True):
    """Something is to be done by hand about a hold invoice: told as an alarm, but not if the same was told in the last
    ``again_s`` seconds before ``now``."""

    invoice_id: str
    why: str
    now: int
    again_s: int


class EndHold(Tx[Done | Stale], frozen=True):
    """The node has refused every payment of an invoice for good (of an ordinary one because it was told to), or has
    given back what it held (→ canceled).
    ``messages`` are the replies to those who wait for its end. ``why`` is told as an alarm, "" for none. Stale where it
    has ended already, or a payment of this service is held for it."""

    invoice_id: str
    now: int
    messages: tuple[Message, ...] = ()
    why: str = ""


class RecordInvoice(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Store an invoice that the node has made, with its request and the reply: nobody has seen its text before this
    commit, so one that is refused here or lost in a crash can be paid by nobody. ``messages`` begin with the reply.

    ``shares`` are those of the invoice's holders in the open invoices at its node (none: no bound): one more than they
    allow (:func:`kitestring.base.shares.have_room`) is denied as RATE_LIMITED. A hold invoice whose hash another one
    has, in whatever state, is denied as INVOICE_TAKEN. Stale where ``offer``, which it was priced by, stands otherwise
    by now."""

    request: Request
    grant_version: int
    invoice: OwnInvoice
    messages: tuple[Message, ...]
    now: int
    shares: tuple[Share, ...] = ()
    offer: Offer | None = None


class Credit(Tx[Credited | AlreadyCredited | NotCredited], frozen=True):
    """A settlement the node has confirmed. Unique by (service, node, hash); the cursor moves in the same commit.

    An unknown hash is the owner's money. A second payment of an invoice that was settled internally is booked to its
    account as surplus, once. ``messages`` are stored only if this settles an invoice. A preimage that is none is not
    kept. Nothing about a settlement is refused with an error.
    """

    node_id: str
    payment_hash: str
    received_msat: Msat
    settled_at: int
    preimage: str
    cursor: bytes = b""
    messages: tuple[Message, ...] = ()


class ParkSettlement(Tx[Done], frozen=True):
    """A settlement that cannot be booked: the cursor moves beyond it, so that what is behind it can be. ``why`` is a
    sentence for the owner, told as an alarm; "" where that was told before. An empty cursor stays where it is."""

    node_id: str
    payment_hash: str
    cursor: bytes
    why: str
    now: int


class ExpireInvoices(Tx[Done | More], frozen=True):
    """Invoices of ``node_id``: open ones that have one of the payment hashes in ``ended`` become expired, because the
    node has said that they can be paid no more. No time ends an invoice: our clock may be wrong. One that was decided
    stays: EndHold ends it.

    Those of offers that ended in an earlier step, and whose expiry lies before ``drop_offers_before``, are deleted with
    their requests and replies (strangers leave no rows behind). So are, of each connection of which one expires
    now, those that ended unpaid before, whose expiry lies before ``drop_unpaid_before``, but for the newest
    ``max_unpaid``: no app fills the disk.

    A request id is then known no more; its age window, which must be shorter than the time an unpaid invoice is kept,
    refuses it. Only a clock that is set back makes another invoice of it: nobody's money moves.
    """

    ended: tuple[str, ...]
    drop_offers_before: int
    node_id: str
    now: int
    drop_unpaid_before: int = 0
    max_unpaid: int = MAX_UNPAID


class LeaveInvoices(Tx[Done | More], frozen=True):
    """The service stands on ``node_id``: open invoices of other nodes that expired before ``expired_before`` are left,
    and those of this node that were left are open again."""

    node_id: str
    expired_before: int
