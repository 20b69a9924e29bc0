"""Requests beside those that are kept forever."""

from kitestring.base.transactions.requests import Answer, Prune
from tests.kit.ledger.plans import Plans
from tests.kit.ledger.values import (
    NOW,
    reply,
    request,
    setting,
)


async def test_forgetting_requests_does_not_walk_over_the_owners_that_are_kept_for_ever(plans: Plans) -> None:
    """A script may ask a hundred thousand times in a year, each with a key that no age refuses."""
    store, _ = plans
    await store.apply(setting())

    async def work(kept: int) -> int:
        """How many tens of instructions of SQLite a round of forgetting takes beside so many kept requests."""
        for number in range(kept):
            await store.apply(Answer(request(f"kept {number}", wire="control"), (reply(f"kept {number}"),), NOW))
        for name, at in ((f"old {kept}", NOW + 1), ("newest", NOW + 10)):
            await store.apply(Answer(request(name, sent_at=at, received_at=at), (reply(name),), at))
        steps = list[None]()
        assert store._writer is not None
        store._writer.connection.set_progress_handler(lambda: steps.append(None), 10)
        await store.apply(Prune(NOW + 10, 5))
        store._writer.connection.set_progress_handler(None, 10)
        assert await store.request(f"old {kept}") is None
        return len(steps)

    alone = await work(0)
    assert await work(200) < 1.5 * alone
