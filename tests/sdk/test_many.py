"""Of several invoices each is ordered, or refused with its own reason."""

from __future__ import annotations

from kitestring.base.commands import PayInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.sdk.many import order_of
from tests.kit.clock import NOW
from tests.kit.codec.invoices import invoice


def reason(text: str, amount: Msat | None = None, network: str = "", now: int = NOW) -> Reason:
    refused = order_of(text, amount, None, network, now)
    assert isinstance(refused, KitestringError)
    return refused.reason


def test_an_invoice_is_ordered_with_its_limit() -> None:
    order = order_of(f"lightning:{invoice(sat(21), at=NOW)}", None, sat(3), "regtest", NOW)
    assert isinstance(order, PayInvoice)
    assert (order.amount_msat, order.max_fee_msat) == (sat(21), sat(3))


def test_what_cannot_be_paid_is_told_in_its_place() -> None:
    text = invoice(sat(21), at=NOW)
    assert reason("lnbc1") is Reason.MALFORMED
    assert reason(text, sat(20)) is Reason.AMOUNT_OUT_OF_RANGE
    assert reason(text, network="bitcoin") is Reason.WRONG_NETWORK
    assert reason(text, now=NOW + 10**9) is Reason.EXPIRED_INVOICE
