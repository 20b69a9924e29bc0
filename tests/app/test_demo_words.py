"""What an event of the demonstration says, in one line."""

from __future__ import annotations

import pytest

from kitestring.app.demo_words import line
from kitestring.base.money import sat
from kitestring.codec import bolt11_write
from kitestring.nostr import kinds

INVOICE = bolt11_write.encode(
    network="regtest", timestamp=1_800_000_000, payment_hash="ab" * 32, payment_secret="cd" * 32, secret32=b"\x01" * 32,
    amount_msat=sat(2_000_000), description="tea", expiry_s=3_600,
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (kinds.OFFER, '{"offer":"tea","amount_sats":21}', "asks for an invoice of 21 sat"),
        (kinds.OFFER, '{"bolt11":"lnbcrt210n1p4smtj9sp5"}', "the invoice lnbcrt210n1p4smt…"),
        (kinds.OFFER, '{"res":"ok","preimage":"cc090afa"}', "receipt: preimage cc090afa"),
        (kinds.OFFER, '{"code":1,"error":"no such offer"}', "refused: no such offer"),
        (kinds.NWC_REQUEST, '{"method":"pay_invoice","params":{"invoice":"nonsense"}}', "pay_invoice nonsense"),
        (kinds.NWC_REQUEST, '{"method":"lookup_invoice","params":{"payment_hash":"ab"}}', ""),
        (kinds.NWC_RESPONSE, '{"result_type":"pay_invoice","result":{"preimage":"cd"}}', "preimage cd"),
        (
            kinds.NWC_RESPONSE,
            '{"result_type":"pay_invoice","error":{"code":"QUOTA_EXCEEDED","message":"too much"}}',
            "refused: QUOTA_EXCEEDED",
        ),
        (kinds.NWC_RESPONSE, '{"result_type":"lookup_invoice","error":{"code":"NOT_FOUND","message":""}}', ""),
        (kinds.NWC_INFO, "pay_invoice get_info", ""),
    ],
)
def test_a_line_says_what_is_asked_and_answered_about_money(kind: int, text: str, sentence: str) -> None:
    assert line(kind, text, answers=False).sentence == sentence


def test_the_amount_of_an_invoice_is_read_out_of_it() -> None:
    asked = line(kinds.NWC_REQUEST, f'{{"method":"pay_invoice","params":{{"invoice":"{INVOICE}"}}}}', answers=False)
    assert asked.sentence == f"pay_invoice {INVOICE[:16]}…, 2,000,000 sat"
    assert (asked.who, asked.name, asked.answers) == ("app", "NWC request", False)
