"""An invoice is claimed when it is stored or decided; the word of the node about it is denied never."""

from __future__ import annotations

import pytest

from kitestring.base.transactions import invoices
from kitestring.base.transactions.answers import Denied
from tests.kit.transactions import answers, claims, never_changes_and_cannot_be_called, transactions_of, values_of


@pytest.mark.parametrize("kind", values_of(invoices))
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert never_changes_and_cannot_be_called(kind)


def test_what_the_node_says_about_an_invoice_is_never_denied() -> None:
    assert claims(invoices) == [invoices.DecideHold, invoices.RecordInvoice]
    rest = set(transactions_of(invoices)) - set(claims(invoices))
    assert [tx for tx in rest if Denied in answers(tx)] == []
