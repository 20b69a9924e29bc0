from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import (
    AnyCommand,
    Bundle,
    Connect,
    GetBalance,
    GetBudget,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeInvoice,
    PayInvoice,
    SignMessage,
)
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import CodecError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    BudgetState,
    Connected,
    Direction,
    Found,
    Info,
    Invoiced,
    Listed,
    Outcome,
    Paid,
    Refused,
    Signed,
    Transaction,
    TransactionState,
)
from kitestring.base.payments import Failed, InFlight, NeverSeen, Settled, Unknown
from kitestring.codec.keysend import keysend
from kitestring.codec.signed_message import sign
from kitestring.nostr import kinds
from kitestring.nostr.event import sign_event
from kitestring.wire.ask.nwc import (
    FORMS,
    KEYSEND,
    ServiceInfo,
    client_cipher,
    decode_record,
    decode_response,
    encode_request,
    read_info_event,
    refuse_unannounced,
)
from kitestring.wire.envelope import MAX_REPLY_BYTES
from kitestring.wire.grammar import Facts
from kitestring.wire.serve.nwc import WIRE
from kitestring.wire.serve.nwc.table import METHODS
from tests.kit import vectors
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import SERVICE, event, reply_to, transaction

VECTORS = vectors.load("nwc_payloads.json")

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
#: To one times the base point.
KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
RECORDS = ((65_536, "00ff"),)
SEND = keysend(
    KEY, Msat(5000), preimage=PREIMAGE, records=RECORDS, max_fee_msat=Msat(0),
    metadata='{"tlv_records":[{"type":65536,"value":"00ff"}]}',
)  # fmt: skip
EXTENSIONS = {form.method: form.extension for form in (*FORMS.values(), KEYSEND) if form.extension is not None}
COMMANDS: dict[str, AnyCommand] = {
    "get_balance": GetBalance(),
    "get_budget": GetBudget(),
    "get_info": GetInfo(),
    "pay_invoice": PAY,
    "pay_keysend": SEND,
    "lookup_invoice": LookupInvoice(payment_hash=PAYMENT_HASH),
    "make_invoice": MakeInvoice(amount_msat=Msat(1000), description="tea", expiry_s=600, metadata='{"a":1}'),
    "list_transactions": ListTransactions(
        from_=1, until=9, limit=5, offset=2, unpaid_incoming=True, direction="incoming"
    ),
}


@pytest.mark.parametrize("case", VECTORS["response"], ids=lambda case: case["id"])
def test_every_response_of_the_vectors_is_read_as_it_says(case: dict[str, Any]) -> None:
    parsed = case["parsed"]
    asked = replace(COMMANDS["lookup_invoice"], payment_hash="00" * 32)
    outcome = decode_response(case["payload"], {**COMMANDS, "lookup_invoice": asked}[parsed["method"]])
    if "error" in parsed:
        assert isinstance(outcome, Refused)
        assert outcome.details["code"] == parsed["error"]
        assert outcome.details.get("raw_code") == parsed.get("raw_code")
    elif "balance_msat" in parsed:
        assert outcome == Balance(Msat(parsed["balance_msat"]))
    elif "budget" in parsed:
        told = parsed["budget"]
        assert isinstance(outcome, BudgetState)
        assert outcome == (BudgetState() if told is None else BudgetState(Budget(Msat(told["total_msat"]))))
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
        ("list_transactions", Listed((FULL, transaction()), total=7)),
        ("get_balance", Balance(Msat(12))),
        ("get_budget", BudgetState()),
        ("get_budget", BudgetState(Budget.daily(Msat(9_000)), Msat(9_500), NOW)),
        ("get_budget", BudgetState(Budget.total(Msat(0)))),
        (
            "get_info",
            Info(
                "kite",
                "#39f",
                "02" * 33,
                "bitcoin",
                8,
                "00" * 32,
                ("get_info", "multi_pay_invoice", "pay", "pay_invoice"),
                ("06", "321"),
            ),
        ),
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
    assert outcome.details == {"code": "OTHER", "raw_code": ("BAD _REQUEST" + "X" * 100)[:40]}
    assert decode_response('{"error":"boom"}', GetBalance()) == Refused(
        Reason.MALFORMED, "boom", {"code": "OTHER", "raw_code": ""}
    )


def test_a_keysend_is_asked_for_with_its_own_preimage() -> None:
    assert json.loads(encode_request(SEND)) == {
        "method": "pay_keysend",
        "params": {
            "pubkey": KEY, "amount": 5000, "preimage": PREIMAGE, "tlv_records": [{"type": 65536, "value": "00ff"}],
            "max_fee": 0, "metadata": {"tlv_records": [{"type": 65536, "value": "00ff"}]},
        },
    }  # fmt: skip
    bare = json.loads(encode_request(keysend(KEY, Msat(5000), preimage=PREIMAGE)))
    assert bare["params"] == {"pubkey": KEY, "amount": 5000, "preimage": PREIMAGE}


