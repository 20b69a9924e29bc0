"""Rows of the ledger as values: what is in them can be compared, kept and handed on."""

from __future__ import annotations

from enum import Enum

import msgspec
import pytest

from kitestring.base import records
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import ZERO, Msat
from kitestring.base.payments import State
from kitestring.base.records import RECEIPT, REPLY, Message, OwnInvoice, Payment
from tests.kit.ledger.values import payment
from tests.kit.values import is_frozen, is_value, parts

ROWS = [one for one in vars(records).values() if is_value(one) and one.__module__ == records.__name__]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_never_changes_and_holds_nothing_that_could_hold_it(row: type) -> None:
    """So it need not be looked at by the garbage collector, which walks through everything that is alive."""
    assert is_frozen(row)
    found = {one for one in parts(row) if not is_value(one) and not issubclass(one, Enum)}
    assert found <= {int, str, bytes, bool, tuple, Msat, type(None)}


def test_rows_are_equal_by_what_they_hold() -> None:
    assert payment("a") == payment("a") != payment("a", 1001)
    with pytest.raises(AttributeError):
        payment("a").amount_msat = ZERO  # type: ignore[misc]  # what is tested


def test_a_new_payment_has_cost_and_proven_nothing_and_a_new_invoice_waits() -> None:
    fields = {row: {one.name: one.default for one in msgspec.structs.fields(row)} for row in (Payment, OwnInvoice)}
    assert fields[Payment]["state"] is State.RESERVED
    assert (fields[Payment]["fee_msat"], fields[Payment]["preimage"], fields[Payment]["evidence"]) == (ZERO, "", "")
    assert (fields[OwnInvoice]["state"], fields[OwnInvoice]["received_msat"]) == (InvoiceState.OPEN, None)


def test_a_request_has_one_reply_and_may_have_one_receipt_beside_it() -> None:
    assert REPLY != RECEIPT
    assert Message("r", REPLY, b"", b"", 0).address == b""
