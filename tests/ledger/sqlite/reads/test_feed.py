"""The feed, and how far its consumers have come."""

from kitestring.base.events import Missed
from kitestring.base.transactions.feed import ForgetNews
from tests.kit.ledger.plans import Plans
from tests.kit.ledger.values import NOW, answered, claim, setting, settle


async def test_a_reader_is_told_how_many_events_were_forgotten_before_what_is_left(plans: Plans) -> None:
    store, _ = plans
    await store.apply(setting())
    for name in ("a", "b"):
        await store.apply(claim(name))
        await store.apply(settle(name, 1, answered(name)))
    everything = await store.events(0, 99)
    newest = await store.last_event()
    assert [one.number for one in everything] == list(range(1, newest + 1))
    assert await store.events(newest - 1, 99) == everything[-1:]
    assert await store.position("nobody") is None
    await store.apply(ForgetNews(NOW + 1, 0))
    assert await store.events(0, 99) == [Missed(2, 2), *everything[2:]]
    assert await store.last_event() == newest
