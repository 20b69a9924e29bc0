"""Links that are paid and shown (extension 321): one invoice in a link, amounts that agree, and codes of its own."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kitestring.base.commands import MakeInvoice, PayInvoice
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Invoiced, Paid, Pending, Refused
from kitestring.codec.uri import decode_bip321
from kitestring.nostr import kinds
from kitestring.wire.grammar import Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.nwc import WIRE
from kitestring.wire.serve.nwc.table import METHODS, not_served
from tests.kit.changed import replace
from tests.kit.codec.invoices import invoice
from tests.kit.vectors import load
from tests.kit.wire.samples import event, reply_to, transaction

VECTORS = load("bip321.json")
TO = reply_to("nwc")
PREIMAGE, HASH = "01" * 32, "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793"


def asked(method: str, params: Any, network: str = "regtest") -> Any:
    text = json.dumps({"method": method, "params": params})
    return WIRE.read(text, event(kinds.NWC_REQUEST), TO, Facts(network)).command


def refused(params: Any, network: str = "regtest", method: str = "pay") -> Refused:
    with pytest.raises(WireRefusalError) as told:
        asked(method, params, network)
    assert told.value.to.method == method
    return told.value.refused


def code(outcome: Refused, method: str = "pay", *, narrow: bool = False) -> str:
    to = TO.named(method)
    written = WIRE.answer(outcome, msgspec.structs.replace(to, cipher="nip04") if narrow else to)
    assert written is not None
    return str(json.loads(written)["error"]["code"])


@pytest.mark.parametrize("case", VECTORS["nwc_pay"], ids=lambda case: case.get("why", "plain"))
def test_every_link_of_the_vectors_is_paid_or_refused_as_it_says(case: dict[str, Any]) -> None:
    if case["outcome"] == "bolt11":
        command = asked("pay", case["params"], "bitcoin")
        assert isinstance(command, PayInvoice)
        assert command.amount_msat == case["amount_msat"]
    else:
        assert code(refused(case["params"], "bitcoin")) == case["outcome"]


def test_a_bare_invoice_is_a_payment_too_and_all_that_belongs_to_it_is_read() -> None:
    text = invoice(21_000)
    command = asked("pay", {"payment": f" lightning:{text} ", "max_fee": 7, "metadata": {"comment": "tea"}})
    assert (command.amount_msat, command.max_fee_msat, command.metadata) == (21_000, 7, '{"comment":"tea"}')
    assert replace(command, patience_s=0) == asked(
        "pay_invoice", {"invoice": text, "max_fee": 7, "metadata": {"comment": "tea"}}
    )


def test_the_amount_of_an_invoice_without_one_is_that_of_the_link_or_of_the_request() -> None:
    text = invoice(None)
    assert asked("pay", {"payment": f"bitcoin:?amount=0.00000021&lightning={text}"}).amount_msat == 21_000
    both = {"payment": f"bitcoin:?amount=0.00000021&lightning={text}", "amount": 21_000}
    assert asked("pay", both).amount_msat == 21_000
    assert "differ" in refused({**both, "amount": 21_001}).message


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({}, "payment is missing"),
        ({"payment": ""}, "payment is missing"),
        ({"payment": "bitcoin:?lightning=a&lightning=b"}, "more than one invoice"),
        ({"payment": "bitcoin:?lightning=lnbcrt1nonsense"}, ""),
        ({"payment": invoice(1_000), "amount": -1}, "amount"),
        ({"payment": invoice(None)}, "amount"),
    ],
)
def test_what_is_malformed_is_a_bad_request_and_to_old_clients_other(params: Any, word: str) -> None:
    told = refused(params)
    assert (told.reason, word in told.message) == (Reason.MALFORMED, True)
    assert (code(told), code(told, narrow=True)) == ("BAD_REQUEST", "OTHER")


def test_a_link_without_an_invoice_is_told_apart_from_a_method_that_is_not_served() -> None:
    told = refused({"payment": "bitcoin:bcrt1qxyz?amount=0.1"})
    assert (code(told), code(told, narrow=True)) == ("UNSUPPORTED_PAYMENT_INSTRUCTION", "NOT_IMPLEMENTED")
    text = json.dumps({"method": "pay", "params": {}})
    with pytest.raises(WireRefusalError) as absent:
        WIRE.read(text, event(kinds.NWC_REQUEST), TO, Facts("regtest", without=frozenset({"pay"})))
    assert code(absent.value.refused) == "NOT_IMPLEMENTED"


@pytest.mark.parametrize("reason", [Reason.OVER_BUDGET, Reason.INSUFFICIENT_FUNDS, Reason.PAYMENT_FAILED])
def test_all_other_codes_are_those_of_every_payment(reason: Reason) -> None:
    assert code(Refused(reason)) == code(Refused(reason), "pay_invoice")


def test_a_payment_is_told_with_everything_that_the_extension_wants() -> None:
    paid = Paid(HASH, PREIMAGE, Msat(21_000), Msat(7), created_at=1_700_000_000)
    written = WIRE.answer(paid, TO.named("pay"))
    assert written is not None
    assert json.loads(written) == {
        "result_type": "pay",
        "result": {
            "transaction_id": f"outgoing:{HASH}", "state": "settled", "instruction_type": "bolt11",
            "amount": 21_000, "fees_paid": 7, "created_at": 1_700_000_000, "payment_hash": HASH, "preimage": PREIMAGE,
        },
    }  # fmt: skip


def test_a_payment_that_is_under_way_is_told_as_such_and_only_to_who_has_asked_for_that() -> None:
    pending = Pending(HASH, Msat(21_000), 1_700_000_000)
    written = WIRE.answer(pending, TO.named("pay"))
    assert written is not None
    assert json.loads(written)["result"] == {
        "transaction_id": f"outgoing:{HASH}", "state": "pending", "instruction_type": "bolt11", "amount": 21_000,
        "fees_paid": 0, "created_at": 1_700_000_000, "payment_hash": HASH,
    }  # fmt: skip
    assert WIRE.answer(pending, TO.named("pay_invoice")) is None
    text = invoice(21_000)
    assert (asked("pay", {"payment": text}).patience_s, asked("pay_invoice", {"invoice": text}).patience_s) == (50, 0)


def test_to_receive_is_to_make_an_invoice_and_to_show_it_as_a_link() -> None:
    command = asked("receive", {"amount": 5_000, "description": "tea\n", "metadata": {"comment": "x"}})
    assert command == MakeInvoice(amount_msat=Msat(5_000), description="tea", metadata='{"comment":"x"}')
    assert asked("receive", {"amount": None}) == asked("receive", {"amount": 0}) == MakeInvoice(amount_msat=None)
    made = transaction(bolt11=invoice(5_000))
    written = WIRE.answer(Invoiced(made), TO.named("receive"))
    assert written is not None
    result = json.loads(written)["result"]
    assert decode_bip321(result["bip321"]).values == {"lightning": [made.bolt11]}
    assert result["transaction_id"] == f"incoming:{made.payment_hash}"
    assert code(refused({"amount": -1}, method="receive"), "receive") == "BAD_REQUEST"


def test_both_belong_to_the_permissions_of_their_plain_forms_and_need_invoices_without_an_amount() -> None:
    assert {name: METHODS[name].permission for name in ("pay", "receive")} == {
        "pay": "pay_invoice", "receive": "make_invoice",
    }  # fmt: skip
    assert {"pay", "receive"} <= not_served({"keysend"})
    assert not_served({"keysend", "amountless"}).isdisjoint({"pay", "receive"})
