"""Hold invoices of one service: short makers of what is asked about them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from kitestring.base.commands import CancelHold, MakeHoldInvoice, SettleHold
from kitestring.base.money import Msat
from kitestring.base.outcomes import HoldEnded, Invoiced, TransactionState
from kitestring.base.records import OwnInvoice
from tests.kit.engine.rig import AMOUNT, Rig

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
OTHER_HASH = sha256(bytes.fromhex("6b" * 32)).hexdigest()
METHODS = "pay_invoice make_invoice make_hold_invoice settle_hold_invoice cancel_hold_invoice lookup_invoice"
EVERY = METHODS + " get_balance list_transactions"
#: What is told of the end of the invoice of ``HASH``.
SETTLED = HoldEnded(HASH, TransactionState.SETTLED, Msat(AMOUNT))
ENDED = HoldEnded(HASH, TransactionState.EXPIRED)
FUNDED = 10 * AMOUNT


async def till(rig: Rig, *names: str) -> None:
    """Connections into an account of a shop, ``till`` unless others are named."""
    await rig.account("shop", 0)
    for name in names or ("till",):
        await rig.grant(name, account="shop", methods=EVERY)


async def both(rig: Rig) -> None:
    """The till, and an app with a purse that can pay it."""
    await till(rig)
    await rig.account("purse", FUNDED)
    await rig.grant("app", account="purse", methods=EVERY)


async def funds(rig: Rig) -> tuple[int, int]:
    """What the shop and the purse can spend."""
    return await rig.available("shop"), await rig.available("purse")


def order(payment_hash: str = HASH, amount: int | None = AMOUNT, **more: Any) -> MakeHoldInvoice:
    return MakeHoldInvoice(payment_hash=payment_hash, amount_msat=None if amount is None else Msat(amount), **more)


async def hold(rig: Rig, request_id: str = "h1", grant: str = "till", **more: Any) -> tuple[str, str]:
    """Make a hold invoice: (bolt11, payment hash)."""
    await rig.handle(request_id, grant, order(**more))
    made = await rig.answer(request_id)
    assert isinstance(made, Invoiced), made
    return made.transaction.bolt11, made.transaction.payment_hash


async def accepted(rig: Rig, payment_hash: str = HASH) -> OwnInvoice:
    """Wait until its payment is held."""

    async def is_accepted() -> bool:
        return (await stored(rig, payment_hash)).state == "accepted"

    await rig.until(is_accepted)
    return await stored(rig, payment_hash)


async def held(rig: Rig, request_id: str = "h1", grant: str = "till", **more: Any) -> OwnInvoice:
    """A hold invoice that somebody outside has paid."""
    _, payment_hash = await hold(rig, request_id, grant, **more)
    assert rig.node.pay_in(payment_hash)
    return await accepted(rig, payment_hash)


async def stored(rig: Rig, payment_hash: str = HASH) -> OwnInvoice:
    found = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
    assert found is not None
    return found  # type: ignore[no-any-return]  # the store of a rig may be any


async def settle(rig: Rig, request_id: str = "s1", grant: str = "till", preimage: str = PREIMAGE) -> Any:
    payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
    await rig.handle(request_id, grant, SettleHold(payment_hash=payment_hash, preimage=preimage))
    return await rig.answer(request_id)


async def cancel(rig: Rig, request_id: str = "c1", grant: str = "till", payment_hash: str = HASH) -> Any:
    await rig.handle(request_id, grant, CancelHold(payment_hash=payment_hash))
    return await rig.answer(request_id)


async def paid_inside(rig: Rig, name: str = "p1", **more: Any) -> OwnInvoice:
    """The app pays the hold invoice of the till, and waits."""
    await rig.pay(name, "app", await hold(rig, **more), AMOUNT)
    return await accepted(rig)


async def alarms(rig: Rig) -> list[str]:
    return [detail for kind, detail in await events(rig) if kind == "alarm"]


async def events(rig: Rig) -> list[tuple[str, str]]:
    """Kind and detail of everything that became true about invoices and alarms."""
    kinds = {"received", "accepted", "canceled", "expired", "alarm"}
    return [(row.kind.value, row.detail) for row in await rig.store.events(0, 500) if row.kind.value in kinds]
