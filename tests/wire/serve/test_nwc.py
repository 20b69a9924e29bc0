from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.budgets import Budget
from kitestring.base.commands import Bundle, GetBalance, ListTransactions, LookupInvoice, MakeInvoice, PayInvoice
from kitestring.base.destinations import Bolt11, Keysend, invoice_text
from kitestring.base.errors import TABLE, Reason
from kitestring.base.grants import SPENDING_METHODS, Grant
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    BudgetState,
    Found,
    Info,
    Invoiced,
    Listed,
    Outcome,
    Paid,
    Received,
    Refused,
    TransactionState,
)
from kitestring.codec.json import loads_object
from kitestring.nostr import kinds
from kitestring.policy.rules import KEYSEND, PERMISSIONS
from kitestring.wire.grammar import Asked, Draft, Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.nwc import METHODS, WIRE, info_event, not_served, read_canonical
from kitestring.wire.text import MAX_PLAINTEXT_BYTES
from tests.kit import vectors
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.codec.signatures import not_of_the_payee, unsigned
from tests.kit.wire.samples import event, reply_to, transaction

VECTORS = vectors.load("nwc_payloads.json")
TO = reply_to("nwc")
#: What is served only where the owner wants it.
LEGACY = frozenset({"multi_pay_invoice", "multi_pay_keysend", "lookup_payment"})
#: The key of a node: one times the base point.
KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
NARROW_CODES = {
    "RATE_LIMITED",
    "NOT_IMPLEMENTED",
    "INSUFFICIENT_BALANCE",
    "PAYMENT_FAILED",
    "NOT_FOUND",
    "QUOTA_EXCEEDED",
    "RESTRICTED",
    "UNAUTHORIZED",
    "INTERNAL",
    "OTHER",
}


def request(method: str, params: object) -> str:
    return json.dumps({"method": method, "params": params})


def decode(method: str, params: object) -> Any:
    return read(request(method, params)).command


def read(plaintext: str, network: str = "regtest") -> Asked:
    return WIRE.read(plaintext, event(kinds.NWC_REQUEST), TO, Facts(network))


def refusal(plaintext: str, network: str = "regtest") -> WireRefusalError:
    with pytest.raises(WireRefusalError) as caught:
        read(plaintext, network)
    return caught.value


def answer(method: str, outcome: Outcome, *, narrow: bool = False) -> bytes | None:
    to = TO.named(method)
    return WIRE.answer(outcome, msgspec.structs.replace(to, cipher="nip04") if narrow else to)


def response(method: str, outcome: Outcome, *, narrow: bool = False) -> Any:
    plaintext = answer(method, outcome, narrow=narrow)
    return plaintext and json.loads(plaintext)


def as_vector(command: Any) -> dict[str, Any]:
    """The command in the words of the vector file, absent members left out."""
    members: dict[str, Any] = {}
    if isinstance(command, PayInvoice):
        text = invoice_text(command.destination)
        members = {"invoice": text, "max_fee_msat": command.max_fee_msat, "amount_msat": command.amount_msat}
    elif isinstance(command, MakeInvoice):
        members = {"amount_msat": command.amount_msat, "description": command.description, "expiry_s": command.expiry_s}
    elif isinstance(command, LookupInvoice):
        members = {"payment_hash": command.payment_hash}
    elif isinstance(command, ListTransactions):
        unpaid = command.unpaid_incoming and command.unpaid_outgoing
        members = {"limit": command.limit, "offset": command.offset, "unpaid": unpaid, "type": command.direction}
    return {name: value for name, value in members.items() if value not in (None, "")}


@pytest.mark.parametrize("case", VECTORS["request"], ids=lambda case: case["id"])
def test_every_request_of_the_vectors_is_read_or_refused_as_it_says(case: dict[str, Any]) -> None:
    if "error" in case:
        refused = refusal(case["payload"], "bitcoin")
        method = refused.to.method
        assert response(method, refused.refused)["error"]["code"] == case["error"]
        narrow = response(method, refused.refused, narrow=True)["error"]["code"]
        assert narrow == case.get("narrow", case["error"])
    else:
        found = read(case["payload"], "bitcoin")
        expected = dict(case["parsed"])
        assert found.to == TO.named(expected.pop("method"))
        assert as_vector(found.command).items() >= expected.items()


