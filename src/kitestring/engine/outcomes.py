"""What those who wait for a payment are told about its end."""

from __future__ import annotations

from typing import Final

from kitestring.base.commands import PayInvoice, thaw
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Outcome, Paid, Refused
from kitestring.base.payments import Failed, Settled
from kitestring.base.records import Payment, Request

#: What a node's proof of failure is called on the wires; the rest is PAYMENT_FAILED.
_FAILURES: Final = {
    "fee_limit": Reason.FEE_LIMIT,
    "insufficient_funds": Reason.INSUFFICIENT_FUNDS,
    "unreachable": Reason.UNAVAILABLE,
    "taken": Reason.INVOICE_TAKEN,
}
#: Not PAYMENT_FAILED: the node may have paid it, or may still.
CLOSED: Final = Refused(
    Reason.INTERNAL, "the operator closed this payment without proof; do not pay this invoice again before asking them"
)
_SENTENCES: Final = {
    "fee_limit": "no route within the fee limit was found",
    "no_route": "no route to the payee was found",
    "expired": "the invoice has expired",
    "insufficient_funds": "the node's channels cannot send this amount now",
    "refused": "the payee refused the payment",
    "unreachable": "the Lightning node cannot be reached; nothing was sent",
    "taken": "the invoice was paid meanwhile",
}


def paid(payment: Payment) -> Paid:
    return Paid(payment.payment_hash, payment.preimage, payment.amount_msat, payment.fee_msat, payment.internal)


def outcome_for(payment: Payment, truth: Settled | Failed, request: Request) -> Outcome:
    if isinstance(truth, Settled):
        return Paid(payment.payment_hash, truth.preimage, payment.amount_msat, truth.fee_msat, payment.internal)
    reason = _FAILURES.get(truth.reason, Reason.PAYMENT_FAILED)
    details: dict[str, int] = {}
    command = thaw(request.command)
    if isinstance(command, PayInvoice) and command.max_fee_msat is not None:
        details["max_fee_msat"] = int(command.max_fee_msat)  # wires name the limit only to who set one
    return Refused(reason, _SENTENCES.get(truth.reason, ""), details)
