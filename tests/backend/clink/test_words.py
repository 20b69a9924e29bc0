"""What the answer of a wallet to an order proves: each row of the table, for services that are known and for others."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from kitestring.backend.clink.words import AT_ONCE_S, DebitQuestion, judge
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, FailureReason, Settled, Unknown
from kitestring.wire.ask.debits import decode_reply
from tests.kit.client.debtor import OBSERVED
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE

CAP = Msat(7_000)
ORDER, AGAIN, AFTER_EXPIRY = DebitQuestion.ORDER, DebitQuestion.AGAIN, DebitQuestion.AFTER_EXPIRY
EVERY = list(itertools.product(DebitQuestion, (False, True)))


def verdict(
    answer: dict[str, Any] | str, asked: DebitQuestion = ORDER, *, is_known: bool = False, after_s: float = 1
) -> Settled | Failed | Unknown:
    reply = decode_reply(answer if isinstance(answer, str) else json.dumps(answer))
    return judge(reply, PAYMENT_HASH, CAP, asked, after_s=after_s, is_known=is_known)


def no(code: int | None, **more: object) -> dict[str, Any]:
    return {"res": "GFY", "code": code, "error": "no", **more}


@pytest.mark.parametrize(("asked", "is_known"), EVERY)
def test_the_preimage_of_the_hash_alone_means_paid(asked: DebitQuestion, is_known: bool) -> None:
    assert verdict({"res": "ok", "preimage": PREIMAGE}, asked, is_known=is_known) == Settled(PREIMAGE, CAP)
    for shown in ({}, {"preimage": ""}, {"preimage": "00" * 32}, {"preimage": PREIMAGE[:-2]}, {"preimage": 7}):
        answer = verdict({"res": "ok", **shown}, asked, is_known=is_known)
        assert isinstance(answer, Unknown), shown
        assert "says that it has paid" in answer.why


@pytest.mark.parametrize(("asked", "is_known"), EVERY)
@pytest.mark.parametrize("answer", [
    no(6, reason="invoice_in_progress"), no(6, reason="invoice_already_paid"), no(6, reason="k1_already_processed"),
    no(2, reason="invoice_in_progress"), no(2), no(None), no(99), no(0),
])  # fmt: skip
def test_what_may_be_about_a_payment_that_goes_on_is_never_a_failure(
    answer: dict[str, Any], asked: DebitQuestion, is_known: bool
) -> None:
    assert isinstance(verdict(answer, asked, is_known=is_known), Unknown)


#: answer → what it is worth: to the order, to the same again, to a new one after the expiry; of a known service in the
#: second three.
WORTH: list[tuple[dict[str, Any], str]] = [
    (no(1), "... ff."),
    (no(2, reason="payment_failed"), "... fff"),
    (no(2, reason="fee_limit"), "... fff"),
    (no(2, reason="too_late"), "... fff"),
    (no(3), "f.. ff."),
    (no(3, delta={"max_delta_ms": 30_000, "actual_delta_ms": 31_000}), "f.. f.."),
    (no(4), "f.. f.."),
    (no(5), "f.. fff"),
    (no(6), "f.. fff"),
    (no(6, reason="invoice_already_failed"), "f.f fff"),
]


@pytest.mark.parametrize(("answer", "worth"), WORTH)
def test_a_refusal_ends_a_payment_where_it_can_only_be_about_that_order(answer: dict[str, Any], worth: str) -> None:
    said = [
        "f" if isinstance(verdict(answer, asked, is_known=is_known), Failed) else "."
        for is_known in (False, True)
        for asked in DebitQuestion
    ]
    assert said == list(worth.replace(" ", ""))


def test_an_order_that_is_called_too_old_late_may_be_a_copy_of_one_that_is_carried_out() -> None:
    late = no(3, delta={"max_delta_ms": 30_000, "actual_delta_ms": 31_000})
    for is_known in (False, True):
        assert isinstance(verdict(late, after_s=AT_ONCE_S, is_known=is_known), Failed)
        assert isinstance(verdict(late, after_s=AT_ONCE_S + 0.1, is_known=is_known), Unknown)


@pytest.mark.parametrize(("answer", "reason"), [
    (no(5), FailureReason.INSUFFICIENT_FUNDS), (no(6), FailureReason.REFUSED), (no(4), FailureReason.REFUSED),
    (no(6, reason="invoice_already_failed"), FailureReason.OTHER),
])  # fmt: skip
def test_a_failure_has_the_words_of_the_wallet_and_a_reason(answer: dict[str, Any], reason: FailureReason) -> None:
    failed = verdict(answer)
    assert isinstance(failed, Failed)
    assert failed.reason is reason
    assert f"code {answer['code']} (no)" in failed.evidence
    assert verdict(no(6), AFTER_EXPIRY, is_known=True) == Failed(
        "the wallet answered with code 6 (no)", FailureReason.EXPIRED
    )


@pytest.mark.parametrize("case", [case for case, text in OBSERVED.items() if text])
def test_what_lightning_pub_says_is_a_failure_by_3_to_6_alone(case: str) -> None:
    text = (OBSERVED[case] or "").replace("<64 hex>", PREIMAGE)
    members = json.loads(text)
    found = verdict(text)
    if members.get("res") == "ok":
        assert isinstance(found, Settled if members.get("preimage") else Unknown)
    else:
        assert isinstance(found, Failed if members["code"] in {3, 4, 5, 6} else Unknown)
