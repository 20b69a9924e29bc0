from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.commands import (
    AnyCommand,
    GetBalance,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeInvoice,
    PayInvoice,
)
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    Direction,
    Found,
    Info,
    Invoiced,
    Listed,
    Outcome,
    Paid,
    Refused,
    Transaction,
    TransactionState,
)
from kitestring.nostr import kinds
from kitestring.nostr.event import sign_event
from kitestring.wire.ask.nwc import ServiceInfo, client_cipher, decode_response, encode_request, read_info_event
from kitestring.wire.grammar import Facts
from kitestring.wire.serve.nwc import WIRE
from tests.kit import vectors
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import SERVICE, event, reply_to, transaction

VECTORS = vectors.load("nwc_payloads.json")
#: Responses of methods that no command asks for yet.
LATER = ("budget-",)

PAY = PayInvoice(
    destination=Bolt11(invoice(None), True),
    payment_hash=PAYMENT_HASH,
    amount_msat=Msat(5000),
    max_fee_msat=Msat(0),
    network="regtest",
    expires_at=NOW + 3600,
    description="tea",
    metadata='{"comment":"hi"}',
)
COMMANDS: dict[str, AnyCommand] = {
    "get_balance": GetBalance(),
    "get_info": GetInfo(),
    "pay_invoice": PAY,
    "lookup_invoice": LookupInvoice(payment_hash=PAYMENT_HASH),
    "make_invoice": MakeInvoice(amount_msat=Msat(1000), description="tea", expiry_s=600, metadata='{"a":1}'),
    "list_transactions": ListTransactions(
        from_=1, until=9, limit=5, offset=2, unpaid_incoming=True, direction="incoming"
    ),
}


@pytest.mark.parametrize("case", VECTORS["response"], ids=lambda case: case["id"])
def test_every_response_of_the_vectors_is_read_as_it_says(case: dict[str, Any]) -> None:
    if case["id"].startswith(LATER):
        return
    parsed = case["parsed"]
    outcome = decode_response(case["payload"], COMMANDS[parsed["method"]])
    if "error" in parsed:
        assert isinstance(outcome, Refused)
        assert outcome.details["code"] == parsed["error"]
        assert outcome.details.get("raw_code") == parsed.get("raw_code")
    elif "balance_msat" in parsed:
        assert outcome == Balance(Msat(parsed["balance_msat"]))
    else:
        assert isinstance(outcome, Found)
        record = outcome.transaction
        assert (record.type, record.state, record.payment_hash) == (parsed["type"], parsed["state"], "00" * 32)
        assert (record.amount_msat, record.fee_msat) == (parsed["amount_msat"], parsed["fees_paid_msat"])
        assert (record.settled_at, record.preimage) == (None, "")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_service_reads_what_the_client_writes(command: AnyCommand) -> None:
    asked = WIRE.read(encode_request(command), event(kinds.NWC_REQUEST), reply_to("nwc"), Facts("regtest"))
    assert asked.command == command


def test_members_that_say_nothing_are_not_written() -> None:
    assert encode_request(ListTransactions(limit=20)) == '{"method":"list_transactions","params":{"limit":20}}'
    both = encode_request(ListTransactions(unpaid_incoming=True, unpaid_outgoing=True))
    assert json.loads(both)["params"] == {"limit": 20, "unpaid": True}
    with_amount = PayInvoice(destination=Bolt11("lnbc1"), payment_hash=PAYMENT_HASH, amount_msat=Msat(5))
    assert json.loads(encode_request(with_amount))["params"] == {"invoice": "lnbc1"}


FULL = Transaction(
    type=Direction.OUTGOING,
    state=TransactionState.SETTLED,
    payment_hash=PAYMENT_HASH,
    amount_msat=Msat(5),
    fee_msat=Msat(1),
    created_at=NOW,
    settled_at=NOW + 1,
    expires_at=NOW + 2,
    bolt11="lnbcrt1",
    description="tea",
    description_hash="ab" * 32,
    preimage=PREIMAGE,
    metadata='{"comment":"hi"}',
)


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        ("pay_invoice", Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(7))),
        ("make_invoice", Invoiced(transaction(bolt11="lnbcrt1"))),
        ("lookup_invoice", Found(FULL)),
        ("list_transactions", Listed((FULL, transaction()))),
        ("get_balance", Balance(Msat(12))),
        ("get_info", Info("kite", "#39f", "02" * 33, "bitcoin", 8, "00" * 32, ("get_info", "pay_invoice"))),
    ],
)
def test_the_client_reads_what_the_service_writes(method: str, outcome: Outcome) -> None:
    plaintext = WIRE.answer(outcome, reply_to("nwc").named(method))
    assert plaintext is not None
    assert decode_response(plaintext.decode(), COMMANDS[method]) == outcome


