from __future__ import annotations

from kitestring.base.approvals import DECIDE_WITHIN_S, GATE_S, Approval, ApprovalKind, ApprovalState


def test_a_question_is_open_when_it_is_asked_and_says_nothing_about_who_decided() -> None:
    asked = Approval(
        approval_id="a", kind=ApprovalKind.PAYMENT, wire="debits", caller="c", target="p", command=b"", asked_at=5,
        expires_at=5 + DECIDE_WITHIN_S,
    )  # fmt: skip
    assert (asked.state, asked.version, asked.decided_at, asked.decided_by) == (ApprovalState.OPEN, 1, None, "")


def test_every_open_question_counts_at_the_gate_for_as_long_as_it_may_be_open() -> None:
    assert GATE_S >= DECIDE_WITHIN_S
