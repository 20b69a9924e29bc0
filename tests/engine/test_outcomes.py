"""Those who wait for a payment are told its end by the reason that the node has proven, and no more than they asked."""

from __future__ import annotations

import pytest

from kitestring.base.commands import MakeInvoice, PayInvoice, freeze
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid, Refused
from kitestring.base.payments import Failed, FailureReason, Settled
from kitestring.base.records import CONTROL_WIRE
from kitestring.engine.outcomes import CLOSED, outcome_for, paid, refusal
from tests.kit.ledger.values import payment, preimage_of, request

REASONS = {
    FailureReason.FEE_LIMIT: Reason.FEE_LIMIT,
    FailureReason.INSUFFICIENT_FUNDS: Reason.INSUFFICIENT_FUNDS,
    FailureReason.NO_ROUTE: Reason.PAYMENT_FAILED,
    FailureReason.EXPIRED: Reason.PAYMENT_FAILED,
    FailureReason.REFUSED: Reason.PAYMENT_FAILED,
    FailureReason.UNREACHABLE: Reason.UNAVAILABLE,
    FailureReason.TAKEN: Reason.INVOICE_TAKEN,
    FailureReason.TOO_LATE: Reason.PAYMENT_FAILED,
    FailureReason.OTHER: Reason.PAYMENT_FAILED,
}
PAY = PayInvoice(destination=Bolt11("lnbcrt-a"), payment_hash="aa" * 32, amount_msat=Msat(1_000))
LIMITED = PayInvoice(
    destination=Bolt11("lnbcrt-a"), payment_hash="aa" * 32, amount_msat=Msat(1_000), max_fee_msat=Msat(7)
)


@pytest.mark.parametrize("reason", FailureReason)
def test_every_proof_of_failure_has_a_reason_for_the_wires_and_the_nodes_words_stay_here(reason: FailureReason) -> None:
    told = refusal(Failed("the words of the node at 10.0.0.7", reason))
    assert told.reason is REASONS[reason]
    assert "10.0.0.7" not in told.message
    assert bool(told.message) == (reason is not FailureReason.OTHER)


def test_a_settled_payment_is_told_with_the_proof_and_the_fee_of_this_outcome() -> None:
    told = outcome_for(payment("a", 1_000, 100), Settled(preimage_of("a"), Msat(3)), request("r", command=freeze(PAY)))
    assert told == Paid(
        payment("a").payment_hash, preimage_of("a"), Msat(1_000), Msat(3), created_at=payment("a").created_at
    )


def test_what_was_paid_before_is_told_from_its_row() -> None:
    row = payment("a", 1_000, 100, fee_msat=Msat(9), preimage=preimage_of("a"), internal=True)
    assert paid(row) == Paid(
        row.payment_hash, preimage_of("a"), Msat(1_000), Msat(9), internal=True, created_at=row.created_at
    )


@pytest.mark.parametrize(
    ("command", "details"),
    [(LIMITED, {"max_fee_msat": 7}), (PAY, {}), (MakeInvoice(amount_msat=None), {})],
)
def test_the_fee_limit_is_named_only_to_who_has_set_one(
    command: PayInvoice | MakeInvoice, details: dict[str, int]
) -> None:
    failed = Failed("no route for 7 msat", FailureReason.FEE_LIMIT)
    told = outcome_for(payment("a"), failed, request("r", command=freeze(command)))
    assert isinstance(told, Refused)
    named = {name: value for name, value in told.details.items() if name != "fee_cap_msat"}
    assert (told.reason, named) == (Reason.FEE_LIMIT, details)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Failed("", FailureReason.FEE_LIMIT), "no route was found within the fee limit of 0.1 sat"),
        (
            Failed("", FailureReason.FEE_LIMIT, route_fee_msat=Msat(1_500)),
            "no route was found within the fee limit of 0.1 sat; one was found for 1.5 sat",
        ),
        (Failed("", FailureReason.NO_ROUTE), "no route to the payee was found within the fee limit of 0.1 sat"),
    ],
)
def test_the_figures_of_the_fee_are_for_who_has_set_the_limit_and_for_the_owner(failure: Failed, message: str) -> None:
    of_owner = outcome_for(payment("a", 1_000, 100), failure, request("r", wire=CONTROL_WIRE, command=freeze(PAY)))
    of_app = outcome_for(payment("a", 1_000, 100), failure, request("r", command=freeze(PAY)))
    limited = outcome_for(payment("a", 1_000, 100), failure, request("r", command=freeze(LIMITED)))
    assert isinstance(of_owner, Refused)
    assert isinstance(of_app, Refused)
    assert isinstance(limited, Refused)
    assert of_owner.message == limited.message == message
    assert of_owner.details["fee_cap_msat"] == 100
    assert of_owner.details.get("route_fee_msat") == failure.route_fee_msat
    assert ("0.1" in of_app.message, of_app.details) == (False, {})


def test_a_payment_closed_without_proof_is_not_called_failed() -> None:
    assert CLOSED.reason not in REASONS.values()
    assert "do not pay this invoice again" in CLOSED.message


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            Failed("sandbox: this invoice is of another sandbox world", FailureReason.NO_ROUTE),
            (
                "no route to the payee was found within the fee limit of 0.1 sat"
                " (sandbox: this invoice is of another sandbox world)"
            ),
        ),
        (
            Failed("lnd: FAILURE_REASON_NO_ROUTE", FailureReason.NO_ROUTE),
            "no route to the payee was found within the fee limit of 0.1 sat",
        ),
        (Failed("lnd: \x1b[1mno", FailureReason.OTHER), "the payment failed for good (lnd: [1mno)"),
        (Failed("lnd: self-payments not allowed", FailureReason.EXPIRED), "the invoice has expired"),
        (Failed("", FailureReason.OTHER), ""),
    ],
)
def test_the_words_of_the_node_are_for_the_owner_where_the_reason_says_little(failure: Failed, message: str) -> None:
    of_owner = outcome_for(payment("a", 1_000, 100), failure, request("r", wire=CONTROL_WIRE, command=freeze(PAY)))
    of_app = outcome_for(payment("a", 1_000, 100), failure, request("r", command=freeze(LIMITED)))
    assert isinstance(of_owner, Refused)
    assert isinstance(of_app, Refused)
    assert of_owner.message == message
    assert not any(word in of_app.message for word in ("sandbox", "lnd"))
