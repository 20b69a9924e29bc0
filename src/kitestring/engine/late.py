"""Tell who waits for a payment how it ended, where its own transaction could not: a crash, or closed by hand."""

from __future__ import annotations

from typing import assert_never

from kitestring.base.outcomes import Outcome
from kitestring.base.payments import Failed, State
from kitestring.base.records import Payment, Request
from kitestring.engine.answers import Answers
from kitestring.engine.outcomes import CLOSED, outcome_for, paid


async def answer_late(answers: Answers, payment: Payment, request: Request) -> None:
    """Tell a request that waits how its payment has ended."""
    outcome = _told_late(payment, request)
    if outcome is not None:
        await answers.finish(request, outcome)


def _told_late(payment: Payment, request: Request) -> Outcome | None:
    match payment.state:
        case State.SETTLED:
            return paid(payment)
        case State.FAILED:
            return outcome_for(payment, Failed(payment.evidence), request)
        case State.RESOLVED:
            return CLOSED
        case State.RECEIVED | State.REFUSED | State.ASKED | State.RESERVED | State.DISPATCHED | State.UNKNOWN:
            return None
        case _:
            assert_never(payment.state)
