"""Payments: ``ClaimPayment`` is all that is decided before the node is asked, ``RecordPayment`` all that follows from
its answer. What lies between them is in base/payments.py.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.approvals import Token
from kitestring.base.payments import Failed, Settled, Unknown
from kitestring.base.records import Charge, Message, NodeView, Payment, Request
from kitestring.base.shares import ANY, Share
from kitestring.base.transactions.answers import (
    AlreadyPaid,
    Claimed,
    Denied,
    Done,
    Finished,
    InvoiceNotOpen,
    Joined,
    Recorded,
    Running,
    Stale,
    Tx,
)

#: Requests that may wait for the end of one payment, about 1.5 kB each: an app that asks again every minute for an hour
#: and a half, while a payee holds it.
MAX_JOINED: Final = 100


class ClaimPayment(Tx[Claimed | Finished | Running | Stale | Denied | Joined | AlreadyPaid], frozen=True):
    """Transaction 1 of a payment: claim the request, compare version, balance and budgets, reserve, store the hash,
    mark dispatched (an internal one stays reserved). ``view`` is needed when the account is the owner's.

    An overdrawn account reserves nothing until a transfer or a credit has covered it; the owner's until a ``view``
    taken after everything that is spent covers what is asked for.

    Stale also when the invoice is an open one of this service and the payment is not internal.

    Denied as PAYMENT_IN_FLIGHT where :data:`MAX_JOINED` requests wait already for the payment that it would join, and
    nobody is to be told that it is not made; the owner's are always joined.

    ``share`` is the grant's part of the payments that may be open at the payment's node: a new one beyond it is denied
    as RATE_LIMITED. The tokens in ``consume`` are used up by it, forever, unless it fails: then they are free again
    with that very commit.

    After it answered Claimed, whoever applied it must ask the node and record its answer; a claim of the same request
    or of the same hash by another grant must fail until then, over any crash.
    """

    request: Request
    grant_version: int
    payment: Payment
    charges: tuple[Charge, ...] = ()
    view: NodeView | None = None
    share: Share = ANY
    consume: tuple[Token, ...] = ()


class RecordPayment(Tx[Recorded | InvoiceNotOpen], frozen=True):
    """Transaction 2 of a payment: compare-and-set the outcome, post or void, finish the requests in ``messages``.

    ``Unknown`` only moves dispatched → unknown. For an internal payment ``Settled`` also settles our own invoice and
    credits its account; a hold invoice must have been decided so. ``Failed`` of one that is held cancels the invoice.
    ``messages`` may carry the receipt of that invoice's request.

    InvoiceNotOpen (internal only): nothing was changed. An illegal step raises IllegalStepError. After Settled or
    Failed every further one must fail. Nothing else about an outcome is refused: in place of a fee that cannot be true
    the fee cap is booked, with an alarm.
    """

    payment_id: str
    outcome: Settled | Failed | Unknown
    now: int
    messages: tuple[Message, ...] = ()


class ResolvePayment(Tx[Recorded], frozen=True):
    """The operator's word about an unknown payment, with a note: releases the reservation (→ resolved). After it only
    Settled may be recorded, a late truth."""

    payment_id: str
    note: str
    now: int


class ClaimBundle(Tx[Claimed | Finished | Running | Denied], frozen=True):
    """Claim a request for several payments, of which each has a request and a claim of its own. ``request`` waits for
    ``BUNDLE`` (its ``payment_id``) and is finished when all of them are claimed or refused. Denied where it is as old
    as what was forgotten."""

    request: Request


class EndBundle(Tx[Done], frozen=True):
    """Finish the request of a bundle without a word, once each of its parts (``parts`` are their ids) is claimed or
    refused: those have the answers. What was asked for is kept no longer. Where nothing of its parts is kept but
    refusals, it is one itself, until ``until`` (Unix seconds, None: it has no age) and as :class:`Refuse` bounds
    them."""

    request_id: str
    parts: tuple[str, ...]
    until: int | None
    now: int
    max_number: int
