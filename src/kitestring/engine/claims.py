"""The rows and the order of a claim, and whether that order may still be sent."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from kitestring.base.clocks import AHEAD_S
from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Keysend, invoice_text
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.invoices import Decision, InvoiceState
from kitestring.base.node import PayOrder
from kitestring.base.payments import Failed, FailureReason, NeverSeen, State
from kitestring.base.records import OwnInvoice, Payment
from kitestring.engine.context import Context, Incoming
from kitestring.policy.rules import Allow

#: What of ours a payment pays: an open invoice, or the node's own key.
Ours = OwnInvoice | Keysend


def with_preimage(context: Context, incoming: Incoming, command: PayInvoice) -> tuple[Incoming, PayInvoice]:
    """The same order with what makes a keysend payable: the preimage, which follows from the request. So the node
    itself keeps a repeated request from paying twice, also where the ledger has lost its first claim."""
    destination = command.destination
    if not isinstance(destination, Keysend) or destination.preimage:
        return incoming, command
    preimage = context.preimage_of(incoming.request_id)
    drawn = msgspec.structs.replace(
        command,
        destination=Keysend(destination.node_key, preimage.hex(), destination.records),
        payment_hash=sha256(preimage).hexdigest(),
    )
    return msgspec.structs.replace(incoming, command=drawn), drawn


def new_payment(
    context: Context, incoming: Incoming, command: PayInvoice, grant: Grant, allow: Allow, own: Ours | None,
    now: int, payment_index: int | None = None,
) -> Payment:  # fmt: skip
    ends = (now + context.limits.send_within_s, incoming.expires_at, command.expires_at)
    return Payment(
        payment_id=context.new_id(now),
        node_id=context.node.node_id,
        epoch=context.node.epoch,
        account_id=grant.account_id,
        grant_id=grant.grant_id,
        payment_hash=command.payment_hash,
        destination=command.destination,
        amount_msat=command.amount_msat,
        fee_cap_msat=allow.fee_cap_msat,
        service_fee_msat=allow.service_fee_msat,
        created_at=now,
        send_until=min(filter(None, ends)),
        state=State.RESERVED if own is not None else State.DISPATCHED,
        internal=own is not None,
        expires_at=command.expires_at,
        description=command.description,
        description_hash=command.description_hash,
        metadata=command.metadata,
        payment_index=payment_index,
    )


async def ours(context: Context, command: PayInvoice, *, look_up: bool = True) -> Ours | None:
    """Our own open invoice, if this very string is one and it is to be looked up; the same hash in another string is a
    wrapped invoice. Or the keysend, if it goes to the node itself, which would send nothing."""
    if isinstance(command.destination, Keysend):
        return command.destination if command.destination.node_key == context.node.node_id else None
    if not look_up:
        return None
    invoice = await context.store.invoice_by_hash(context.node.node_id, command.payment_hash)
    if invoice is None or invoice.state is not InvoiceState.OPEN or invoice.decision is not Decision.NONE:
        return None
    return invoice if invoice.bolt11 == invoice_text(command.destination) else None


def pay_order(payment: Payment, timeout_s: int) -> PayOrder:
    return PayOrder(
        payment.destination,
        payment.payment_hash,
        payment.amount_msat,
        payment.fee_cap_msat,
        timeout_s,
    )


def is_late(payment: Payment, now: int, waited_s: float) -> bool:
    """Whether its order must not be sent any more. ``waited_s`` is how long this process has had it: the clock may step
    either way, and then says nothing. A claim that is dated ahead was made at an unknown time."""
    is_dated_ahead = now < payment.created_at - AHEAD_S
    return now > payment.send_until or is_dated_ahead or waited_s > payment.send_until - payment.created_at


async def unwanted(context: Context, payment: Payment, waited_s: float) -> tuple[FailureReason, str] | None:
    """Say why nobody wants this payment to begin, or to be sent again; None while somebody does."""
    now, grant = context.clock.now(), await context.store.grant(payment.grant_id)
    if payment.expires_at and payment.expires_at <= now:
        return FailureReason.EXPIRED, "the invoice has expired"
    if grant is None or grant.revoked_at is not None:
        return FailureReason.OTHER, "the connection was revoked"
    if (await context.store.totals()).spending_stopped:
        return FailureReason.OTHER, "spending is stopped"
    if is_late(payment, now, waited_s):
        return FailureReason.TOO_LATE, "it is too late"
    return None


async def why_not_again(context: Context, payment: Payment, seen: NeverSeen | Failed, waited_s: float) -> Failed | None:
    """None while an order that the node has not taken may still be sent; else the failure that this becomes as soon as
    no order is on its way any more. Ask only where the node's look-ups are authoritative."""
    found = await unwanted(context, payment, waited_s)
    if found is None:
        return None
    reason, why = found
    if isinstance(seen, NeverSeen):
        said = f"never seen by the node (authoritative), as of {seen.as_of}"
    else:
        said = f"the node (authoritative) knows a failed attempt only, as of {context.clock.now()}: {seen.evidence}"
    return Failed(f"{said}; not sent again, because {why}"[:500], reason)


async def why_not_inside(context: Context, payment: Payment, waited_s: float, *, is_inherited: bool) -> Failed | None:
    """None while a payment from one account of ours to another may begin; else the failure that it becomes. No order of
    it exists, so none has to be waited for.

    Raises KitestringError(UNAVAILABLE) while an earlier life may have told its end, with the ledger not knowing of it.
    """
    found = await unwanted(context, payment, waited_s)
    if found is not None:
        reason, why = found
        return Failed(f"nothing has moved, and nothing will, because {why}", reason)
    if is_inherited and not context.earlier.may_be_sent:
        raise KitestringError(Reason.UNAVAILABLE, "no witness has said yet that the ledger is no old one")
    return None


async def first_claimed_at(context: Context, payment: Payment) -> int | None:
    """The time of its claim (Unix seconds), if no payment of its hash had failed here before."""
    had_failed = await context.store.has_failed(payment.node_id, payment.payment_hash)
    return None if had_failed else payment.created_at
