"""The decision whether a grant may do something. Pure, on a snapshot: balance and budget are compared again where the
money is reserved."""

from __future__ import annotations

from functools import partial
from typing import Final, assert_never

import msgspec

from kitestring.base.commands import (
    MAX_HOLD_BLOCKS,
    OWNER_WIRE,
    AnyCommand,
    CallMethod,
    MakeHoldInvoice,
    MakeInvoice,
    PayInvoice,
)
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_MSAT, MSAT_PER_SAT, ZERO, Msat
from kitestring.base.node import Capabilities
from kitestring.base.outcomes import Refused
from kitestring.base.payments import preimage_fits
from kitestring.base.records import Charge
from kitestring.base.zones import Zone
from kitestring.policy.access import refuse_right
from kitestring.policy.budget import charges
from kitestring.policy.costs import cost_of, fits_within
from kitestring.policy.fees import DEFAULT_FEE_MIN_MSAT, DEFAULT_FEE_PPM, NO_SERVICE_FEE, ServiceFee
from kitestring.policy.shortfalls import over_budget, over_max_fee, over_payment_limit

#: The name for a payment without an invoice.
KEYSEND: Final = "pay_keysend"


def permissions_of(command: AnyCommand) -> tuple[str, ...]:
    """The names of which a grant lists one to allow this very command; none at all = every grant may."""
    if isinstance(command, PayInvoice) and isinstance(command.destination, Keysend):
        return (KEYSEND,)
    if isinstance(command, CallMethod):
        return (command.permission,)
    return command.allowed_by


class Allow(msgspec.Struct, frozen=True, gc=False):
    """Permission: the charges to budgets, and the routing fee and the service's own fee to reserve with the amount (the
    charges include both)."""

    charges: tuple[Charge, ...]
    fee_cap_msat: Msat
    service_fee_msat: Msat = ZERO


def decide(
    command: PayInvoice,
    grant: Grant | None,
    *,
    now: int,
    network: str,
    zone: Zone,
    keysend: bool = False,
    internal: bool = False,
    fee_ppm: int = DEFAULT_FEE_PPM,
    fee_min_msat: int = DEFAULT_FEE_MIN_MSAT,
    fee_at_most: Msat | None = None,
    service_fee: ServiceFee = NO_SERVICE_FEE,
    least_left_s: int = 0,
) -> Allow | Refused:
    """Decide about one payment: caller, invoice, per-payment cap, budget. ``now`` in Unix seconds; budgets renew by the
    calendar of ``zone``.

    A fee reserve that a budget has no room for is lowered to what there is: the payment may then find no route, but
    what is left can be spent. ``fee_at_most`` is that room, where the ledger has told it. An invoice with less life
    than ``least_left_s`` counts as expired. ``service_fee`` is never lowered: what has no room for it is refused.

    ``network`` is the service's; ``keysend`` says that the backend can do it; ``internal`` says that the invoice, or
    the key, is our own, so that there is no routing fee. A payment that is known already must be looked up by the
    caller: an expired but settled invoice still has its answer.
    """
    refused = refuse_caller(grant, now, command) or refuse_payment(
        command, now + least_left_s, network, keysend=keysend
    )
    if refused is not None or grant is None:
        return refused or _no_grant()
    cost_at = partial(
        cost_of, grant=grant, internal=internal, fee_ppm=fee_ppm, fee_min_msat=fee_min_msat, service_fee=service_fee
    )
    cost = cost_at(command)
    fee_cap, ours = cost.fee_cap_msat, cost.service_fee_msat
    if command.max_fee_msat is not None and ours > command.max_fee_msat:
        return over_max_fee(ours, command.max_fee_msat)
    limit, least = grant.per_payment_msat, command.amount_msat + ours
    if limit is not None and cost.total_msat > limit:
        return over_payment_limit(cost, limit, fits_within(limit, command, cost_at))
    if fee_at_most is not None:
        fee_cap = min(fee_cap, fee_at_most)
    for budget in grant.budgets:
        fee_cap = min(fee_cap, budget.limit_msat - least)
    fee_cap = max(ZERO, fee_cap)
    charged = charges(grant, least + fee_cap, now, zone)
    for one in charged:
        if one.amount_msat > one.limit_msat:
            return over_budget(grant, now, zone, cost, budget_id=one.budget_id)
    return Allow(charged, fee_cap, ours)


