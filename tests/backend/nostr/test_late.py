"""An invoice is over when it has been late for long, by a clock that nobody can set as well."""

from __future__ import annotations

import pytest

from kitestring.backend.nostr import late
from kitestring.backend.nostr.late import OVER_S, SEEN_S, LateInvoices
from tests.kit.clock import EPOCH
from tests.kit.sdk.subscribing import SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def test_what_is_late_for_an_hour_of_the_process_is_over(clock: SteppedClock) -> None:
    invoices, expires_at = LateInvoices(clock), EPOCH - OVER_S - 1
    assert not invoices.is_over("a", expires_at)
    clock.passed += SEEN_S - 1
    assert not invoices.is_over("a", expires_at)
    clock.passed += 1
    assert invoices.is_over("a", expires_at)
    assert invoices.is_over("a", expires_at), "it stays so"
    assert not invoices.is_over("b", EPOCH), "a day is not over"
    assert not invoices.is_over("c", 0), "its end is not told"


def test_a_clock_that_is_ahead_for_a_while_ends_nothing(clock: SteppedClock) -> None:
    invoices, expires_at = LateInvoices(clock), EPOCH + 3_600
    for _ in range(3):
        clock.skew_s = 400 * 86_400
        assert not invoices.is_over("a", expires_at)
        clock.passed += SEEN_S - 1
        clock.skew_s = 0
        assert not invoices.is_over("a", expires_at)


def test_what_is_forgotten_for_want_of_room_waits_anew(clock: SteppedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "MAX_LATE", 1)
    invoices, expires_at = LateInvoices(clock), EPOCH - OVER_S - 1
    assert not invoices.is_over("a", expires_at)
    assert not invoices.is_over("b", expires_at)
    clock.passed += SEEN_S
    assert not invoices.is_over("a", expires_at)