def test_metadata_that_is_too_long_is_dropped_and_the_request_goes_on() -> None:
    (case,) = (case for case in VECTORS["request"] if case["id"] == "make-metadata-too-long")
    assert read(case["payload"], "bitcoin").command == MakeInvoice(amount_msat=Msat(21_000))
    for length, is_kept in ((4096, True), (4097, False)):
        metadata = {"comment": "x" * (length - len('{"comment":""}'))}
        paid = decode("pay_invoice", {"invoice": invoice(), "metadata": metadata})
        assert (paid.metadata, len(json.dumps(metadata, separators=(",", ":")))) == (
            json.dumps(metadata, separators=(",", ":")) if is_kept else "",
            length,
        )


def test_metadata_is_kept_as_json_whose_text_has_no_control_characters() -> None:
    metadata = {"comment": "a\x7f\u202eb\n", "nostr": {"kind": 9734}}
    kept = decode("make_invoice", {"amount": 1, "metadata": metadata}).metadata
    assert kept.isprintable()
    assert json.loads(kept) == metadata
    assert decode("make_invoice", {"amount": 1, "metadata": "text"}).metadata == ""


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


BAD_PARAMS: list[tuple[str, object]] = [
    ("pay_invoice", {}),
    ("pay_invoice", []),
    ("get_balance", [1]),
    ("get_balance", 0),
    ("pay_invoice", "x"),
    ("pay_invoice", {"invoice": ""}),
    ("pay_invoice", {"invoice": 5}),
    ("pay_invoice", {"invoice": "lnbcrt1garbage"}),
    ("pay_invoice", {"invoice": invoice(1000)[:-1] + "q"}),
    ("pay_invoice", {"invoice": invoice(1000), "amount": 1001}),
    ("pay_invoice", {"invoice": invoice(1000), "amount": 0}),
    ("pay_invoice", {"invoice": invoice(1000), "max_fee": -1}),
    ("pay_invoice", {"invoice": invoice(1000), "max_fee": 1.0}),
    ("pay_invoice", {"invoice": invoice(1000), "max_fee": True}),
    ("pay_invoice", {"invoice": invoice(None)}),
    ("pay_invoice", {"invoice": invoice(None), "amount": 0}),
    ("pay_invoice", {"invoice": invoice(None), "amount": -5}),
    ("pay_invoice", {"invoice": invoice(None), "amount": 1.5}),
    ("pay_invoice", {"invoice": invoice(None), "amount": 1000.0}),
    ("pay_invoice", {"invoice": invoice(None), "amount": True}),
    ("pay_invoice", {"invoice": invoice(None), "amount": "1e3"}),
    ("pay_invoice", {"invoice": invoice(None), "amount": "0x10"}),
    ("pay_invoice", {"invoice": invoice(None), "amount": [1]}),
    ("make_invoice", {"amount": -1}),
    ("make_invoice", {"amount": "ten"}),
    ("make_invoice", {"amount": 1, "description": ["tea"]}),
    ("make_invoice", {"amount": 1, "description_hash": "zz"}),
    ("make_invoice", {"amount": 1, "description_hash": "é" * 64}),
    ("make_invoice", {"amount": 1, "expiry": -60}),
    ("lookup_invoice", {"payment_hash": "12"}),
    ("lookup_invoice", {"payment_hash": "00" * 32, "invoice": invoice(1000)}),
    ("list_transactions", {"type": "sideways"}),
    ("list_transactions", {"unpaid": "yes"}),
    ("list_transactions", {"limit": -1}),
    ("list_transactions", {"from": "1.5"}),
]


@pytest.mark.parametrize(("method", "params"), BAD_PARAMS)
def test_bad_params_are_refused_as_malformed_and_name_the_method(method: str, params: object) -> None:
    caught = refusal(request(method, params))
    assert (caught.refused.reason, caught.to.method) == (Reason.MALFORMED, method)
    assert response(method, caught.refused)["error"]["code"] == "OTHER"


@pytest.mark.parametrize(
    "plaintext",
    [
        "",
        "hello",
        "[]",
        "null",
        '{"method":null}',
        '{"method":7}',
        '{"method":"get_balance","method":"pay_invoice"}',
        '{"method":"get_balance","params":{"a":NaN}}',
        '{"method":"make_invoice","params":{"amount":9007199254740992}}',
        '{"method":"get_balance","params":' + '{"a":' * 40 + "1" + "}" * 41,
        '{"method":"get_balance"}' + " " * 70_000,
        '{"method":"get_balance"} trailing',
    ],
)
def test_what_is_no_request_is_malformed(plaintext: str) -> None:
    assert refusal(plaintext).refused.reason is Reason.MALFORMED


