from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import Debit, PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Granted, Outcome, Paid, Received, Refused
from kitestring.nostr import kinds
from kitestring.wire.grammar import Asked, Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.reply_to import thaw
from kitestring.wire.serve.debits import LONGEST_S, TOKENS, WIRE
from tests.kit import vectors
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import event, reply_to

CASES = vectors.load("clink_payloads.json")["debit_request"]
REPLIES = {case["id"]: case for case in vectors.load("clink_payloads.json")["debit_reply"]}
VERSION = ["clink_version", "1"]
TO = reply_to("debits")
DAY_S, WEEK_S, MONTH_S = 86_400, 604_800, 2_592_000
K1 = "0f" * 32


def asked(payload: object, network: str = "regtest") -> Asked:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return WIRE.read(text, event(kinds.DEBIT, VERSION), TO, Facts(network))


def command(payload: object, network: str = "regtest") -> Debit:
    found = asked(payload, network).command
    assert isinstance(found, Debit)
    return found


def refusal(payload: object, *tags: list[str], network: str = "regtest") -> Refused:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    with pytest.raises(WireRefusalError) as caught:
        WIRE.read(text, event(kinds.DEBIT, *(tags or (VERSION,))), TO, Facts(network))
    assert caught.value.to == TO
    return caught.value.refused


def told(outcome: Outcome, want_preimage: bool = False) -> bytes | None:
    return WIRE.answer(outcome, asked({"want_preimage": want_preimage}).to)


def reply(payload: object, *tags: list[str], network: str = "regtest") -> Any:
    return json.loads(WIRE.answer(refusal(payload, *tags, network=network), TO) or b"")


# ------------------------------------------------------------ requests


def shape(found: Debit) -> str:
    if found.payment is not None:
        return "direct"
    if found.budget is None:
        return "full"
    return "one_time" if found.budget.period == "never" else "budget"


@pytest.mark.parametrize("case", [case for case in CASES if "parsed" in case], ids=lambda case: case["id"])
def test_what_the_vectors_read_is_read_in_the_same_way(case: dict[str, Any]) -> None:
    parsed, found = case["parsed"], asked(case["payload"], "bitcoin")
    debit = found.command
    assert isinstance(debit, Debit)
    assert (shape(debit), debit.pointer_id, debit.k1) == (
        parsed["shape"], parsed.get("pointer", ""), parsed.get("k1", ""),
    )  # fmt: skip
    assert (found.target, found.to) == (debit.pointer_id, TO)
    if debit.payment is not None:
        assert debit.payment.destination == Bolt11(parsed["bolt11"], amountless=case["id"].startswith("amountless"))
        assert debit.payment.amount_msat == sat(parsed.get("amount_sats", 250_000))
    if debit.budget is not None:
        assert debit.budget.limit_msat == sat(parsed["amount_sats"])


@pytest.mark.parametrize("case", [case for case in CASES if "code" in case], ids=lambda case: case["id"])
def test_what_the_vectors_refuse_has_their_code(case: dict[str, Any]) -> None:
    answer = reply(case["payload"], network="bitcoin")
    assert (answer["res"], answer["code"]) == ("GFY", case["code"])


def test_a_payment_is_read_with_everything_that_decides_about_it() -> None:
    text = invoice(21_000)
    members = {"pointer": "till", "bolt11": text, "amount_sats": 21, "k1": K1, "description": "order 17"}
    assert command(members) == Debit(
        pointer_id="till",
        payment=PayInvoice(
            destination=Bolt11(text, amountless=False), payment_hash=PAYMENT_HASH, amount_msat=Msat(21_000),
            network="regtest", expires_at=NOW + 3_600, description="tea",
        ),
        k1=K1, description="order 17",
    )  # fmt: skip


def test_an_invoice_that_has_expired_is_left_to_those_who_know_whether_it_was_paid() -> None:
    found = command({"bolt11": invoice(at=NOW - 9_000)})
    assert found.payment is not None
    assert found.payment.expires_at < NOW


def test_an_invoice_without_an_amount_is_paid_with_that_of_the_request() -> None:
    found = command({"bolt11": invoice(None), "amount_sats": "21"})
    assert found.payment is not None
    assert found.payment.amount_msat == 21_000
    assert found.payment.destination == Bolt11(invoice(None), amountless=True)
    assert reply({"bolt11": invoice(None)})["code"] == 6


@pytest.mark.parametrize(("amount_msat", "sats"), [(1_500, 1), (1_500, 2), (500, 1), (1_000, 1), (1_000, None)])
def test_either_rounding_of_an_invoice_in_parts_of_a_sat_is_its_amount(amount_msat: int, sats: int | None) -> None:
    found = command({"bolt11": invoice(amount_msat), "amount_sats": sats})
    assert found.payment is not None
    assert found.payment.amount_msat == amount_msat


