"""Texts become commands: each method of the vectors, forms that clients write, and what is no request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.commands import ListTransactions, LookupInvoice, MakeInvoice, PayInvoice
from kitestring.base.destinations import invoice_text
from kitestring.base.errors import Reason
from kitestring.codec.json import loads_object
from kitestring.wire.serve.nwc.requests import read_canonical
from tests.kit import vectors
from tests.kit.codec.invoices import invoice
from tests.kit.wire.nwc import TO, decode, read, refusal, request, response

VECTORS = vectors.load("nwc_payloads.json")


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
