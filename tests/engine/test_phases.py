"""Where a payment begins: with an order, unless an earlier life may have given one, or told what became of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kitestring.engine.earlier import EarlierLife
from kitestring.engine.phases import Looking, Moving, Phase, Sending, Stored, first_phase
from tests.kit.clock import ManualClock
from tests.kit.ledger.values import payment


@pytest.mark.parametrize(
    ("is_internal", "is_old", "is_witnessed", "phase"),
    [
        (False, False, False, Sending()),
        (False, False, True, Sending()),
        (False, True, True, Looking()),
        (False, True, False, Stored()),
        (True, True, False, Moving()),
        (True, False, True, Moving()),
    ],
)
def test_a_claimed_payment_begins_with_what_an_earlier_life_may_have_done(
    is_internal: bool, is_old: bool, is_witnessed: bool, phase: Phase
) -> None:
    clock = ManualClock()
    context: Any = SimpleNamespace(earlier=EarlierLife(clock, lambda: is_witnessed))
    asked_at = clock.now() - 1 if is_old else clock.now()
    assert first_phase(context, payment("a", internal=is_internal), asked_at) == phase
