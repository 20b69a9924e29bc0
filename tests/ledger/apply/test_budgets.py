"""Budgets: compared and reserved with a claim, corrected with the truth."""

from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.store import Store
from kitestring.base.transactions import (
    Claimed,
    Denied,
)
from tests.kit.ledger.values import (
    answered,
    charge,
    claim,
    fail,
    payment,
    settle,
)


async def test_a_budget_counts_reservations_and_tells_what_would_have_fitted(store: Store) -> None:
    assert await store.apply(claim("a", payment("a"), charge(1100, 2000))) == Claimed()
    denied = await store.apply(claim("b", payment("b"), charge(1100, 2000)))
    assert denied == Denied(Reason.OVER_BUDGET, Msat(900))
    assert await store.request("ask-b") is None
    await store.apply(settle("a", 10, answered("a")))
    assert await store.budget_used("app", 0) == 1010
    assert await store.apply(claim("b", payment("b", 890), charge(990, 2000))) == Claimed()
    await store.apply(fail("b", answered("b")))
    assert await store.budget_used("app", 0) == 1010


async def test_buckets_that_left_the_window_are_subtracted_and_not_corrected_any_more(store: Store) -> None:
    await store.apply(claim("a", payment("a"), charge(1100, 2000, bucket=10, oldest=5)))
    await store.apply(claim("b", payment("b", 500, 0), charge(500, 2000, bucket=11, oldest=6)))
    assert await store.budget_used("app", 6) == 1600
    assert await store.budget_used("app", 11) == 500
    assert await store.apply(claim("c", payment("c"), charge(1500, 2000, bucket=12, oldest=11))) == Claimed()
    assert await store.budget_used("app", 11) == 2000
    await store.apply(settle("a", 10, answered("a")))
    assert await store.budget_used("app", 11) == 2000
    denied = await store.apply(claim("d", payment("d"), charge(1, 2000, bucket=9, oldest=0)))
    assert denied == Denied(Reason.OVER_BUDGET, Msat(0))
