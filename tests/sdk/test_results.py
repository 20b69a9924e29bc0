"""Values of a wallet: what is left of a budget, and a link that is what was asked for."""

from __future__ import annotations

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.codec.uri import encode_bip321
from kitestring.sdk.results import WalletBudget, link_of
from tests.kit.codec.invoices import invoice


def test_of_a_budget_that_was_lowered_nothing_is_left() -> None:
    assert WalletBudget(sat(5), sat(2), "day", None).left == sat(3)
    assert WalletBudget(sat(5), sat(9), "day", None).left == sat(0)


def test_a_link_has_one_invoice_of_the_amount_that_was_asked_for() -> None:
    text = invoice(sat(5))
    assert link_of(encode_bip321(text), sat(5)).invoice.bolt11 == text
    for wrong in (encode_bip321(invoice(sat(6))), None, "bitcoin:?lightning=nothing", "https://example.com"):
        with pytest.raises(KitestringError) as refused:
            link_of(wrong, sat(5))
        assert refused.value.reason is Reason.INTERNAL