def test_an_unknown_code_keeps_the_wallets_words_capped_and_stripped() -> None:
    error = {"code": "BAD\x1b_REQUEST" + "X" * 100, "message": "no\x00 way " + "x" * 500}
    outcome = decode_response(json.dumps({"error": error}), GetBalance())
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.message) == (Reason.MALFORMED, ("no way " + "x" * 500)[:200])
    assert outcome.details == {"code": "OTHER", "raw_code": ("BAD_REQUEST" + "X" * 100)[:40]}
    assert decode_response('{"error":"boom"}', GetBalance()) == Refused(
        Reason.MALFORMED, "boom", {"code": "OTHER", "raw_code": ""}
    )


def test_a_connection_is_not_asked_to_pay_without_an_invoice() -> None:
    with pytest.raises(KitestringError) as caught:
        encode_request(replace(PAY, destination=Keysend("02" * 33, "ab" * 32)))
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    "result", [{}, {"preimage": ""}, {"preimage": "zz" * 32}, {"preimage": "22" * 32}, {"preimage": None}]
)
def test_a_payment_without_its_true_preimage_is_not_believed(result: object) -> None:
    with pytest.raises(CodecError):
        decode_response(json.dumps({"result_type": "pay_invoice", "result": result}), PAY)


def test_a_preimage_in_capitals_and_missing_fees_are_read() -> None:
    outcome = decode_response(json.dumps({"result": {"preimage": PREIMAGE.upper()}}), PAY)
    assert outcome == Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(0))


@pytest.mark.parametrize("plaintext", ["{}", '{"result":null,"error":null}', '{"result":[]}', '{"result":{}}', "[]"])
def test_a_response_without_result_or_error_is_not_read(plaintext: str) -> None:
    with pytest.raises(CodecError):
        decode_response(plaintext, GetBalance())


def test_older_wallets_leave_out_the_state() -> None:
    entry = {"amount": "1000", "settled_at": NOW, "payment_hash": PAYMENT_HASH}
    outcome = decode_response(
        json.dumps({"result": {"transactions": [entry, {**entry, "settled_at": None}]}}), ListTransactions()
    )
    assert isinstance(outcome, Listed)
    assert [record.state for record in outcome.transactions] == ["settled", "pending"]


def info_event(content: str, *tags: list[str]) -> Any:
    return sign_event(SERVICE, kind=kinds.NWC_INFO, tags=list(tags), content=content, created_at=NOW)


def test_info_events_are_read_in_one_value_or_several() -> None:
    expected = ServiceInfo(("pay_invoice", "get_info"), ("nip44", "nip04"), ("payment_sent",), ("02", "05"))
    one = ["encryption", "nip44_v2 nip04"], ["notifications", "payment_sent"], ["extensions", "02 05"]
    many = ["encryption", "nip44_v2", "nip04"], ["notifications", "payment_sent"], ["extensions", "02", "05"]
    assert read_info_event(info_event("pay_invoice get_info", *one)) == expected
    assert read_info_event(info_event("pay_invoice, get_info", *many)) == expected
    assert read_info_event(info_event("")).ciphers == ("nip04",)


def test_the_client_prefers_nip_44_and_never_goes_back_from_it() -> None:
    old, both = ServiceInfo((), ("nip04",)), ServiceInfo((), ("nip44", "nip04"))
    assert client_cipher(both, legacy=False, nip44_seen=False) == "nip44"
    assert client_cipher(old, legacy=False, nip44_seen=False) == "nip04"
    assert client_cipher(old, legacy=True, nip44_seen=True) == "nip44"
    assert client_cipher(None, legacy=False, nip44_seen=False) == "nip44"
    assert client_cipher(None, legacy=True, nip44_seen=False) == "nip04"