def test_the_preimage_of_a_keysend_is_the_payers_own_and_proves_nothing() -> None:
    beside = json.dumps({"error": {"code": "INTERNAL", "message": "no"}, "result": {"preimage": PREIMAGE}})
    assert decode_response(beside, PAY) == Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(0))
    assert isinstance(decode_response(beside, SEND), Refused)
    settled = decode_response(json.dumps({"result": {"preimage": PREIMAGE, "fees_paid": 3}}), SEND)
    assert settled == Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(3))


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("settled", Settled(PREIMAGE, Msat(7))),
        ("pending", InFlight()),
        ("failed", Failed("its record says failed", attempt_at=NOW)),
        (None, InFlight()),
    ],
)
def test_of_a_record_of_a_keysend_the_state_alone_counts(state: str | None, answer: object) -> None:
    record = {"type": "outgoing", "state": state, "preimage": PREIMAGE, "fees_paid": 7, "created_at": NOW}
    text = json.dumps({"result": record})
    assert decode_record(text, PAYMENT_HASH, NOW, is_keysend=True) == answer
    assert decode_record(text, PAYMENT_HASH, NOW) == Settled(PREIMAGE, Msat(7))
    unproven = json.dumps({"result": record | {"preimage": "22" * 32}})
    assert not isinstance(decode_record(unproven, PAYMENT_HASH, NOW, is_keysend=True), Settled)
    refused = json.dumps({"error": {"code": "OTHER"}, "result": record})
    assert isinstance(decode_record(refused, PAYMENT_HASH, NOW, is_keysend=True), Refused)


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


# ---------------------------------------------------------------- odd members

ROW = {"type": "outgoing", "state": "settled", "payment_hash": PAYMENT_HASH, "amount": 1_000, "created_at": NOW}


def read_list(*entries: object) -> Listed:
    outcome = decode_response(json.dumps({"result": {"transactions": entries}}), ListTransactions())
    assert isinstance(outcome, Listed)
    return outcome


def listed(*entries: object) -> tuple[Transaction, ...]:
    return read_list(*entries).transactions


@pytest.mark.parametrize(
    "odd",
    [
        {"created_at": 1.5}, {"created_at": "2026-01-01T00:00:00Z"}, {"settled_at": -1}, {"expires_at": []},
        {"fees_paid": "some"}, {"fees_paid": -3}, {"description": 7}, {"metadata": "x"}, {"state": 3}, {"preimage": 1},
        {"invoice": None}, {"description_hash": "xy"},
    ],
    ids=str,
)  # fmt: skip
def test_an_odd_member_is_dropped_and_the_entry_kept(odd: dict[str, object]) -> None:
    (row,) = listed({**ROW, **odd})
    assert (row.amount_msat, row.fee_msat, row.payment_hash) == (Msat(1_000), Msat(0), PAYMENT_HASH)
    assert row.created_at in {0, NOW}


def test_an_entry_that_cannot_be_read_is_left_out_and_counted() -> None:
    odd = [{**ROW, "amount": amount} for amount in (None, 1.5, -5, "some")]
    read = read_list(ROW, "x", *odd, {**ROW, "amount": 2})
    assert [row.amount_msat for row in read.transactions] == [1_000, 2]
    assert read.left_out == 5


def test_a_list_of_which_nothing_can_be_read_is_not_called_empty() -> None:
    assert listed() == ()
    with pytest.raises(CodecError, match="none of 2 entries can be read: the wallet's transaction has no amount"):
        listed({**ROW, "amount": None}, {})


def test_an_amount_that_is_not_told_is_that_of_the_invoice() -> None:
    (row,) = listed({**ROW, "amount": None, "invoice": invoice()})
    assert row.amount_msat == 21_000
    made = decode_response(json.dumps({"result": {"invoice": invoice(None)}}), COMMANDS["make_invoice"])
    assert isinstance(made, Invoiced)
    assert made.transaction.amount_msat == 1_000


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({"total_budget": "9000", "used_budget": 1.0}, BudgetState(Budget.total(Msat(9_000)), Msat(1))),
        ({"total_budget": 9, "renewal_period": "hourly", "renews_at": 0}, BudgetState(Budget.total(Msat(9)))),
        (
            {"total_budget": 9, "used_budget": None, "renewal_period": "monthly", "renews_at": NOW},
            BudgetState(Budget.monthly(Msat(9)), Msat(0), NOW),
        ),
        ({"used_budget": 5}, BudgetState()),
        ({"total_budget": None}, BudgetState()),
    ],
)
def test_a_budget_is_read_in_the_forms_that_have_one_meaning(members: Any, state: BudgetState) -> None:
    assert decode_response(json.dumps({"result": members}), GetBudget()) == state


