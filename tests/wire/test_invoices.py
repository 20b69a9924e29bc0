"""An invoice that a peer asks us to pay becomes the same command on every wire."""

from __future__ import annotations

import pytest

from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES
from kitestring.wire.invoices import payment_of, read_invoice
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, invoice


def test_everything_that_the_engine_decides_on_is_the_invoices() -> None:
    text = invoice(21_000)
    assert payment_of(read_invoice(text, "regtest"), Msat(21_000)) == PayInvoice(
        destination=Bolt11(text, amountless=False), payment_hash=PAYMENT_HASH, amount_msat=Msat(21_000),
        network="regtest", expires_at=NOW + 3_600, description="tea",
    )  # fmt: skip


def test_what_only_the_caller_says_is_taken_from_it() -> None:
    read = read_invoice(invoice(None), "regtest")
    command = payment_of(read, Msat(7_000), max_fee_msat=Msat(3), metadata='{"a":1}')
    assert (command.amount_msat, command.max_fee_msat, command.metadata) == (7_000, 3, '{"a":1}')
    assert command.destination == Bolt11(read.text, amountless=True)


def test_an_invoice_that_has_expired_is_read_all_the_same() -> None:
    assert read_invoice(invoice(at=NOW - 9_000), "regtest").expires_at < NOW


def test_the_words_of_an_invoice_are_cleaned() -> None:
    found = payment_of(read_invoice(invoice(description="a\nb\u202ec" + "é" * 300), "regtest"), Msat(21_000))
    assert found.description.startswith("a bcé")
    assert len(found.description.encode()) <= MAX_DESCRIPTION_BYTES


def test_one_for_another_network_is_refused_by_its_name() -> None:
    with pytest.raises(KitestringError, match="this invoice is for signet") as caught:
        read_invoice(invoice(network="signet"), "regtest")
    assert caught.value.reason is Reason.WRONG_NETWORK


@pytest.mark.parametrize("text", ["", "lnbcrt1", invoice()[:-1] + "q"])
def test_what_is_no_invoice_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        read_invoice(text, "regtest")
