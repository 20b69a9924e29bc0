"""The owner's command that tells what a payment would be, and makes none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.budgets import AmountMinor
from kitestring.app.owner.command import Call, Commands, Foresee, request_id
from kitestring.app.owner.desk import Foreseeing, expect
from kitestring.app.owner.money import MaxFeeMsat, payable_of
from kitestring.app.owner.params import AmountMsat, Currency
from kitestring.app.owner.results.money import PreviewJson
from kitestring.app.owner.table import IDEMPOTENCY_KEY
from kitestring.app.service.execute import Result
from kitestring.base.commands import OWNER_ACCOUNT, PayInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Balance, Direction, Transaction, TransactionState
from kitestring.base.store import Scope
from kitestring.client.payable import choose
from kitestring.client.preview import preview
from kitestring.policy.costs import Cost, fits_within
from kitestring.policy.shortfalls import insufficient
from kitestring.wire.serve.offers import MAX_PAYER_KEYS


class PreviewParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """As those of ``pay``. Without a ``target`` only the kind of money is told. ``key`` is the idempotency key with
    which it would be paid."""

    target: Annotated[str, Meta(max_length=16_384)] = ""
    amount_msat: AmountMsat | None = None
    max_amount_msat: AmountMsat | None = None
    max_fee_msat: MaxFeeMsat | None = None
    description: str = ""
    payer_data: Annotated[dict[str, str], Meta(max_length=MAX_PAYER_KEYS)] = {}
    nip69: bool = False
    currency: Currency | None = None
    amount_minor: AmountMinor | None = None
    key: Annotated[str, Meta(pattern=f"^{IDEMPOTENCY_KEY}$")] | None = None


async def pay_preview(desk: Foreseeing, params: PreviewParams, call: Call) -> Result:
    """Tell what a payment would be, and pay nothing. The service of an offer is asked for its invoice, as for paying.

    What could not be paid is refused, by the same words as the payment would be.
    """
    place: Result = {
        **dict.fromkeys(PreviewJson.__struct_fields__),
        "sandbox": desk.config.node_url.startswith("sandbox:"),
        "network": desk.network,
        "is_repeated": False,
    }
    if params.key is not None and params.target:
        is_known = await desk.store.request(request_id(call.caller, "pay", params.key)) is not None
        if is_known:  # it is carried on, whatever the payee says by now
            return {**place, "is_repeated": True}
    if not params.target:
        return place
    found = await payable_of(desk, params)
    shown = preview(choose(params.target, desk.network).source, found)
    command = found.order(None if params.max_fee_msat is None else Msat(params.max_fee_msat))
    before = await _paid_before(desk, command, call)
    is_paid = before is not None
    internal = before.internal if before is not None else await desk.is_internal(command)
    cost_at = partial(desk.cost, grant=call.caller, internal=internal)
    cost = cost_at(command)
    if not is_paid and shown.expires_at <= desk.clock.now():
        raise KitestringError(Reason.EXPIRED_INVOICE)
    return {
        **place,
        "kind": shown.kind,
        "payee": shown.payee,
        "payee_key": shown.payee_key,
        "bolt11": shown.bolt11,
        "payment_hash": shown.payment_hash,
        **cost.members,
        "description": shown.description or None,
        "expires_at": shown.expires_at,
        "spendable_msat": None if is_paid else await _spendable(desk, command, cost_at, call),
        "currency": shown.currency or None,
        "paid_from": OWNER_ACCOUNT,
        "already_paid": is_paid,
    }


async def _paid_before(desk: Foreseeing, command: PayInvoice, call: Call) -> Transaction | None:
    scope = Scope(grant_id=call.caller.grant_id)
    before = await desk.store.transaction(scope, command.payment_hash, Direction.OUTGOING)
    return before if before is not None and before.state is TransactionState.SETTLED else None


async def _spendable(
    desk: Foreseeing, command: PayInvoice, cost_at: Callable[[PayInvoice], Cost], call: Call
) -> int | None:
    """The amount that there is, None where it is not told. Raises KitestringError where it is too little."""
    try:
        spendable = expect(await desk.balance(call.caller.grant_id), Balance).balance_msat
    except KitestringError as error:
        if error.reason not in {Reason.UNAVAILABLE, Reason.NOT_PERMITTED}:
            raise
        return None
    cost = cost_at(command)
    if cost.total_msat > spendable:
        fits = fits_within(spendable, command, cost_at)
        expect(insufficient(call.caller, desk.clock.now(), cost, fits, spendable), Balance)
    return int(spendable)


COMMANDS: Final[Commands] = (Foresee("pay_preview", PreviewParams, pay_preview, PreviewJson),)
