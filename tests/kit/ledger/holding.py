"""Hold invoices in a ledger: makers of what is asked about them and of what the node says."""

from __future__ import annotations

from typing import Any

from kitestring.base.invoices import Decision
from kitestring.base.money import Msat
from kitestring.base.records import Message, OwnInvoice, Request
from kitestring.base.transactions.invoices import AlarmHold, DecideHold, EndHold, HoldPayment, RecordInvoice, WarnHold
from kitestring.base.transactions.payments import ClaimPayment
from tests.kit.ledger.values import NODE, NOW, claim, hash_of, invoice, payment, preimage_of, record_invoice, request

DEADLINE = 1_144


def hold_invoice(name: str, amount: int = 500, **changes: Any) -> OwnInvoice:
    return invoice(name, amount, **({"preimage": "", "hold_blocks": 144} | changes))


def record_hold(name: str, **changes: Any) -> RecordInvoice:
    return record_invoice(name, hold_invoice(name, **changes))


def hold(name: str, amount: int = 500, payment_id: str = "", now: int = NOW) -> HoldPayment:
    return HoldPayment(NODE, hash_of(name), Msat(amount), DEADLINE, now, payment_id)


def decide(
    name: str, decision: Decision, asked: str = "", preimage: str | None = None, now: int = NOW, **more: Any
) -> DecideHold:
    """``asked`` names the request that asks for it, "" for the service itself."""
    wanted: Request | None = request(asked, **more) if asked else None
    told = preimage_of(name) if preimage is None else preimage
    why = "" if asked else "in time"
    return DecideHold(f"inv-{name}", decision, now, wanted, 1, told if decision is Decision.SETTLE else "", why)


def end(name: str, *messages: Message, why: str = "", now: int = NOW) -> EndHold:
    return EndHold(f"inv-{name}", now, messages, why)


def alarm(name: str, why: str = "do it by hand", now: int = NOW) -> AlarmHold:
    return AlarmHold(f"inv-{name}", why, now, 60)


def warn(name: str) -> WarnHold:
    return WarnHold(f"inv-{name}", "the deadline is near", NOW)


def claim_inside(name: str, amount: int = 500) -> ClaimPayment:
    """Bob's payment of an invoice of alice's."""
    return claim(name, payment(name, amount, 0, account_id="bob", grant_id="bobs", internal=True))