@pytest.mark.parametrize(
    ("amount_msat", "sats", "low", "high"), [(1_500, 3, 1, 2), (21_000, 20, 21, 21), (21_000, 22, 21, 21)]
)
def test_another_amount_than_that_of_the_invoice_is_told_the_right_one(
    amount_msat: int, sats: int, low: int, high: int
) -> None:
    answer = reply({"bolt11": invoice(amount_msat), "amount_sats": sats})
    assert (answer["code"], answer["range"]) == (5, {"min": low, "max": high})


@pytest.mark.parametrize(
    ("number", "unit", "length_s"),
    [(1, "day", DAY_S), (3, "day", 3 * DAY_S), (1, "week", WEEK_S), (2, "week", 2 * WEEK_S), (1, "month", MONTH_S),
     (12, "month", 12 * MONTH_S), (3_650, "day", LONGEST_S)],
)  # fmt: skip
def test_a_recurring_budget_counts_the_last_days(number: int, unit: str, length_s: int) -> None:
    found = command({"pointer": "p", "amount_sats": 5_000, "frequency": {"number": number, "unit": unit}})
    assert found == Debit(pointer_id="p", budget=Budget(sat(5_000), "rolling", length_s))


@pytest.mark.parametrize("frequency", [{"number": 3_651, "unit": "day"}, {"number": 2**53 - 1, "unit": "month"}])
def test_a_period_of_more_than_ten_years_never_ends(frequency: dict[str, object]) -> None:
    assert command({"amount_sats": 5, "frequency": frequency}).budget == Budget(sat(5), "never")


def test_an_amount_alone_is_a_budget_that_does_not_come_back() -> None:
    assert command({"amount_sats": 1_000}) == Debit(pointer_id="", budget=Budget(sat(1_000), "never"))


@pytest.mark.parametrize("payload", [{}, {"pointer": None, "amount_sats": None, "bolt11": None, "frequency": None}])
def test_a_request_with_none_of_them_asks_for_everything(payload: dict[str, object]) -> None:
    assert command(payload) == Debit(pointer_id="")


def test_members_that_are_new_here_are_passed_over_and_invoices_are_read_as_people_write_them() -> None:
    assert command({"amount_sats": "21", "new": [1]}).budget == Budget(sat(21), "never")
    found = command({"bolt11": f"lightning:{invoice(1000).upper()}"}).payment
    assert found is not None
    assert found.destination == Bolt11(invoice(1000), amountless=False)


@pytest.mark.parametrize(
    ("said", "kept"),
    [("x" * 300, "x" * 100), ("é" * 101, "é" * 100), ("\U0001f3ba" * 60, "\U0001f3ba" * 50),
     ("a" + "\U0001f3ba" * 60, "a" + "\U0001f3ba" * 49), ("a\nb\u202ec", "a bc")],
)  # fmt: skip
def test_the_callers_words_are_cleaned_and_cut_as_javascript_counts_them(said: str, kept: str) -> None:
    assert command({"description": said}).description == kept


def test_a_caller_may_want_the_preimage_of_a_payment_inside_this_service_too() -> None:
    wanted = [asked({"bolt11": invoice(), "want_preimage": want}).to for want in (True, False, "true", 1, None)]
    assert [to == TO for to in wanted] == [False, True, True, True, True]


@pytest.mark.parametrize(
    "members",
    [
        {"amount_sats": -1},
        {"amount_sats": 0},
        {"amount_sats": 1.0},
        {"amount_sats": True},
        {"amount_sats": "0"},
        {"amount_sats": "1.5"},
        {"amount_sats": 3 * 10**15},
        {"pointer": "x" * 256},
        {"description": 7},
        {"k1": "ab" * 32},
        {"k1": "ab" * 32, "amount_sats": 5},
        {"k1": 5, "bolt11": invoice(1000)},
        {"k1": "AB" * 32, "bolt11": invoice(1000)},
        {"k1": "ab" * 31, "bolt11": invoice(1000)},
        {"k1": "", "bolt11": invoice(1000)},
        {"bolt11": 5},
        {"bolt11": ""},
        {"bolt11": invoice(1000)[:-1] + "q"},
        {"bolt11": invoice(None)},
        {"bolt11": invoice(1000, network="signet")},
        {"bolt11": invoice(1000), "frequency": {"number": 1, "unit": "day"}},
        {"frequency": {"number": 1, "unit": "day"}},
        {"amount_sats": 5, "frequency": "monthly"},
        {"amount_sats": 5, "frequency": {"unit": "day"}},
        {"amount_sats": 5, "frequency": {"number": 0, "unit": "day"}},
        {"amount_sats": 5, "frequency": {"number": True, "unit": "day"}},
        {"amount_sats": 5, "frequency": {"number": 1.0, "unit": "day"}},
        {"amount_sats": 5, "frequency": {"number": 1, "unit": ["day"]}},
        {"amount_sats": 5, "frequency": {"number": 1, "unit": "year"}},
        {"amount_sats": 5, "frequency": {"number": 1, "unit": "day"}, "k1": "ab" * 32},
    ],
)
def test_bad_members_are_an_invalid_request(members: dict[str, object]) -> None:
    answer = reply(members)
    assert answer["code"] == 6
    assert answer["error"].startswith("Invalid Request: ")