def test_an_unknown_method_is_named_back_capped_and_without_control_characters() -> None:
    caught = refusal(request("open\x1b[31m_channel" + "x" * 200, {}))
    assert caught.refused.reason is Reason.UNSUPPORTED
    assert caught.to.method == ("open [31m_channel" + "x" * 200)[:64]


def test_an_invoice_of_another_network_is_refused_by_name() -> None:
    refused = refusal(request("pay_invoice", {"invoice": invoice(1000, network="signet")})).refused
    assert (refused.reason, refused.message) == (Reason.WRONG_NETWORK, "this invoice is for signet")


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


def test_the_hash_of_a_description_wins_and_times_are_clamped() -> None:
    command = decode("make_invoice", {"amount": 0, "description": "x", "description_hash": "AB" * 32, "expiry": 1})
    assert command == MakeInvoice(amount_msat=None, description_hash="ab" * 32, expiry_s=60)
    assert decode("make_invoice", {"amount": 1, "expiry": 10**9}).expiry_s == 604_800
    assert decode("make_invoice", {"description": "", "expiry": None}) == MakeInvoice(amount_msat=None)


def test_a_description_is_cut_to_what_an_invoice_can_carry() -> None:
    description = decode("make_invoice", {"amount": 1, "description": "ä\u202e" * 1000}).description
    assert description == "ä" * 319


@pytest.mark.parametrize(
    ("params", "incoming", "outgoing"),
    [
        ({}, False, False),
        ({"unpaid": None}, False, False),
        ({"unpaid": True}, True, True),
        ({"unpaid_incoming": True}, True, False),
        ({"unpaid_outgoing": True, "type": ""}, False, True),
    ],
)
def test_unpaid_records_are_asked_for_together_or_by_direction(params: object, incoming: bool, outgoing: bool) -> None:
    command = decode("list_transactions", params)
    assert (command.unpaid_incoming, command.unpaid_outgoing) == (incoming, outgoing)


def test_a_lookup_by_invoice_is_one_by_its_hash() -> None:
    expected = LookupInvoice(payment_hash=PAYMENT_HASH)
    assert decode("lookup_invoice", {"invoice": invoice(1000), "payment_hash": ""}) == expected
    assert decode("lookup_invoice", {"payment_hash": PAYMENT_HASH.upper(), "invoice": invoice(1000)}) == expected


@pytest.mark.parametrize("nothing", [None, "", [], {}])
@pytest.mark.parametrize("method", ["get_balance", "get_info", "list_transactions", "make_invoice"])
def test_params_that_say_nothing_may_be_written_in_many_ways(method: str, nothing: object) -> None:
    assert decode(method, nothing) == read(f'{{"method":"{method}"}}').command


#: As clients in PHP, Python and JavaScript write them: texts for numbers, seconds with a fraction, base64 for hex.
FORMS: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("make_invoice", {"amount": "21000", "expiry": "600"}, {"amount": 21_000, "expiry": 600}),
    (
        "make_invoice",
        {"amount": 1, "expiry": 600.0, "description": 17},
        {"amount": 1, "expiry": 600, "description": "17"},
    ),
    (
        "make_invoice",
        {"amount": 1, "description_hash": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", "metadata": []},
        {"amount": 1, "description_hash": "ab" * 32},
    ),
    (
        "lookup_invoice",
        {"payment_hash": "__________________________________________8", "invoice": None},
        {"payment_hash": "ff" * 32},
    ),
    (
        "list_transactions",
        {
            "from": 1_760_000_000.123,
            "until": "1760000100",
            "limit": "5",
            "offset": 0.0,
            "unpaid": 1,
            "type": "Incoming",
        },
        {"from": 1_760_000_000, "until": 1_760_000_100, "limit": 5, "offset": 0, "unpaid": True, "type": "incoming"},
    ),
    ("list_transactions", {"unpaid": "false", "type": None}, {}),
    (
        "pay_invoice",
        {"invoice": f" lightning:{invoice().upper()} ", "amount": "", "metadata": []},
        {"invoice": invoice()},
    ),
    (
        "pay_invoice",
        {"invoice": invoice(None), "amount": "7", "max_fee": "0"},
        {"invoice": invoice(None), "amount": 7, "max_fee": 0},
    ),
]


