"""After a crash: every payment and request that was left open is carried on from the stored rows alone."""

from __future__ import annotations

from kitestring.base.records import BUNDLE
from kitestring.engine.approvals import Approvals
from kitestring.engine.bundles import Bundles
from kitestring.engine.context import Context
from kitestring.engine.holds import Holds
from kitestring.engine.payments import Payments


async def recover(context: Context, payments: Payments, approvals: Approvals, bundles: Bundles, holds: Holds) -> None:
    """Begin all of it; returns at once, for none of it waits here for a node that may be down."""
    store = context.store
    for payment in await store.open_payments():
        payments.carry_on(payment)
    for payment in await store.resolved_payments():
        if payment.node_id == context.node.node_id:
            payments.carry_on(payment)
    await holds.recover()
    for request in await store.running_requests():
        if request.payment_id == BUNDLE:
            bundles.carry_on(request)
            continue
        await payments.answer_orphan(request)
        await approvals.answer_orphan(request)
        await holds.answer_orphan(request)
