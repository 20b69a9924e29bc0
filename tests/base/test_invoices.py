"""The states of an incoming invoice: money may arrive in every one but settled, and settled stays."""

from __future__ import annotations

from itertools import product

import pytest

from kitestring.base.invoices import TRANSITIONS, InvoiceState, holders

LEGAL = {
    ("open", "settled"), ("open", "expired"), ("open", "canceled"), ("expired", "settled"), ("canceled", "settled"),
    ("open", "left"), ("left", "open"), ("left", "settled"), ("open", "accepted"), ("accepted", "settled"),
    ("accepted", "canceled"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), list(product(InvoiceState, InvoiceState)))
def test_an_invoice_takes_the_steps_of_the_table_and_no_other(before: InvoiceState, after: InvoiceState) -> None:
    assert (after in TRANSITIONS[before]) == ((before.value, after.value) in LEGAL)


def test_every_state_has_its_row_and_only_the_settled_never_change() -> None:
    assert set(TRANSITIONS) == set(InvoiceState)
    assert [state for state, after in TRANSITIONS.items() if not after] == [InvoiceState.SETTLED]
    assert all(InvoiceState.SETTLED in after for after in TRANSITIONS.values() if after)


def test_an_open_invoice_counts_with_its_connection_or_with_its_payer_its_offer_and_all_strangers() -> None:
    assert holders("app", "", "") == ("app", "@all")
    assert holders("", "tea", "ann") == ("payer:ann", "offer:tea", "@offers", "@all")
    assert holders("", "tea", "") == ("offer:tea", "@offers", "@all")
