"""Prices of an audit: what an invoice was priced with stands beside it, and gives its amount."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import KitestringError
from kitestring.base.money import Msat
from kitestring.ledger.audit.subject import Subject
from kitestring.ledger.rows import read_rate


def priced_otherwise(subject: Subject) -> Iterator[str]:
    """The price itself may have been edited since. But no price gives an amount between two of its steps, and none a
    part of a sat; and the currency of an offer never changes, because it stands in its code."""
    for payment_hash, amount_msat, rate, offer_id, currency in subject.rows(
        "SELECT i.payment_hash, i.amount_msat, i.rate, i.offer_id, o.currency FROM invoices i"
        " LEFT JOIN offers o ON o.service = i.service AND o.offer_id = i.offer_id"
        " WHERE i.service = ?1 AND i.rate <> ''"
    ):
        told = read_rate(rate)
        if not _gives(told, amount_msat):
            yield f"the invoice of {payment_hash} has no amount that its rate gives: {amount_msat} msat"
        if offer_id == "" or (currency is not None and currency != told.currency):
            yield f"the invoice of {payment_hash} was priced in {told.currency}, which its offer is not"


def _gives(rate: ExchangeRate, amount_msat: int | None) -> bool:
    with suppress(KitestringError):
        return amount_msat is not None and rate.to_pay(rate.paid_for(Msat(amount_msat))) == amount_msat
    return False
