"""What an owner sees of a payment or an invoice: a state that is known outside, and no proof too early."""

import pytest

from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.payments import HOLDING, State
from kitestring.ledger.shown import book_state, incoming, outgoing, transaction_of
from tests.kit.ledger.values import invoice, payment, preimage_of


def test_every_state_of_a_payment_and_of_an_invoice_is_shown_as_one_that_its_owner_knows() -> None:
    shown = {state: outgoing(payment("a", state=state)).state for state in HOLDING | {State.FAILED}}
    assert shown == {
        State.RESERVED: "pending", State.DISPATCHED: "pending", State.UNKNOWN: "pending", State.SETTLED: "settled",
        State.FAILED: "failed", State.RESOLVED: "pending",
    }  # fmt: skip
    assert {state: incoming(invoice("i", state=state)).state for state in InvoiceState} == {
        InvoiceState.OPEN: "pending", InvoiceState.ACCEPTED: "accepted", InvoiceState.SETTLED: "settled",
        InvoiceState.EXPIRED: "expired", InvoiceState.CANCELED: "expired", InvoiceState.LEFT: "pending",
    }  # fmt: skip


@pytest.mark.parametrize("state", [state for state in HOLDING if state is not State.SETTLED])
def test_a_proof_is_shown_of_what_is_settled_and_of_nothing_else(state: State) -> None:
    assert outgoing(payment("a", state=state, preimage=preimage_of("a"))).preimage == ""
    assert outgoing(payment("a", state=State.SETTLED, preimage=preimage_of("a"))).preimage == preimage_of("a")
    assert incoming(invoice("i")).preimage == ""
    assert incoming(invoice("i", state=InvoiceState.SETTLED)).preimage == preimage_of("i")


@pytest.mark.parametrize(
    ("asked", "received", "shown"), [(500, None, 500), (500, 600, 600), (None, None, 0), (None, 700, 700)]
)
def test_what_was_received_counts_and_before_that_what_was_asked_for(
    asked: int | None, received: int | None, shown: int
) -> None:
    got = None if received is None else Msat(received)
    assert incoming(invoice("i", asked, received_msat=got)).amount_msat == shown


def test_the_owner_is_told_what_an_app_is_not() -> None:
    assert {state: book_state(payment("a", state=state)) for state in HOLDING | {State.FAILED}} == {
        State.RESERVED: "pending", State.DISPATCHED: "pending", State.UNKNOWN: "unknown", State.SETTLED: "settled",
        State.FAILED: "failed", State.RESOLVED: "resolved",
    }  # fmt: skip
    assert {state: book_state(invoice("i", state=state)) for state in InvoiceState} == {
        InvoiceState.OPEN: "pending", InvoiceState.ACCEPTED: "accepted", InvoiceState.SETTLED: "settled",
        InvoiceState.EXPIRED: "expired", InvoiceState.CANCELED: "canceled", InvoiceState.LEFT: "expired",
    }  # fmt: skip
    assert transaction_of(payment("a")) == outgoing(payment("a"))
    assert transaction_of(invoice("i")) == incoming(invoice("i"))