@pytest.mark.parametrize(("method", "written", "meant"), FORMS)
def test_a_form_that_has_one_meaning_only_is_read(
    method: str, written: dict[str, object], meant: dict[str, object]
) -> None:
    assert decode(method, written) == decode(method, meant)


SPELLINGS = st.sampled_from([(",", ":"), (", ", ": ")])
NUMBERS = st.integers(-(2**60), 2**60) | st.integers(-100, 100) | st.floats()
SCALARS = st.none() | st.booleans() | NUMBERS | st.text('aä\x00\x7f"\\/\n🪁\ud800', max_size=8)
PARAMS = st.dictionaries(st.sampled_from(["amount", "type", "a"]), SCALARS | st.lists(SCALARS, max_size=1), max_size=3)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["method", "params", "x"]), PARAMS | SCALARS), SPELLINGS, st.booleans())
def test_the_fast_reading_gives_what_the_strict_one_gives_or_nothing(
    members: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(members, separators=separators, ensure_ascii=ascii_only)
    found = read_canonical(text)
    assert found is None or found == loads_object(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"a","params":{"b":1,"b":2}}',
        '{"method":"a","method":"b","params":{}}',
        '{"method":"a","params":{},"x":1}',
        '{"method":"a","params":{"b":1.0}}',
        '{"method":"a","params":{"b":9007199254740992}}',
        '{"method":"a","params":{"b":"\\ud800"}}',
        '{"method":"a","params":{"b":"\ud800"}}',
        '{"method":"a","params":{"b":[]}}',
        '{"method":"\\u0061","params":{}}',
        '{"method":"a","params":null}',
        '{"method":"a","params":{"b":"' + "x" * 20_000 + '"}}',
        ' {"method":"a","params":{}}',
    ],
)
def test_whatever_could_be_read_in_two_ways_is_left_to_the_strict_loader(text: str) -> None:
    assert read_canonical(text) is None
    assert read_canonical('{"method":"a","params":{"b":-1,"c":"ä","d":null}}') is not None


# ---------------------------------------------------------------- responses


def test_a_payment_answers_with_preimage_and_fee_byte_for_byte() -> None:
    outcome = Paid(PAYMENT_HASH, PREIMAGE, Msat(1000), Msat(12))
    assert answer("pay_invoice", outcome) == (
        f'{{"result_type":"pay_invoice","result":{{"preimage":"{PREIMAGE}","fees_paid":12}}}}'.encode()
    )


def test_a_transaction_has_its_first_members_always_and_the_others_only_when_they_say_something() -> None:
    assert response("lookup_invoice", Found(transaction(preimage=PREIMAGE)))["result"] == {
        "type": "incoming",
        "payment_hash": PAYMENT_HASH,
        "amount": 21_000,
        "fees_paid": 0,
        "created_at": NOW,
        "state": "pending",
    }
    full = transaction(
        state=TransactionState.SETTLED,
        bolt11="lnbcrt1",
        description="tea",
        description_hash="ab" * 32,
        preimage=PREIMAGE,
        settled_at=NOW + 1,
        expires_at=NOW + 60,
        metadata='{"comment":"hi"}',
    )
    assert (
        response("make_invoice", Invoiced(full))["result"].items()
        >= {
            "state": "settled",
            "invoice": "lnbcrt1",
            "description": "tea",
            "description_hash": "ab" * 32,
            "preimage": PREIMAGE,
            "settled_at": NOW + 1,
            "expires_at": NOW + 60,
            "metadata": {"comment": "hi"},
        }.items()
    )


def test_balances_are_never_negative_and_networks_have_their_nip_47_names() -> None:
    assert response("get_balance", Balance(Msat(-5)))["result"] == {"balance": 0}
    info = Info("kite", "#3399ff", "02" * 33, "bitcoin", 800_000, "00" * 32, ("get_info",))
    assert response("get_info", info)["result"] == {
        "alias": "kite",
        "color": "#3399ff",
        "pubkey": "02" * 33,
        "network": "mainnet",
        "block_height": 800_000,
        "block_hash": "00" * 32,
        "methods": ["get_info"],
    }
    assert response("get_info", Info("", "", "", "", None, "", ("get_info",)))["result"] == {"methods": ["get_info"]}


