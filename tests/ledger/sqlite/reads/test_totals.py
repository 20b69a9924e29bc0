"""Sums, and the point at which the ledger stands."""

from tests.kit.ledger.plans import Plans
from tests.kit.ledger.values import answered, claim, setting, settle


async def test_the_point_of_a_ledger_moves_with_what_is_written_and_the_sums_with_what_is_paid(plans: Plans) -> None:
    store, _ = plans
    await store.apply(setting())
    before, spent = await store.generation(), (await store.totals()).spent_msat
    assert await store.generation() == before
    await store.apply(claim("a"))
    await store.apply(settle("a", 10, answered("a")))
    after = await store.generation()
    assert after.ledger_id == before.ledger_id
    assert after.payments == before.payments + 1
    assert (await store.totals()).spent_msat == spent + 1010
    assert await store.stops() == []
