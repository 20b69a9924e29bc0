"""The words in which those who wait for a payment, or for the end of an invoice, are told about it."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from kitestring.base.commands import CancelHold, CancelInvoice, Journaled, PayInvoice, SettleHold, thaw
from kitestring.base.errors import TABLE, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import Canceled, HoldEnded, Outcome, Paid, Refused, TransactionState
from kitestring.base.payments import Failed, FailureReason, Settled, booked_fee
from kitestring.base.records import CONTROL_WIRE, OwnInvoice, Payment, Request
from kitestring.base.text import one_line
from kitestring.policy.shortfalls import sats

#: Not PAYMENT_FAILED: the node may have paid it, or may still.
CLOSED: Final = Refused(
    Reason.INTERNAL, "the operator closed this payment without proof; do not pay this invoice again before asking them"
)


def paid(payment: Payment) -> Paid:
    return _paid(payment, payment.preimage, payment.fee_msat)


def paid_before(payment: Payment) -> Paid:
    """The same to whoever asks for it after it has settled."""
    return replace(paid(payment), is_old=True)


def _paid(payment: Payment, preimage: str, fee_msat: Msat) -> Paid:
    return Paid(
        payment.payment_hash, preimage, payment.amount_msat, fee_msat, payment.internal, payment.created_at,
        payment.service_fee_msat,
    )  # fmt: skip


def outcome_for(payment: Payment, truth: Settled | Failed, request: Request) -> Outcome:
    if isinstance(truth, Settled):
        fee = booked_fee(truth.fee_msat, payment.fee_cap_msat)
        return _paid(payment, truth.preimage, fee)
    details: dict[str, int | str] = {"reason": "too_late"} if truth.reason is FailureReason.TOO_LATE else {}
    told = refusal(truth)
    command = thaw(request.command) if request.command else None  # one that waited for the owner has none of its own
    has_set_limit = isinstance(command, PayInvoice) and command.max_fee_msat is not None
    if isinstance(command, PayInvoice) and command.max_fee_msat is not None:
        details["max_fee_msat"] = int(command.max_fee_msat)
    if truth.reason in _OF_ROUTES and (has_set_limit or request.wire == CONTROL_WIRE):
        # The fee limit is named only to who has set it: the caller, or the owner in the settings.
        told = replace(told, message=_no_route(truth, payment.fee_cap_msat))
        details["fee_cap_msat"] = int(payment.fee_cap_msat)
        if truth.route_fee_msat is not None:
            details["route_fee_msat"] = int(truth.route_fee_msat)
    if request.wire == CONTROL_WIRE:
        told = replace(told, message=_with_evidence(told, truth))
    return replace(told, details=details)


def _with_evidence(told: Refused, failure: Failed) -> str:
    """The sentence for the owner: with the words of the node, where it has said more than the reason does."""
    repeats = failure.reason.name in failure.evidence.upper().replace(" ", "_")
    if failure.reason not in _SAY_LITTLE or not failure.evidence or repeats:
        return told.message
    return f"{told.message or TABLE[told.reason].sentence} ({one_line(failure.evidence)})"


def _no_route(failure: Failed, fee_cap_msat: Msat) -> str:
    """Name the fee limit in figures; a node may not say whether there was a more expensive route."""
    limit = f"within the fee limit of {sats(fee_cap_msat)}"
    if failure.reason is FailureReason.NO_ROUTE:
        return f"no route to the payee was found {limit}"
    costs = "" if failure.route_fee_msat is None else f"; one was found for {sats(failure.route_fee_msat)}"
    return f"no route was found {limit}{costs}"


def hold_outcome(request: Request, invoice: OwnInvoice, state: InvoiceState) -> Outcome:
    """The answer to a request about an invoice that has ended (``state``), however it was decided."""
    command = thaw(request.command)
    return canceled(invoice, state) if isinstance(command, CancelInvoice) else hold_ended(command, invoice, state)


def canceled(invoice: OwnInvoice, state: InvoiceState) -> Canceled | Refused:
    """The answer about an ordinary invoice that was to be cancelled, and has ended in this ``state``."""
    if state is InvoiceState.SETTLED:
        told = "this invoice was paid before it could be cancelled, and what was paid is credited"
        return Refused(Reason.CONFLICT, told, {"payment_hash": invoice.payment_hash})
    if state is InvoiceState.LEFT:
        return Refused(Reason.UNAVAILABLE, "the node of this invoice cannot be asked yet; try again")
    return Canceled(invoice.payment_hash, has_expired=state is InvoiceState.EXPIRED)


def hold_ended(command: Journaled, invoice: OwnInvoice, state: InvoiceState) -> HoldEnded | Refused:
    """The same about a hold invoice, for a command: done where it is what was asked for, else refused."""
    if state is InvoiceState.SETTLED:
        if not isinstance(command, SettleHold):
            return Refused(Reason.CONFLICT, "this hold invoice was settled, and cannot be cancelled any more")
        amount_msat = invoice.received_msat or invoice.amount_msat or ZERO
        return HoldEnded(invoice.payment_hash, TransactionState.SETTLED, amount_msat)
    if not isinstance(command, CancelHold):
        return Refused(
            Reason.CONFLICT, "this hold invoice was cancelled or has expired, and cannot be settled any more"
        )
    return HoldEnded(invoice.payment_hash, TransactionState.EXPIRED)


def refusal(failure: Failed) -> Refused:
    """The refusal that tells a proven failure; its message is empty where the reason says it all."""
    return Refused(*_TOLD[failure.reason])


#: Failures in which the fee limit may have had a part.
_OF_ROUTES: Final = frozenset({FailureReason.FEE_LIMIT, FailureReason.NO_ROUTE})
#: Reasons that can mean many things.
_SAY_LITTLE: Final = frozenset({FailureReason.NO_ROUTE, FailureReason.REFUSED, FailureReason.OTHER})
#: Failures as others are told of them, which is never in the node's own words.
_TOLD: Final[dict[FailureReason, tuple[Reason, str]]] = {
    FailureReason.FEE_LIMIT: (Reason.FEE_LIMIT, "no route within the fee limit was found"),
    FailureReason.INSUFFICIENT_FUNDS: (Reason.INSUFFICIENT_FUNDS, "the node's channels cannot send this amount now"),
    FailureReason.UNREACHABLE: (Reason.UNAVAILABLE, "the Lightning node cannot be reached; nothing was sent"),
    FailureReason.TAKEN: (Reason.INVOICE_TAKEN, "the invoice was paid meanwhile"),
    FailureReason.NO_ROUTE: (Reason.PAYMENT_FAILED, "no route to the payee was found"),
    FailureReason.EXPIRED: (Reason.PAYMENT_FAILED, "the invoice has expired"),
    FailureReason.REFUSED: (Reason.PAYMENT_FAILED, "the payee or the node refused the payment"),
    FailureReason.TOO_LATE: (Reason.PAYMENT_FAILED, "not sent: too late; nothing was paid"),
    FailureReason.OTHER: (Reason.PAYMENT_FAILED, ""),
}
