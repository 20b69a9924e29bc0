"""What a backend says about itself, and the one exception that proves something."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from kitestring.base.money import ZERO
from kitestring.base.node import (
    INVOICE_STEPS,
    PAYMENT_STEPS,
    Capabilities,
    Finding,
    FindingState,
    InvoiceOrder,
    InvoiceStatus,
    NodeBalance,
    NodeInfo,
    NodeInvoice,
    NodeInvoiceState,
    NodePayment,
    NodePaymentState,
    NodeUnreachableError,
    PayOrder,
    Settlement,
)
from tests.kit.values import fields, is_frozen

#: What a node must say about itself, for money relies on it; all else may be left out.
NEEDED = {"own_preimage", "idempotent_by_hash", "authoritative_lookup", "fee_cap", "amountless", "description_hash"}


def test_a_backend_says_itself_what_money_relies_on_and_is_trusted_with_nothing_by_default() -> None:
    modest = Capabilities(**dict.fromkeys(NEEDED, False))
    trusting = {field.name for field in fields(Capabilities) if getattr(modest, field.name)}
    assert trusting == {"sub_sat"}  # an amount that a node rounds is refused by it, and no money is lost
    assert {field.name for field in fields(Capabilities)} - NEEDED == {
        "sub_sat",
        "hold",
        "cancel",
        "keysend",
        "bolt12",
        "payment_index",
        "payment_slots",
        "sign_message",
    }


def test_abilities_are_known_by_their_names() -> None:
    can = Capabilities(**dict.fromkeys(NEEDED, False), keysend=True, payment_slots=5)
    assert can.names == {"sub_sat", "keysend", "payment_slots"}


@pytest.mark.parametrize(("authoritative", "idempotent"), list(product([False, True], repeat=2)))
def test_an_order_is_sent_again_only_where_the_look_counts_and_the_node_pays_a_hash_once(
    authoritative: bool, idempotent: bool
) -> None:
    said = {"authoritative_lookup": authoritative, "idempotent_by_hash": idempotent}
    assert Capabilities(**dict.fromkeys(NEEDED, True) | said).repeats_safely is (authoritative and idempotent)


def test_an_invoice_that_is_not_there_has_received_nothing_and_proves_nothing() -> None:
    unknown = InvoiceStatus(NodeInvoiceState.UNKNOWN)
    assert (unknown.received_msat, unknown.settled_at, unknown.preimage, unknown.bolt11) == (ZERO, 0, "", "")


def test_every_state_at_the_node_has_its_row_and_what_is_settled_stays_so() -> None:
    assert set(INVOICE_STEPS) == set(NodeInvoiceState)
    assert set(PAYMENT_STEPS) == set(NodePaymentState)
    ends = {state for state, after in INVOICE_STEPS.items() if not after}
    assert ends == {NodeInvoiceState.SETTLED, NodeInvoiceState.CANCELED}
    assert [state for state, after in PAYMENT_STEPS.items() if not after] == [NodePaymentState.SETTLED]


def test_a_mere_text_is_no_state() -> None:
    text: Any = "settled"
    with pytest.raises(TypeError, match="NodeInvoiceState"):
        InvoiceStatus(text)
    with pytest.raises(TypeError, match="NodePaymentState"):
        NodePayment("ab" * 32, text, ZERO, ZERO, "")


def test_a_connection_that_broke_is_no_proof_that_none_was_made() -> None:
    assert not issubclass(NodeUnreachableError, OSError | ConnectionError | TimeoutError)
    assert not isinstance(ConnectionRefusedError(), NodeUnreachableError)  # only an adapter knows when it was refused


def test_orders_and_answers_never_change() -> None:
    kinds = (
        Capabilities, Finding, InvoiceOrder, InvoiceStatus, NodeBalance, NodeInfo, NodeInvoice, NodePayment, PayOrder,
        Settlement,
    )  # fmt: skip
    assert [kind for kind in kinds if not is_frozen(kind)] == []
    assert list(FindingState) == ["ok", "info", "warn", "fail"]
