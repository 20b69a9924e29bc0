"""Whether "never seen" proves that nothing was paid: absence is proof only where it was earned.

A node says of a hash whose record it has lost what it says of one that it never had. Records are lost when they are
deleted, when the node is restored from a copy, and when it begins with an empty database. So the exact word of the node
(:class:`~kitestring.base.payments.NeverSeen`) is believed only

* in the young life of a claim: the older it is, the more may have happened to the node's memory
* while the node has not shown a payment of this hash itself (:mod:`kitestring.engine.orders` keeps that)
* confirmed by a look-up of another kind, asked for *after* the word: the node's own count of its payments
  (``Backend.payment_index``) is not below the one that was stored with the claim, nor below the highest one that was
  stored with others. What of ours has settled since is added: the stored one may be a minute old, and may be the last
  one for long.

A count of 0 at the claim proves nothing, because an empty list cannot be told from an emptied one. A process that has
sent the order itself, and lives since, believes a node without a count; after a restart nobody does.

What is left: one record that is deleted by itself; as many payments that are not known here to have settled as records
were deleted; and a node that is put back to a moment right before the order, after the last payment of which anybody
here knows. Its records are those of a node that never got the order, and so is its balance: nothing tells. Such a
payment is sent twice if the node comes back within the time in which an order may be sent, and called failed if it
comes back within a day. So the guides say that payments are never to be deleted and a node never to be put back to an
old state, and the doctor looks at the count.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.clocks import AHEAD_S
from kitestring.base.records import Payment
from kitestring.engine.context import Context
from kitestring.engine.node import reachable

#: Longer than a service is away for a repair, and shorter than the rounds in which people tidy up their nodes.
YOUNG_S: Final = 86_400


async def doubt(context: Context, payment: Payment, waited_s: float, *, is_inherited: bool) -> str:
    """Say why the node's word "never seen" proves nothing about ``payment``, in a sentence; "" where it is a proof.

    ``waited_s`` is how long this process has had it; ``is_inherited``: another one has sent the order, or may have.
    Raises KitestringError when the node cannot count now: ask again.
    """
    age_s = context.clock.now() - payment.created_at if is_inherited else waited_s
    if not -AHEAD_S <= age_s <= YOUNG_S or waited_s > YOUNG_S:
        return "the node has never seen it, but the claim is too old, or of an unknown age, for that to be a proof"
    can_count = context.backend.capabilities.payment_index
    if not can_count or not payment.payment_index:
        return "the node has never seen it, and after a restart nothing confirms that" if is_inherited else ""
    before = max(payment.payment_index, await context.store.least_payments(payment.node_id) or 0)
    present = await reachable(context.backend.payment_index())
    if present >= before:
        return ""
    return (
        f"the node has never seen it, but its list of payments became shorter ({before} or more before,"
        f" {present} now): records were deleted, or it was restored; look at it, then `kitestring resolve`"
    )