def test_get_info_tells_the_lightning_address_of_the_account() -> None:
    info = Info("", "", "", "", None, "", ("get_info",), lud16="alice@pay.example")
    assert response("get_info", info)["result"] == {"methods": ["get_info"], "lud16": "alice@pay.example"}


def test_get_info_tells_the_extensions_of_the_methods_that_it_lists() -> None:
    may = ("get_budget", "get_info", "make_invoice")
    told = response("get_info", Info("", "", "", "", None, "", may))["result"]
    assert told == {"methods": [*may, "receive"], "extensions": ["06", "13", "321"]}
    less = response("get_info", Info("", "", "", "", None, "", may, without=frozenset({"receive"})))["result"]
    assert less == {"methods": list(may), "extensions": ["06", "13"]}


def test_get_info_tells_the_notifications_that_a_connection_gets_apart_from_its_methods() -> None:
    may = ("get_info", "make_invoice", "payment_received")
    assert response("get_info", Info("", "", "", "", None, "", may))["result"] == {
        "methods": ["get_info", "make_invoice", "receive"],
        "notifications": ["payment_received"],
        "extensions": ["02", "06", "321"],
    }


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (BudgetState(), {}),
        (
            BudgetState(Budget.total(Msat(0))),
            {"used_budget": 0, "total_budget": 0, "renewal_period": "never"},
        ),
        (
            BudgetState(Budget.rolling(Msat(9_000), 3_600), Msat(9_001), NOW),
            {"used_budget": 9_001, "total_budget": 9_000, "renewal_period": "daily", "renews_at": NOW},
        ),
    ],
)
def test_a_budget_of_nothing_is_told_as_one_and_none_as_nothing(state: BudgetState, result: dict[str, Any]) -> None:
    assert response("get_budget", state)["result"] == result


def test_a_chain_without_blocks_has_height_zero_and_says_so() -> None:
    new = Info("", "", "", "regtest", 0, "", ("get_info",))
    assert response("get_info", new)["result"] == {"network": "regtest", "block_height": 0, "methods": ["get_info"]}


def test_a_list_is_cut_where_the_largest_reply_ends() -> None:
    records = tuple(transaction(created_at=NOW - number, bolt11="x" * 1500) for number in range(50))
    plaintext = answer("list_transactions", Listed(records))
    assert plaintext is not None
    assert MAX_PLAINTEXT_BYTES - 2000 < len(plaintext) <= MAX_PLAINTEXT_BYTES
    times = [entry["created_at"] for entry in json.loads(plaintext)["result"]["transactions"]]
    assert times == [NOW - number for number in range(len(times))]
    assert response("list_transactions", Listed(()))["result"] == {"transactions": []}


def test_a_list_says_how_many_there_are_on_all_pages_where_they_were_counted() -> None:
    told = response("list_transactions", Listed((transaction(),), total=1_000))["result"]
    assert (len(told["transactions"]), told["total_count"]) == (1, 1_000)
    cut = answer("list_transactions", Listed(tuple(transaction(bolt11="x" * 1500) for _ in range(50)), total=50))
    assert cut is not None
    assert len(cut) <= MAX_PLAINTEXT_BYTES
    assert (len(json.loads(cut)["result"]["transactions"]) < 50, json.loads(cut)["result"]["total_count"]) == (True, 50)


@pytest.mark.parametrize("reason", Reason)
def test_old_clients_see_only_codes_they_know(reason: Reason) -> None:
    outcome = Refused(reason, details={"max_fee_msat": 1})
    wide, narrow = response("pay_invoice", outcome), response("pay_invoice", outcome, narrow=True)
    if WIRE.codes[reason] is None:
        assert wide is narrow is None
        return
    assert wide == {
        "result_type": "pay_invoice",
        "error": {"code": WIRE.codes[reason], "message": TABLE[reason].sentence},
        "result": None,
    }
    assert narrow["error"]["code"] in NARROW_CODES


def test_a_fee_limit_is_named_only_to_a_caller_who_set_one() -> None:
    assert response("pay_invoice", Refused(Reason.FEE_LIMIT))["error"]["code"] == "PAYMENT_FAILED"
    given_one = Refused(Reason.FEE_LIMIT, details={"max_fee_msat": 0})
    assert response("pay_invoice", given_one)["error"]["code"] == "FEE_LIMIT_EXCEEDED"