@pytest.mark.parametrize("members", [{"total_budget": "much"}, {"total_budget": 9, "used_budget": -1}])
def test_a_budget_that_cannot_be_read_is_neither_unlimited_nor_unused(members: object) -> None:
    with pytest.raises(CodecError, match="_budget cannot be read"):
        decode_response(json.dumps({"result": members}), GetBudget())


@pytest.mark.parametrize("balance", [-1_500, "-1500", -1_500.0])
def test_a_negative_balance_is_readable(balance: object) -> None:
    assert decode_response(json.dumps({"result": {"balance": balance}}), GetBalance()) == Balance(Msat(-1_500))


@pytest.mark.parametrize("balance", [None, "much", 1.5, {}])
def test_no_balance_is_made_up(balance: object) -> None:
    with pytest.raises(CodecError, match="no balance"):
        decode_response(json.dumps({"result": {"balance": balance}}), GetBalance())


def test_a_payment_with_its_proof_is_paid_whatever_is_written_beside_it() -> None:
    paid = {"preimage": PREIMAGE, "fees_paid": "many"}
    outcome = decode_response(json.dumps({"result": paid, "error": {"code": "INTERNAL"}}), PAY)
    assert outcome == Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(0))


@pytest.mark.parametrize("state", ["failed", "pending", "expired", "", None, 7])
def test_an_outgoing_entry_with_its_proof_is_settled_whatever_its_state_says(state: object) -> None:
    (row,) = listed({**ROW, "invoice": "lnbc1", "state": state, "preimage": PREIMAGE})
    assert (row.state, row.preimage) == ("settled", PREIMAGE)
    (own,) = listed({**ROW, "type": "incoming", "state": state, "preimage": PREIMAGE})  # its maker always knows it
    assert (own.state == "settled", own.preimage) == (False, "")


@pytest.mark.parametrize("state", ["failed", "pending"])
def test_what_an_entry_without_an_invoice_shows_and_denies_is_neither_paid_nor_failed(state: str) -> None:
    """Of a keysend the payer has drawn the preimage; of any other payment it is the proof."""
    (row,) = listed({**ROW, "state": state, "preimage": PREIMAGE})
    assert (row.state, row.preimage) == ("pending", "")
    (row,) = listed({**ROW, "state": state, "preimage": PREIMAGE, "settled_at": NOW})
    assert (row.state, row.preimage) == ("settled", PREIMAGE)


def test_a_record_of_another_hash_is_not_the_one_asked_for() -> None:
    with pytest.raises(CodecError, match="another payment"):
        decode_response(json.dumps({"result": {**ROW, "payment_hash": "ab" * 32}}), COMMANDS["lookup_invoice"])


@pytest.mark.parametrize(
    ("result", "error", "answer"),
    [
        ({**ROW, "preimage": PREIMAGE, "state": "failed", "amount": None}, None, Settled(PREIMAGE, Msat(0))),
        ({"type": "outgoing", "preimage": PREIMAGE, "fees_paid": 3}, {"code": "OTHER"}, Settled(PREIMAGE, Msat(3))),
        ({**ROW, "state": "failed"}, None, Failed("its record says failed", attempt_at=NOW)),
        ({**ROW, "state": "failed", "created_at": 1.5}, None, Failed("its record says failed")),
        ({**ROW, "state": "settled"}, None, Unknown("its record says settled, without a proof")),
        ({**ROW, "state": "expired"}, None, InFlight()),
        ({**ROW, "state": None, "amount": "x"}, None, InFlight()),
        ({**ROW, "type": "incoming"}, None, Unknown("its record is of an invoice, not of a payment")),
        (None, {"code": "NOT_FOUND"}, NeverSeen(NOW)),
        (
            {},
            {"code": "EXPIRED"},
            Refused(Reason.CONNECTION_ENDED, "EXPIRED", {"code": "OTHER", "raw_code": "EXPIRED"}),
        ),
    ],
)
def test_a_record_is_evidence_as_far_as_it_can_be_read(result: object, error: object, answer: object) -> None:
    assert decode_record(json.dumps({"result": result, "error": error}), PAYMENT_HASH, NOW) == answer


