"""Invoices that no wallet is given to pay."""

from __future__ import annotations

import pytest

from kitestring.backend.unfit_invoices import unfit_invoice
from kitestring.base.payments import FailureReason
from tests.kit.clock import NOW
from tests.kit.codec.invoices import invoice
from tests.kit.codec.signatures import unsigned

SOUND = invoice()


def test_a_sound_invoice_may_be_sent() -> None:
    assert unfit_invoice(SOUND, "", NOW) is None
    assert unfit_invoice(invoice(network="regtest"), "regtest", NOW) is None


@pytest.mark.parametrize(("text", "network", "now", "reason", "words"), [
    (dict(unsigned(SOUND))["r is not on the curve"], "", NOW, FailureReason.REFUSED, "recover"),
    ("lnbc1nonsense", "", NOW, FailureReason.REFUSED, "the wallet was not asked"),
    (invoice(network="regtest"), "bitcoin", NOW, FailureReason.REFUSED, "is of regtest, the wallet of bitcoin"),
    (SOUND, "", NOW + 7_200, FailureReason.EXPIRED, "has expired"),
])  # fmt: skip
def test_what_no_wallet_may_be_given_fails_for_good(
    text: str, network: str, now: int, reason: FailureReason, words: str
) -> None:
    refused = unfit_invoice(text, network, now)
    assert refused is not None
    assert refused.reason is reason
    assert words in refused.evidence