def test_a_receipt_is_no_second_response() -> None:
    assert answer("make_invoice", Received(PAYMENT_HASH, Msat(1), PREIMAGE)) is None
    assert answer("no_such_method", Balance(Msat(1))) is None


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=40))
def test_any_text_from_a_caller_makes_an_answer_that_is_json(description: str, method: str) -> None:
    description = description.encode(errors="ignore").decode()
    command = decode("make_invoice", {"amount": 1, "description": description})
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in command.description)
    made = response("make_invoice", Invoiced(transaction(description=command.description)))
    assert made["result"].get("description", "") == command.description
    json.loads(answer(method.encode(errors="ignore").decode(), Refused(Reason.MALFORMED), narrow=True) or b"")


# ---------------------------------------------------------------- the table


def test_the_rules_know_the_permission_of_every_method() -> None:
    for row in METHODS.values():
        assert PERMISSIONS[row.command] in {row.permission, None} or row.permission == KEYSEND
    assert decode("get_balance", None) == GetBalance()


def test_the_info_event_lists_what_is_granted_in_the_order_of_the_table() -> None:
    info = info_event({"list_transactions", "pay_invoice", "get_budget"}, ("nip44", "nip04"), LEGACY)
    assert (info.kind, info.content) == (kinds.NWC_INFO, "pay_invoice get_budget get_info list_transactions pay")
    assert info.tags == [["encryption", "nip44_v2 nip04"], ["extensions", "05 06 13 321"]]
    assert info_event(("get_balance",), ("nip44",)) == Draft(
        kinds.NWC_INFO, [["encryption", "nip44_v2"]], "get_balance get_info"
    )
    assert info_event((), ("nip04",)) == Draft(kinds.NWC_INFO, [], "get_info")


def test_the_info_event_lists_the_notifications_in_a_tag_and_as_one_word() -> None:
    info = info_event({"payment_sent", "get_balance", "payment_received"}, ("nip44",))
    assert info.content == "get_balance get_info notifications"
    assert info.tags[1:] == [["notifications", "payment_received payment_sent"], ["extensions", "02"]]


@pytest.mark.parametrize(
    ("setting", "nip44_seen", "tags"),
    [
        ("auto", False, [["encryption", "nip44_v2 nip04"]]),
        ("auto", True, [["encryption", "nip44_v2"]]),
        ("nip44", False, [["encryption", "nip44_v2"]]),
        ("legacy", False, []),
        ("both", True, [["encryption", "nip44_v2 nip04"]]),
    ],
)
def test_a_connection_is_announced_with_the_ciphers_that_it_may_use(
    setting: Any, nip44_seen: bool, tags: list[list[str]]
) -> None:
    grant = Grant(
        grant_id="g", name="app", wire="nwc", methods=frozenset({"get_balance"}), cipher=setting, nip44_seen=nip44_seen
    )
    assert WIRE.announces is not None
    assert WIRE.announces.write(grant, ()) == Draft(kinds.NWC_INFO, tags, "get_balance get_info")


def test_only_what_changes_nothing_is_a_question() -> None:
    questions = {"get_info", "get_balance", "get_budget", "lookup_invoice", "lookup_payment", "list_transactions"}
    assert questions == WIRE.questions


def test_every_method_that_pays_is_one_that_a_budget_of_nothing_takes_from_what_is_announced() -> None:
    assert {row.permission for row in METHODS.values() if row.command in (PayInvoice, Bundle)} == SPENDING_METHODS
    plain = Grant(grant_id="g", name="app", wire="nwc", methods=frozenset({"pay_invoice", "get_budget"}))
    empty = replace(plain, budgets=(Budget.daily(Msat(1)), Budget.total(Msat(0))))
    assert WIRE.announces is not None
    assert [WIRE.announces.write(grant, LEGACY).content for grant in (plain, empty)] == [
        "pay_invoice get_budget get_info pay",
        "get_budget get_info",
    ]
    assert WIRE.announces.write(empty, ()).tags[1:] == [["extensions", "13"]]


