"""The service and the client read what the other writes, and the vectors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import (
    AnyCommand,
    GetBalance,
    ListTransactions,
    PayInvoice,
)
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import CodecError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    BudgetState,
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
from kitestring.wire.ask.nwc.methods import decode_response, encode_request
from kitestring.wire.envelope import MAX_REPLY_BYTES
from kitestring.wire.grammar import Facts
from kitestring.wire.serve.nwc import WIRE
from kitestring.wire.serve.nwc.table import METHODS
from tests.kit import vectors
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.asked import COMMANDS, EXTENSIONS, ROW
from tests.kit.wire.samples import event, reply_to, transaction

VECTORS = vectors.load("nwc_payloads.json")
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


@pytest.mark.parametrize("plaintext", ["{}", '{"result":null,"error":null}', '{"result":[]}', '{"result":{}}', "[]"])
def test_a_response_without_result_or_error_is_not_read(plaintext: str) -> None:
    with pytest.raises(CodecError):
        decode_response(plaintext, GetBalance())


def test_a_long_reply_with_numbers_that_nothing_can_hold_is_read() -> None:
    rows = [{**ROW, "description": "x" * 500, "metadata": {"id": 2**70}, "settled_at": 2**70} for _ in range(150)]
    text = json.dumps({"result": {"transactions": rows}})
    assert len(text) > 2 * 65_536 * 0.7
    outcome = decode_response(text, ListTransactions())
    assert isinstance(outcome, Listed)
    assert len(outcome.transactions) == 150
    with pytest.raises(CodecError, match="larger than"):
        decode_response(json.dumps({"result": {}, "x": "x" * MAX_REPLY_BYTES}), GetBalance())


def test_the_service_announces_every_extension_that_the_client_asks_for() -> None:
    assert EXTENSIONS
    assert all(number in METHODS[name].extensions for name, number in EXTENSIONS.items() if number)
