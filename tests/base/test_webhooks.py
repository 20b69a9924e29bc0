"""The rule of a delivery: pauses that grow, a day in all, and what an answer means for it."""

from __future__ import annotations

import pytest

from kitestring.base.webhooks import (
    GIVE_UP_S,
    MAX_STATUS_CHARS,
    PAUSES_S,
    DeliveryState,
    WebhookAnswer,
    WebhookDelivery,
    after,
)
from tests.kit.clock import NOW

OWED = WebhookDelivery(invoice_id="i", offer_id="tea", creator="", event=1, created_at=NOW)
NO = WebhookAnswer(DeliveryState.WAITING, "HTTP status 500")


def test_a_receiver_that_never_takes_it_is_asked_thirty_times_in_a_day_and_then_no_more() -> None:
    delivery, now, pauses = OWED, NOW, []
    while delivery.state is DeliveryState.WAITING:
        delivery = after(delivery, NO, now)
        pauses.append(delivery.next_at - now)
        now = delivery.next_at
    assert tuple(pauses[: len(PAUSES_S)]) == PAUSES_S
    assert set(pauses[len(PAUSES_S) :]) == {PAUSES_S[-1]}
    assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, len(pauses))
    assert 25 <= delivery.attempts <= 35
    assert delivery.tried_since == NOW
    assert delivery.ended_at is not None
    assert GIVE_UP_S <= delivery.ended_at - NOW <= GIVE_UP_S + PAUSES_S[-1]


def test_a_service_that_was_away_for_longer_than_a_day_tries_once_more() -> None:
    """The day begins with the first attempt, and ends after one."""
    late = after(OWED, NO, NOW + 3 * GIVE_UP_S)
    assert (late.state, late.tried_since) == (DeliveryState.WAITING, NOW + 3 * GIVE_UP_S)
    assert after(late, NO, NOW + 5 * GIVE_UP_S).state is DeliveryState.FAILED
    assert after(late, WebhookAnswer(DeliveryState.DELIVERED, ""), NOW + 5 * GIVE_UP_S).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.FAILED])
def test_an_answer_that_ends_it_ends_it_at_the_first_attempt(state: DeliveryState) -> None:
    done = after(OWED, WebhookAnswer(state, "x" * 1_000), NOW + 3)
    assert (done.state, done.attempts, done.ended_at) == (state, 1, NOW + 3)
    assert len(done.status) == MAX_STATUS_CHARS