@pytest.mark.parametrize("plaintext", ["{}", "[]", '{"result":[]}', '{"result":{"payment_hash":"' + "ab" * 32 + '"}}'])
def test_a_record_that_says_nothing_is_no_evidence(plaintext: str) -> None:
    with pytest.raises(CodecError):
        decode_record(plaintext, PAYMENT_HASH, NOW)


def test_a_long_reply_with_numbers_that_nothing_can_hold_is_read() -> None:
    rows = [{**ROW, "description": "x" * 500, "metadata": {"id": 2**70}, "settled_at": 2**70} for _ in range(150)]
    text = json.dumps({"result": {"transactions": rows}})
    assert len(text) > 2 * 65_536 * 0.7
    outcome = decode_response(text, ListTransactions())
    assert isinstance(outcome, Listed)
    assert len(outcome.transactions) == 150
    with pytest.raises(CodecError, match="larger than"):
        decode_response(json.dumps({"result": {}, "x": "x" * MAX_REPLY_BYTES}), GetBalance())


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


def announcing(methods: str, *extensions: str) -> ServiceInfo:
    return ServiceInfo(tuple(methods.split()), ("nip44",), (), extensions)


@pytest.mark.parametrize(
    "info",
    [None, announcing(""), announcing("", "13"), announcing("pay_invoice", "05", "13"), announcing("get_budget")],
)
def test_what_is_announced_by_tag_or_by_name_is_asked_for_and_what_is_unknown_too(
    info: ServiceInfo | None,
) -> None:
    assert refuse_unannounced(GetBudget(), info) is None


@pytest.mark.parametrize("info", [announcing("pay_invoice get_info"), announcing("", "05")])
def test_what_is_announced_in_neither_way_is_refused_with_its_name(info: ServiceInfo) -> None:
    refused = refuse_unannounced(GetBudget(), info)
    assert refused == Refused(Reason.UNSUPPORTED, "this wallet does not announce get_budget, and was not asked")
    others = [command for name, command in COMMANDS.items() if name not in EXTENSIONS]
    assert len(others) == 6
    assert [refuse_unannounced(command, info) for command in others] == [None] * len(others)


def test_no_response_answers_several_payments_at_once() -> None:
    with pytest.raises(CodecError, match="one by one"):
        decode_response('{"result_type":"multi_pay_invoice","result":{}}', Bundle(parts=()))


def test_the_service_announces_every_extension_that_the_client_asks_for() -> None:
    assert EXTENSIONS
    assert all(number in METHODS[name].extensions for name, number in EXTENSIONS.items() if number)


def test_a_signature_is_believed_where_it_is_one_and_of_the_text_that_was_given() -> None:
    asked, signature = SignMessage(message="tea"), sign("tea", b"\x05" * 32)
    assert json.loads(encode_request(asked)) == {"method": "sign_message", "params": {"message": "tea"}}
    for told in ({"message": "tea", "signature": signature}, {"signature": signature}):
        assert decode_response(json.dumps({"result": told}), asked) == Signed("tea", signature)
    for told in (
        {"message": "milk", "signature": signature},
        {"message": "tea", "signature": "d9"},
        {"message": "tea"},
    ):
        with pytest.raises(CodecError):
            decode_response(json.dumps({"result": told}), asked)


def test_a_method_that_the_text_has_dropped_is_asked_for_where_the_wallet_lists_it_by_name() -> None:
    assert refuse_unannounced(SignMessage(message="tea"), announcing("get_info sign_message")) is None
    refused = refuse_unannounced(SignMessage(message="tea"), announcing("get_info", "05"))
    assert refused == Refused(Reason.UNSUPPORTED, "this wallet does not announce sign_message, and was not asked")


def test_a_connection_is_asked_for_with_all_that_it_is_to_have_and_answered_by_a_key() -> None:
    asked = Connect(client="ab" * 32, name="Zap", methods=("pay_invoice",))
    written = json.loads(encode_request(asked))
    params = {"pubkey": "ab" * 32, "name": "Zap", "request_methods": ["pay_invoice"]}
    assert written == {"method": "create_connection", "params": params}
    more = replace(
        asked, optional=("payment_sent",), budget=Budget(Msat(5_000), "week"), expires_at=1_900_000_000, isolated=True
    )
    assert WIRE.read(encode_request(more), event(kinds.NWC_REQUEST), reply_to("nwc"), Facts("regtest")).command == more
    assert decode_response(json.dumps({"result": {"wallet_pubkey": "CD" * 32}}), asked) == Connected("cd" * 32)
    with pytest.raises(CodecError, match="which key"):
        decode_response('{"result":{"wallet_pubkey":"cd"}}', asked)