@pytest.mark.parametrize("text", ["", "x", '"x"', "[]", "null", "{", '{"pointer":"a","pointer":"b"}'])
def test_a_text_that_is_no_json_object_is_an_invalid_request(text: str) -> None:
    assert reply(text)["code"] == 6


@pytest.mark.parametrize("tags", [[["x"]], [["clink_version", "2"]], [["clink_version"]]], ids=str)
def test_a_request_without_version_1_is_invalid_also_where_offers_of_2024_are_served(tags: list[list[str]]) -> None:
    assert reply('{"amount_sats":21}', *tags)["code"] == 6


# ------------------------------------------------------------ answers

LIGHTNING = Paid(PAYMENT_HASH, PREIMAGE, Msat(21_000), Msat(3))
INTERNAL = Paid(PAYMENT_HASH, PREIMAGE, Msat(21_000), Msat(0), internal=True)


def test_a_payment_over_lightning_is_answered_with_its_preimage() -> None:
    expected = f'{{"res":"ok","preimage":"{PREIMAGE}"}}'.encode()
    assert told(LIGHTNING) == told(LIGHTNING, want_preimage=True) == expected
    assert json.loads(expected).keys() == json.loads(REPLIES["paid"]["payload"]).keys()


def test_a_payment_inside_this_service_is_answered_without_one() -> None:
    assert told(INTERNAL) == b'{"res":"ok"}' == REPLIES["internal"]["payload"].encode()


def test_a_caller_who_wants_it_gets_the_preimage_of_a_payment_inside_this_service_where_it_is_known() -> None:
    assert told(INTERNAL, want_preimage=True) == told(LIGHTNING)
    unknown = Paid(PAYMENT_HASH, "", Msat(21_000), Msat(0), internal=True)
    assert told(unknown, want_preimage=True) == b'{"res":"ok"}'


def test_a_preimage_is_wanted_also_in_an_answer_that_is_made_after_a_restart() -> None:
    to = asked({"bolt11": invoice(), "want_preimage": True}).to
    assert WIRE.answer(INTERNAL, thaw(to.freeze())) == told(LIGHTNING)


def test_a_budget_that_was_given_as_asked_is_answered_without_a_word_more() -> None:
    assert told(Granted()) == b'{"res":"ok"}'


@pytest.mark.parametrize(
    ("budget", "members"),
    [
        (Budget.total(sat(500)), '"amount_sats":500'),
        (Budget.total(Msat(1_999)), '"amount_sats":1'),
        (Budget.rolling(sat(5), DAY_S), '"amount_sats":5,"frequency":{"number":1,"unit":"day"}'),
        (Budget.rolling(sat(5), 10 * DAY_S), '"amount_sats":5,"frequency":{"number":10,"unit":"day"}'),
        (Budget.rolling(sat(5), 2 * WEEK_S), '"amount_sats":5,"frequency":{"number":2,"unit":"week"}'),
        (Budget.rolling(sat(5), 3 * MONTH_S), '"amount_sats":5,"frequency":{"number":3,"unit":"month"}'),
        (Budget.rolling(sat(5), 3_600), '"amount_sats":5,"frequency":{"number":1,"unit":"day"}'),
        (Budget.rolling(sat(5), DAY_S + 1), '"amount_sats":5,"frequency":{"number":2,"unit":"day"}'),
        (Budget.daily(sat(5)), '"amount_sats":5,"frequency":{"number":1,"unit":"day"}'),
        (Budget.weekly(sat(5)), '"amount_sats":5,"frequency":{"number":1,"unit":"week"}'),
        (Budget.monthly(sat(5)), '"amount_sats":5,"frequency":{"number":1,"unit":"month"}'),
        (Budget.yearly(sat(5)), '"amount_sats":5,"frequency":{"number":12,"unit":"month"}'),
    ],
)
def test_a_smaller_budget_than_was_asked_for_is_told_and_never_as_more_than_it_is(budget: Budget, members: str) -> None:
    assert told(Granted(budget)) == f'{{"res":"ok",{members}}}'.encode()


def test_nothing_else_is_an_answer_here() -> None:
    assert told(Received(PAYMENT_HASH, Msat(1), PREIMAGE)) is None


