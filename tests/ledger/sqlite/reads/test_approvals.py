"""What waits for the owner."""

from tests.kit.ledger.busy import BUSY
from tests.kit.ledger.plans import Plans


async def test_open_questions_are_found_among_many_that_have_ended_and_those_from_their_end(plans: Plans) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    assert [one.approval_id for one in await store.approvals(limit=9)] == ["pay-waits"]
    assert [one.approval_id for one in await store.approvals(limit=9, ended=True)] == ["pay-no", "pay-yes"]
    steps = [step for sql, step in explained() if " approvals " in sql and " LIMIT " in sql]
    walk = "SCAN approvals"  # by number from the newest on, as far as the limit
    assert sorted(steps) == [
        walk,
        "SEARCH approvals USING INDEX approvals_open (service=?)",
        "USE TEMP B-TREE FOR ORDER BY",
    ]