def test_a_method_that_the_service_is_without_is_neither_announced_nor_served() -> None:
    assert not_served({"keysend", "hold", "amountless"}) == LEGACY
    assert not_served({"keysend", "hold", "amountless", "legacy_methods", "draft_methods"}) == set()
    without = not_served(())
    assert "pay_keysend" in without
    may = {"pay_keysend", "get_balance"}
    assert [info_event(may, ("nip44",), gone).content for gone in (LEGACY, without)] == [
        "pay_keysend get_balance get_info",
        "get_balance get_info",
    ]
    assert info_event(may, ("nip44",), without).tags == [["encryption", "nip44_v2"]]
    text = request("pay_keysend", {"pubkey": KEY, "amount": 1})
    with pytest.raises(WireRefusalError) as caught:
        WIRE.read(text, event(kinds.NWC_REQUEST), TO, Facts("regtest", without=without))
    assert (caught.value.refused.reason, caught.value.to.method) == (Reason.UNSUPPORTED, "pay_keysend")


def test_get_info_tells_the_methods_by_their_names_and_none_that_the_service_is_without() -> None:
    may = ("get_info", "pay_invoice", "pay_keysend")
    told = {
        name: response("get_info", Info("", "", "", "regtest", None, "", may, without=without))["result"]
        for name, without in (("all", frozenset()), ("some", LEGACY), ("few", not_served(())))
    }
    assert told["all"]["methods"] == [
        "get_info", "multi_pay_invoice", "multi_pay_keysend", "pay", "pay_invoice", "pay_keysend",
    ]  # fmt: skip
    assert told["some"]["methods"] == ["get_info", "pay", "pay_invoice", "pay_keysend"]
    assert told["few"]["methods"] == ["get_info", "pay_invoice"]
    assert [told[name]["extensions"] for name in ("some", "few")] == [["04", "06", "321"], ["06"]]


# ---------------------------------------------------------------- keysend


def test_a_keysend_is_read_with_its_records_its_words_and_its_metadata() -> None:
    records = [{"type": 34_349_334, "value": b"thank\nyou".hex()}, {"type": "65536", "value": "00FF"}]
    params = {"pubkey": KEY.upper(), "amount": 21_000, "tlv_records": records, "max_fee": 7, "metadata": {"a": 1}}
    command = decode("pay_keysend", params)
    assert command.destination == Keysend(KEY, "", ((65_536, "00ff"), (34_349_334, b"thank\nyou".hex())))
    assert (command.payment_hash, command.amount_msat, command.max_fee_msat) == ("", 21_000, 7)
    assert command.description == "thank you"
    assert json.loads(command.metadata) == {
        "a": 1,
        "tlv_records": [{"type": 65_536, "value": "00ff"}, {"type": 34_349_334, "value": b"thank\nyou".hex()}],
    }


def test_a_keysend_may_bring_its_preimage_and_then_has_its_hash() -> None:
    command = decode("pay_keysend", {"pubkey": KEY, "amount": 1, "preimage": PREIMAGE.upper()})
    assert (command.destination, command.payment_hash) == (Keysend(KEY, PREIMAGE), PAYMENT_HASH)
    assert decode("pay_keysend", {"pubkey": KEY, "amount": 1, "preimage": ""}).payment_hash == ""


def test_metadata_that_is_too_long_with_the_records_is_kept_without_them() -> None:
    records, metadata = [{"type": 65_536, "value": "00" * 1_000}], {"comment": "x" * 3_000}
    command = decode("pay_keysend", {"pubkey": KEY, "amount": 1, "tlv_records": records, "metadata": metadata})
    assert json.loads(command.metadata) == metadata


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": None}, {"amount": 0}, {"amount": 1.5}, {"pubkey": None}, {"pubkey": KEY[2:]},
        {"pubkey": "05" + KEY[2:]}, {"preimage": "ab"}, {"tlv_records": "x"}, {"tlv_records": {}}, {"max_fee": -1},
    ],
)  # fmt: skip
def test_a_keysend_of_another_form_is_refused(wrong: dict[str, Any]) -> None:
    params = {"pubkey": KEY, "amount": 1_000} | wrong
    assert refusal(request("pay_keysend", params)).refused.reason is Reason.MALFORMED


def test_a_keysend_is_answered_as_a_payment_is() -> None:
    paid = Paid(PAYMENT_HASH, PREIMAGE, Msat(1_000), Msat(3))
    assert response("pay_keysend", paid)["result"] == {"preimage": PREIMAGE, "fees_paid": 3}
