"""An invoice that is to be paid, read from a request, and how its end is told."""

from __future__ import annotations

import json

from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid, Refused
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.nwc.replies import refuse
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.codec.signatures import not_of_the_payee, unsigned
from tests.kit.wire.nwc import answer, decode, refusal, request
from tests.kit.wire.samples import reply_to


def refusal_of_invoice(text: str) -> Reason | None:
    try:
        decode("pay_invoice", {"invoice": text})
    except WireRefusalError as error:
        return error.refused.reason
    return None


def test_whether_anybody_signed_an_invoice_is_left_to_the_node_unless_it_names_its_payee() -> None:
    """Every backend refuses for good what nobody can have signed: tests/contract."""
    reasons = {name: refusal_of_invoice(text) for name, text in unsigned(invoice(1000))}
    assert {name for name, reason in reasons.items() if reason} == {"recovery id 4", "recovery id 27", "all ones"}
    for _, text in not_of_the_payee(invoice(1000, name_payee=True)):
        assert refusal_of_invoice(text) is Reason.MALFORMED


def test_an_invoice_of_another_network_is_refused_by_name() -> None:
    refused = refusal(request("pay_invoice", {"invoice": invoice(1000, network="signet")})).refused
    assert (refused.reason, refused.message) == (
        Reason.WRONG_NETWORK,
        "this invoice is for signet, and this wallet is on regtest",
    )


def test_a_payment_takes_everything_it_needs_from_the_invoice() -> None:
    text = invoice(1500, description="two\x00teas", expiry_s=60)
    params = {"invoice": f"LIGHTNING:{text.upper()}", "amount": "1500", "max_fee": 0, "metadata": {"comment": "hi"}}
    assert decode("pay_invoice", params) == PayInvoice(
        destination=Bolt11(text),
        payment_hash=PAYMENT_HASH,
        amount_msat=Msat(1500),
        max_fee_msat=Msat(0),
        network="regtest",
        expires_at=NOW + 60,
        description="two teas",
        metadata='{"comment":"hi"}',
    )


def test_an_amountless_invoice_is_paid_with_the_amount_of_the_request() -> None:
    command = decode("pay_invoice", {"invoice": invoice(None), "amount": 7})
    assert (command.amount_msat, command.destination) == (7, Bolt11(invoice(None), True))
    assert type(command.amount_msat) is Msat


def test_a_payment_answers_with_preimage_and_fee_byte_for_byte() -> None:
    outcome = Paid(PAYMENT_HASH, PREIMAGE, Msat(1000), Msat(12))
    assert answer("pay_invoice", outcome) == (
        f'{{"result_type":"pay_invoice","result":{{"preimage":"{PREIMAGE}","fees_paid":12}}}}'.encode()
    )


def test_the_fee_of_the_service_is_among_the_fees_that_were_paid() -> None:
    outcome = Paid(PAYMENT_HASH, PREIMAGE, Msat(1000), Msat(12), service_fee_msat=Msat(3_000))
    for method in ("pay_invoice", "pay_keysend", "pay"):
        assert json.loads(answer(method, outcome) or b"")["result"]["fees_paid"] == 3_012


def test_an_app_that_allows_too_little_for_the_fee_of_the_service_reads_what_it_is() -> None:
    details = {"max_fee_msat": 1, "service_fee_msat": 2_000}
    refused = Refused(Reason.FEE_LIMIT, "the service fee is 2 sat, which is more than …", details)
    error = json.loads(refuse(refused, reply_to("nwc").named("pay_invoice")) or b"")["error"]
    assert error == {"code": "FEE_LIMIT_EXCEEDED", "message": refused.message}
