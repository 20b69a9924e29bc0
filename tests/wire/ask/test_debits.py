"""What a requestor of debits sends, and what it makes of every answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_SATS
from kitestring.base.outcomes import Refused
from kitestring.codec import pointers
from kitestring.codec.pointers import Ndebit
from kitestring.wire.ask.debits import (
    AccessWish,
    BudgetWish,
    DebitOk,
    DebitRefusal,
    DebitWish,
    PayWish,
    Repeat,
    decode_reply,
    encode_request,
    judge_preimage,
    one_time_hint,
)
from kitestring.wire.serve.debits import WIRE
from tests.kit import vectors
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import reply_to

REPLIES = vectors.load("clink_payloads.json")["debit_reply"]
OBSERVED = [row for row in vectors.load("lightning_pub_debits.json")["replies"] if row["reply"] is not None]
K1 = "0123456789abcdef" * 4
BARE = Ndebit("ab" * 32, ("wss://relay.example.com",))
MAIN = Ndebit(BARE.pubkey, BARE.relays, "main")
SESSION = Ndebit(BARE.pubkey, BARE.relays, "atm-7", K1)
PAY = PayWish(invoice(), 21)
DAILY = Repeat(1, "day")


# ---------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("ndebit", "wish", "members"),
    [
        (MAIN, PAY, {"pointer": "main", "amount_sats": 21, "bolt11": invoice()}),
        (BARE, PAY, {"amount_sats": 21, "bolt11": invoice()}),
        (SESSION, PAY, {"pointer": "atm-7", "amount_sats": 21, "bolt11": invoice(), "k1": K1}),
        (
            BARE,
            PayWish(invoice(), 21, "order 17", want_preimage=True),
            {"amount_sats": 21, "bolt11": invoice(), "description": "order 17", "want_preimage": True},
        ),
        (
            MAIN,
            BudgetWish(50_000, Repeat(2, "month")),
            {"pointer": "main", "amount_sats": 50_000, "frequency": {"number": 2, "unit": "month"}},
        ),
        (BARE, BudgetWish(1_000, None), {"amount_sats": 1_000}),
        (MAIN, AccessWish(), {"pointer": "main"}),
        (BARE, AccessWish(), {}),
    ],
    ids=[
        "payment",
        "no pointer",
        "session",
        "all of it",
        "budget",
        "one-time budget",
        "full access",
        "no pointer, all",
    ],
)
def test_each_shape_has_its_members_and_no_other(ndebit: Ndebit, wish: DebitWish, members: dict[str, Any]) -> None:
    text = encode_request(ndebit, wish)
    assert json.loads(text) == members
    assert " " not in text.replace("order 17", "")


def test_a_session_out_of_a_published_code_is_asked_with_its_secret() -> None:
    rows = vectors.load("clink_pointers.json")["published"]
    (code,) = [row["string"] for row in rows if row["id"] == "sdk-interop-debit-k1"]
    ndebit = pointers.decode(code)
    assert isinstance(ndebit, Ndebit)
    assert json.loads(encode_request(ndebit, PAY))["k1"] == K1


@pytest.mark.parametrize("wish", [BudgetWish(5, DAILY), BudgetWish(5, None), AccessWish()])
def test_a_session_is_for_one_payment(wish: DebitWish) -> None:
    with pytest.raises(KitestringError, match="for one payment") as caught:
        encode_request(SESSION, wish)
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize("sats", [0, -1, MAX_SATS + 1])
def test_an_amount_that_no_wire_carries_is_not_asked_for(sats: int) -> None:
    for wish in (PayWish(invoice(), sats), BudgetWish(sats, DAILY)):
        with pytest.raises(KitestringError, match="whole sats"):
            encode_request(BARE, wish)


def test_words_are_cut_as_javascript_counts_and_stay_on_one_line() -> None:
    long = encode_request(BARE, PayWish(invoice(), 21, "a\n" + "🪁" * 80))
    assert json.loads(long)["description"] == "a " + "🪁" * 49


def test_periods_have_the_length_that_services_count() -> None:
    lengths = [Repeat(1, unit).seconds for unit in ("day", "week", "month")]
    assert (lengths, Repeat(3, "day").seconds) == ([86_400, 604_800, 2_592_000], 259_200)


# ---------------------------------------------------------------- replies


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case["id"])
def test_every_reply_of_the_vectors_is_read_as_it_says(case: dict[str, Any]) -> None:
    reply, parsed = decode_reply(case["payload"]), case["parsed"]
    if parsed["ok"]:
        assert reply == DebitOk(parsed.get("preimage", ""))
        return
    assert isinstance(reply, DebitRefusal)
    assert (reply.code, reply.proves_unpaid) == (parsed["code"], parsed["definite"])
    assert (reply.token, reply.range_sats) == (parsed.get("reason", ""), tuple(parsed.get("range", ())) or None)
    assert (reply.retry_at, reply.retry_in_s) == (parsed.get("retry_at"), parsed.get("retry_in_s"))
    deltas = (parsed.get("max_delta_ms"), parsed.get("actual_delta_ms"))
    assert (reply.max_delta_ms, reply.actual_delta_ms) == deltas


@pytest.mark.parametrize("row", OBSERVED, ids=[row["case"] for row in OBSERVED])
def test_every_observed_reply_of_lightning_pub_is_read(row: dict[str, Any]) -> None:
    reply, members = decode_reply(row["reply"].replace("<64 hex>", PREIMAGE)), json.loads(row["reply"])
    if members.get("res") == "ok":
        assert reply == DebitOk(PREIMAGE if members.get("preimage") else "")
    else:
        assert isinstance(reply, DebitRefusal)
        assert (reply.code, reply.text) == (members["code"], members["error"])
        assert reply.proves_unpaid == (members["code"] in {3, 5, 6})


@pytest.mark.parametrize("row", ["k1 second use", "k1 of the refused request again"])
def test_a_used_session_is_told_although_the_code_does_not_say_it(row: str) -> None:
    (text,) = [each["reply"] for each in OBSERVED if each["case"] == row]
    reply = decode_reply(text)
    assert isinstance(reply, DebitRefusal)
    assert (reply.refused.reason, reply.proves_unpaid) == (Reason.ALREADY_USED, False)


def test_a_grant_that_is_over_is_no_late_request() -> None:
    (text,) = [each["reply"] for each in OBSERVED if each["case"] == "grant expired"]
    over = decode_reply(text)
    assert isinstance(over, DebitRefusal)
    assert (over.refused.reason, over.is_stale) == (Reason.CONNECTION_ENDED, False)
    late = DebitRefusal(3, "Expired Request", actual_delta_ms=41_000)
    assert (late.refused.reason, late.is_stale) == (Reason.STALE_REQUEST, True)


def test_a_range_has_one_side_or_texts() -> None:
    reply = decode_reply('{"res":"GFY","code":"5","error":"x","range":{"max":"4000"}}')
    assert reply == DebitRefusal(5, "x", (None, 4_000))
    assert reply.refused.details == {"code": 5, "range": {"min": None, "max": 4_000}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"code":1,"error":"no"}', DebitRefusal(1, "no")),
        ('{"res":"GFY"}', DebitRefusal(None)),
        ('{"error":"no"}', DebitRefusal(None, "no")),
        ('{"res":"ok","preimage":null,"code":null,"error":""}', DebitOk()),
        ('{"res":"ok","amount_sats":300}', DebitOk(budget=BudgetWish(300, None))),
        (
            '{"res":"ok","amount_sats":"300","frequency":{"number":2,"unit":"week"}}',
            DebitOk(budget=BudgetWish(300, Repeat(2, "week"))),
        ),
        ('{"res":"ok","amount_sats":300,"frequency":{"number":1,"unit":"year"}}', DebitOk()),
        ('{"res":"ok","amount_sats":300,"frequency":"day"}', DebitOk()),
        ('{"res":"ok","amount_sats":300,"frequency":{"number":0,"unit":"day"}}', DebitOk()),
        ('{"res":"ok","amount_sats":-3}', DebitOk()),
        ('{"res":"GFY","code":4,"work_bits":20}', DebitRefusal(4, work_bits=20)),
        ('{"res":"GFY","code":4,"retry_after":"600"}', DebitRefusal(4, retry_in_s=600)),
        ('{"res":"GFY","code":77,"error":"\\u001b]0;pwned"}', DebitRefusal(77, "]0;pwned")),
    ],
)
def test_what_is_left_out_or_odd_is_no_obstacle(text: str, expected: object) -> None:
    assert decode_reply(text) == expected


@pytest.mark.parametrize(
    "text", ["", "[]", '"x"', "{}", '{"res":"maybe"}', '{"bolt11":"lnbc1"}', '{"res":"ok","code":5}',
             '{"res":"ok","preimage":"11","error":"no"}'],
)  # fmt: skip
def test_what_is_no_answer_or_contradicts_itself_proves_nothing(text: str) -> None:
    with pytest.raises(CodecError):
        decode_reply(text)


@pytest.mark.parametrize("preimage", ['"33"', '"zz"', "7", "true", "{}", '"' + "33" * 32 + '"'])
def test_a_proof_that_does_not_fit_is_false_and_not_missing(preimage: str) -> None:
    reply = decode_reply(f'{{"res":"ok","preimage":{preimage}}}')
    assert isinstance(reply, DebitOk)
    assert judge_preimage(reply.preimage, PAYMENT_HASH) == "false"


def test_a_payment_is_proven_by_its_preimage_alone() -> None:
    reply = decode_reply(f'{{"res":"ok","preimage":"{PREIMAGE.upper()}"}}')
    assert isinstance(reply, DebitOk)
    assert judge_preimage(reply.preimage, PAYMENT_HASH) == "proven"
    assert judge_preimage("", PAYMENT_HASH) == "claimed"


@pytest.mark.parametrize("token", ["invoice_in_progress", "invoice_already_paid"])
def test_an_invoice_that_is_held_may_have_been_paid_by_an_earlier_request_of_ours(token: str) -> None:
    reply = decode_reply(json.dumps({"res": "GFY", "code": 6, "error": "Invalid Request", "reason": token}))
    assert isinstance(reply, DebitRefusal)
    assert (reply.proves_unpaid, reply.refused.reason) == (False, Reason.INVOICE_TAKEN)


@pytest.mark.parametrize("code", [1, 2, 0, 7, None])
def test_other_codes_than_3_to_6_leave_the_payment_open(code: int | None) -> None:
    assert not DebitRefusal(code, "x").proves_unpaid


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.NOT_PERMITTED, Reason.NOT_PERMITTED),
        (Reason.UNAVAILABLE, Reason.UNAVAILABLE),
        (Reason.RATE_LIMITED, Reason.RATE_LIMITED),
        (Reason.OVER_BUDGET, Reason.AMOUNT_OUT_OF_RANGE),
        (Reason.MALFORMED, Reason.MALFORMED),
    ],
)
def test_the_refusals_of_our_own_service_are_read(reason: Reason, expected: Reason) -> None:
    plaintext = WIRE.answer(Refused(reason, "so it is", {"retry_after": NOW + 60}), reply_to("debits"))
    assert plaintext is not None
    reply = decode_reply(plaintext.decode())
    assert isinstance(reply, DebitRefusal)
    assert (reply.refused.reason, reply.retry_at) == (expected, NOW + 60 if reply.code == 4 else None)
    assert reply.text


def test_who_is_refused_a_budget_for_once_is_told_what_else_there_is() -> None:
    refused = DebitRefusal(6, "Invalid Request")
    assert "ask for a recurring one, or for each payment directly" in one_time_hint(BudgetWish(5, None), refused)
    for wish, reply in (
        (BudgetWish(5, DAILY), refused),
        (PAY, refused),
        (BudgetWish(5, None), DebitRefusal(1, "no")),
    ):
        assert one_time_hint(wish, reply) == ""
