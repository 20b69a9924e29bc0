"""Short makers of questions to the owner, and of what he says to them."""

from __future__ import annotations

from typing import Any

from kitestring.base.approvals import Approval, ApprovalKind, ApprovalState, PromptGate
from kitestring.base.commands import Debit, PayInvoice, freeze
from kitestring.base.destinations import Bolt11
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.records import Message, Payment, Request
from kitestring.base.transactions.approvals import AskOwner, Decide
from kitestring.base.transactions.payments import ClaimPayment
from kitestring.base.zones import UTC
from kitestring.policy.budget import charges
from tests.kit.changed import replace
from tests.kit.ledger.values import NOW, PLENTY, hash_of, payment, request

ALICE, POINTER = "a1" * 32, "p1"
OPEN_GATE = PromptGate(NOW - 600, 3, 60)
CHARGER = Grant(grant_id=POINTER, name="till", wire="debits", pointer_id=POINTER, strangers="ask")


def asked(name: str, amount: int = 1_000, **more: Any) -> Approval:
    wanted = PayInvoice(destination=Bolt11(f"ln{name}"), payment_hash=hash_of(name), amount_msat=Msat(amount))
    values: dict[str, Any] = {
        "approval_id": f"pay-{name}",
        "kind": ApprovalKind.PAYMENT,
        "wire": "debits",
        "caller": ALICE,
        "target": POINTER,
        "command": freeze(Debit(pointer_id=POINTER, payment=wanted)),
        "asked_at": NOW,
        "expires_at": NOW + 600,
    }
    return Approval(**values | more)


def asks(name: str, caller: str = ALICE, **more: Any) -> AskOwner:
    return AskOwner(debit(name), asked(name, caller=caller), **{"gate": OPEN_GATE} | more)


def debit(name: str) -> Request:
    return request(f"ask-{name}", wire="debits", grant_id="")


def of_owner(name: str, **more: Any) -> Payment:
    return payment(name, 1_000, 100, account_id="owner", grant_id=POINTER, requestor=ALICE, **more)


def approve(name: str, *, grant: Grant = CHARGER, budgets: bool = False, **more: Any) -> Decide:
    made = replace(of_owner(name), grant_id=grant.grant_id)
    charged = charges(grant, Msat(1_100), NOW, UTC) if budgets else ()
    paying = ClaimPayment(replace(debit(name), grant_id=grant.grant_id), grant.version, made, charged, PLENTY)
    return Decide(f"pay-{name}", 1, ApprovalState.APPROVED, NOW + 5, "owner", "ctl:1", "once", claim=paying, **more)


def deny(name: str, *messages: Message, state: ApprovalState = ApprovalState.DENIED) -> Decide:
    return Decide(f"pay-{name}", 1, state, NOW + 5, "owner", "ctl:1", "no", messages=messages)