def refuse_caller(grant: Grant | None, now: int, command: AnyCommand) -> Refused | None:
    """The refusal to a grant that may not ask for this command at all, or None."""
    if grant is None:
        return _no_grant()
    if grant.revoked_at is not None:
        return Refused(Reason.CONNECTION_ENDED, "this connection was revoked")
    if grant.expires_at is not None and now >= grant.expires_at:
        return Refused(Reason.CONNECTION_ENDED, "this connection has expired")
    if grant.paused_at is not None:  # not "ended": an app forgets a connection of which it is told so
        return Refused(Reason.NOT_PERMITTED, "this connection is paused: only the owner of the wallet can resume it")
    if grant.wire == OWNER_WIRE:
        return refuse_right(grant, command.right, now, "this")
    permissions = permissions_of(command)
    if not permissions or not grant.methods.isdisjoint(permissions):
        return None
    return Refused(Reason.NOT_PERMITTED, f"this connection has no permission for {permissions[0]}")


def refuse_invoice(
    command: MakeInvoice, grant: Grant | None, capabilities: Capabilities, *, now: int
) -> Refused | None:
    """The refusal of an invoice that is not made for this grant by this backend, or None."""
    refused = refuse_caller(grant, now, command)
    if refused is not None:
        return refused
    amount = command.amount_msat
    if amount is None and not capabilities.amountless:
        return Refused(Reason.MALFORMED, "this wallet needs an amount")
    if amount is not None and not 1 <= amount <= MAX_MSAT:
        return _amount_out_of_range()
    if amount is not None and amount % MSAT_PER_SAT and not capabilities.sub_sat:
        return Refused(Reason.MALFORMED, "this wallet makes invoices for whole sats only")
    if command.description_hash and not capabilities.description_hash:
        return Refused(Reason.MALFORMED, "this wallet cannot put the hash of a description into an invoice")
    return _refuse_hold(command, capabilities) if isinstance(command, MakeHoldInvoice) else None


def _refuse_hold(command: MakeHoldInvoice, capabilities: Capabilities) -> Refused | None:
    if not capabilities.hold:
        return Refused(Reason.UNSUPPORTED, "the node of this wallet cannot hold a payment")
    if command.amount_msat is None:
        return Refused(Reason.MALFORMED, "a hold invoice needs an amount")
    if command.min_cltv_delta > MAX_HOLD_BLOCKS:
        return Refused(Reason.MALFORMED, f"a payment is held for at most {MAX_HOLD_BLOCKS} blocks")
    if command.preimage and not preimage_fits(command.preimage, command.payment_hash):
        return Refused(Reason.MALFORMED, "the preimage is not that of the payment hash")
    return None


def refuse_payment(command: PayInvoice, now: int, network: str, *, keysend: bool) -> Refused | None:
    """The refusal of a payment that nobody can make here at ``now``, or None."""
    match command.destination:
        case Bolt11():
            refused = _refuse_invoice_to_pay(command, now, network)
        case Keysend(preimage=preimage):
            refused = _refuse_keysend(preimage, command.payment_hash, keysend)
        case _:
            assert_never(command.destination)
    if refused is not None:
        return refused
    if not 1 <= command.amount_msat <= MAX_MSAT:
        return _amount_out_of_range()
    if command.max_fee_msat is not None and command.max_fee_msat < 0:
        return Refused(Reason.MALFORMED, "max_fee must not be negative")
    return None


def _refuse_invoice_to_pay(command: PayInvoice, now: int, network: str) -> Refused | None:
    if command.network != network:
        return Refused(Reason.WRONG_NETWORK, f"this invoice is for {command.network}, and this wallet is on {network}")
    if now >= command.expires_at:
        return Refused(Reason.EXPIRED_INVOICE)
    return None


def _refuse_keysend(preimage: str, payment_hash: str, is_able: bool) -> Refused | None:
    if not is_able:
        return Refused(Reason.UNSUPPORTED, "this wallet pays invoices only")
    if not preimage_fits(preimage, payment_hash):
        return Refused(Reason.MALFORMED, "the preimage is not that of the payment hash")
    return None


def _amount_out_of_range() -> Refused:
    return Refused(Reason.AMOUNT_OUT_OF_RANGE, "the amount must be at least 1 msat and at most all bitcoin")


def _no_grant() -> Refused:
    return Refused(Reason.CONNECTION_ENDED, "there is no such connection")
