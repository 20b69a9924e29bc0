"""Look for what an earlier life may have paid and the ledger does not know: only the node knows of that.

A witness outside knows of each *no* that was told, and not of what was paid. So before somebody is told no of a request
from before the start, the node is asked for each payment that it could have begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from kitestring.base.commands import AnyCommand, Bundle, Debit, PayInvoice
from kitestring.base.destinations import Keysend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.payments import HOLDING, Failed, NeverSeen, Unknown
from kitestring.engine.answers import part_id
from kitestring.engine.context import Context, Incoming
from kitestring.engine.node import ask_about


async def may_have_paid(context: Context, incoming: Incoming) -> bool:
    """Whether an earlier life may have paid what a request asks for, with the ledger not knowing of it. Raises as
    :func:`may_be_paid`."""
    if context.earlier.may_have_answered(incoming.sent_at):
        return True
    is_older = context.earlier.came_before(incoming.sent_at)
    return is_older and await may_be_paid(context, incoming.request_id, incoming.command)


async def may_be_paid(context: Context, request_id: str, command: AnyCommand) -> bool:
    """Whether the node has a payment of this request that the ledger does not know. Raises KitestringError when the
    node cannot say it now: nobody is told anything then."""
    return any([await _is_forgotten(context, one) for one in payment_hashes(context, request_id, command)])


async def _is_forgotten(context: Context, payment_hash: str) -> bool:
    known = await context.store.payment_by_hash(context.node.node_id, payment_hash)
    if known is not None and known.state in HOLDING:
        return False
    answer = await ask_about(context.backend.lookup_payment(payment_hash), payment_hash)
    if isinstance(answer, Unknown):
        raise KitestringError(Reason.UNAVAILABLE, "an earlier life may have paid it, and the node cannot say now")
    if isinstance(answer, NeverSeen):  # of some nodes that proves nothing, and a no may not follow from it
        return not context.backend.capabilities.authoritative_lookup
    return not isinstance(answer, Failed)


def payment_hashes(context: Context, request_id: str, command: AnyCommand) -> Iterator[str]:
    """The hashes of all that a request asks to pay, those that follow from its id among them."""
    if isinstance(command, Bundle):
        for number, part in enumerate(command.parts):
            if isinstance(part.payment, PayInvoice):
                yield from payment_hashes(context, part_id(request_id, number), part.payment)
    elif isinstance(command, Debit):
        if command.payment is not None:
            yield command.payment.payment_hash
    elif isinstance(command, PayInvoice):
        destination = command.destination
        if isinstance(destination, Keysend) and not destination.preimage:
            yield sha256(context.preimage_of(request_id)).hexdigest()
        else:
            yield command.payment_hash