# ------------------------------------------------------------ refusals

RANGE = {"min": 1, "max": 4_000}
DELTA = {"max_delta_ms": 30_000, "actual_delta_ms": 41_000}
LATER = {"retry_after": NOW + 60}
#: Every code with the members of the specification.
EXACT = {
    "denied": (Refused(Reason.NOT_PERMITTED), '1,"error":"Request Denied: this is not permitted"'),
    "ended": (
        Refused(Reason.CONNECTION_ENDED),
        '1,"error":"Request Denied: the connection has expired or was revoked"',
    ),
    "node": (Refused(Reason.UNAVAILABLE, "the node is away"), '2,"error":"Temporary Failure: the node is away"'),
    "failed": (
        Refused(Reason.PAYMENT_FAILED, "no route"),
        '2,"error":"Temporary Failure: no route","reason":"payment_failed"',
    ),
    "late": (
        Refused(Reason.PAYMENT_FAILED, "not sent in time", {"reason": "too_late"}),
        '2,"error":"Temporary Failure: not sent in time","reason":"too_late"',
    ),
    "fee": (
        Refused(Reason.FEE_LIMIT),
        '2,"error":"Temporary Failure: no route within the fee limit","reason":"fee_limit"',
    ),
    "undecided": (
        Refused(Reason.UNDECIDED),
        '2,"error":"Temporary Failure: the owner was asked and has not decided in time"',
    ),
    "stale": (
        Refused(Reason.STALE_REQUEST, "too old", {"delta": DELTA, "range": RANGE}),
        '3,"error":"Expired Request: too old","delta":{"max_delta_ms":30000,"actual_delta_ms":41000}',
    ),
    "limited": (
        Refused(Reason.RATE_LIMITED, "later", {**LATER, "reason": "x"}),
        f'4,"error":"Rate Limited: later","retry_after":{NOW + 60}',
    ),
    "range": (
        Refused(Reason.AMOUNT_OUT_OF_RANGE, "no", {"range": RANGE}),
        '5,"error":"Invalid Amount: no","range":{"min":1,"max":4000}',
    ),
    "budget": (
        Refused(Reason.OVER_BUDGET, "no", {"range": RANGE, "limit_msat": 9}),
        '5,"error":"Invalid Amount: no","range":{"min":1,"max":4000}',
    ),
    "never": (Refused(Reason.OVER_BUDGET, "no"), '5,"error":"Invalid Amount: no"'),
    "poor": (
        Refused(Reason.INSUFFICIENT_FUNDS, "no", {"remaining_msat": 5_000, "range": RANGE}),
        '5,"error":"Invalid Amount: no"',
    ),
    "used": (
        Refused(Reason.ALREADY_USED, "used"),
        '6,"error":"Invalid Request: used","reason":"k1_already_processed"',
    ),
    "taken": (
        Refused(Reason.INVOICE_TAKEN, "no", {"reason": "invoice_already_paid"}),
        '6,"error":"Invalid Request: no","reason":"invoice_already_paid"',
    ),
    "expired": (Refused(Reason.EXPIRED_INVOICE, "too late"), '6,"error":"Invalid Request: too late"'),
    "malformed": (Refused(Reason.MALFORMED, "what?"), '6,"error":"Invalid Request: what?"'),
}


@pytest.mark.parametrize("case", EXACT)
def test_every_code_is_told_with_its_members_and_no_others(case: str) -> None:
    refused, expected = EXACT[case]
    assert WIRE.answer(refused, TO) == f'{{"res":"GFY","code":{expected}}}'.encode()


def test_every_code_of_the_specification_is_among_them() -> None:
    codes = {json.loads(WIRE.answer(refused, TO) or b"")["code"] for refused, _ in EXACT.values()}
    assert codes == {1, 2, 3, 4, 5, 6}


def test_nobody_finds_out_by_asking_which_pointers_there_are() -> None:
    reasons = (Reason.UNKNOWN_TARGET, Reason.NOT_PERMITTED, Reason.UNKNOWN_CALLER)
    assert len({WIRE.answer(Refused(reason, f"{reason}"), TO) for reason in reasons}) == 1


def test_a_reason_may_stand_beside_a_denial() -> None:
    refused = Refused(Reason.NOT_PERMITTED, details={"reason": "superseded"})
    assert json.loads(WIRE.answer(refused, TO) or b"")["reason"] == "superseded"


def test_a_word_for_a_reason_belongs_to_a_code_that_says_it() -> None:
    assert {WIRE.codes[reason] for reason in TOKENS} == {2, 6}


def test_while_a_payment_is_under_way_nothing_is_said() -> None:
    assert WIRE.answer(Refused(Reason.PAYMENT_IN_FLIGHT), TO) is None
