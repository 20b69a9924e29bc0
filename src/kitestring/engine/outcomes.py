"""The words in which those who wait for a payment are told about its end."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from kitestring.base.commands import PayInvoice, thaw
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Outcome, Paid, Refused
from kitestring.base.payments import Failed, FailureReason, Settled
from kitestring.base.records import Payment, Request

#: Reasons that tell a node's proof of failure; the rest is PAYMENT_FAILED.
_FAILURES: Final = {
    FailureReason.FEE_LIMIT: Reason.FEE_LIMIT,
    FailureReason.INSUFFICIENT_FUNDS: Reason.INSUFFICIENT_FUNDS,
    FailureReason.UNREACHABLE: Reason.UNAVAILABLE,
    FailureReason.TAKEN: Reason.INVOICE_TAKEN,
}
#: Not PAYMENT_FAILED: the node may have paid it, or may still.
CLOSED: Final = Refused(
    Reason.INTERNAL, "the operator closed this payment without proof; do not pay this invoice again before asking them"
)
_SENTENCES: Final = {
    FailureReason.FEE_LIMIT: "no route within the fee limit was found",
    FailureReason.NO_ROUTE: "no route to the payee was found",
    FailureReason.EXPIRED: "the invoice has expired",
    FailureReason.INSUFFICIENT_FUNDS: "the node's channels cannot send this amount now",
    FailureReason.REFUSED: "the payee or the node refused the payment",
    FailureReason.UNREACHABLE: "the Lightning node cannot be reached; nothing was sent",
    FailureReason.TAKEN: "the invoice was paid meanwhile",
}


def paid(payment: Payment) -> Paid:
    return Paid(payment.payment_hash, payment.preimage, payment.amount_msat, payment.fee_msat, payment.internal)


def outcome_for(payment: Payment, truth: Settled | Failed, request: Request) -> Outcome:
    if isinstance(truth, Settled):
        return Paid(payment.payment_hash, truth.preimage, payment.amount_msat, truth.fee_msat, payment.internal)
    details: dict[str, int] = {}
    command = thaw(request.command)
    if isinstance(command, PayInvoice) and command.max_fee_msat is not None:
        details["max_fee_msat"] = int(command.max_fee_msat)  # named only to a caller that set a limit
    return replace(refusal(truth), details=details)


def refusal(failure: Failed) -> Refused:
    """The refusal that tells a proven failure; its message is empty where the reason says it all."""
    reason = _FAILURES.get(failure.reason, Reason.PAYMENT_FAILED)
    return Refused(reason, _SENTENCES.get(failure.reason, ""))
