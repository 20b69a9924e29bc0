"""A failure that a node shows is of this attempt only if the node was seen trying, or its record changed."""

from __future__ import annotations

import pytest

from kitestring.base.money import ZERO
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.engine.evidence import Evidence

OLD, NEW = Failed("no route", attempt_at=7), Failed("no route", attempt_at=8)
TIMELESS = Failed("no route")


def verdicts(*answers: LookupAnswer) -> list[bool]:
    evidence = Evidence()
    return [evidence.proves(answer) for answer in answers]


def test_only_a_record_that_changed_or_a_node_seen_trying_proves_a_failure() -> None:
    assert verdicts(OLD, NeverSeen(9), OLD, NEW) == [False, False, False, True]
    assert verdicts(OLD, InFlight(), OLD) == [False, False, True]
    assert verdicts(Failed("no route"), Failed("expired")) == [False, False]


def test_the_first_failure_after_the_node_was_seen_trying_is_proven_at_once() -> None:
    assert verdicts(InFlight(), OLD) == [False, True]


@pytest.mark.parametrize("pair", [(OLD, TIMELESS), (TIMELESS, NEW)])
def test_a_record_without_a_time_beside_one_with_it_proves_no_change(pair: tuple[Failed, Failed]) -> None:
    assert verdicts(*pair) == [False, False]


@pytest.mark.parametrize("answer", [NeverSeen(1), Unknown("?"), Settled("11" * 32, ZERO), InFlight()])
def test_what_is_no_failure_is_never_proof_of_one(answer: LookupAnswer) -> None:
    assert verdicts(answer, answer) == [False, False]
    assert verdicts(answer, OLD) == [False, isinstance(answer, InFlight)]
