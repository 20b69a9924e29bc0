"""The offers of one maker."""

from kitestring.base.store import OffersOf
from kitestring.base.transactions.owner import SaveGrant
from tests.kit.ledger.managing import APP, GRANT, LINK, manages, offer
from tests.kit.ledger.plans import WALK, Plans
from tests.kit.ledger.values import NOW, execute, setting


async def test_a_makers_offers_are_paged_from_the_newest_on_and_no_others_are_looked_at(plans: Plans) -> None:
    store, explained = plans
    await store.apply(setting())
    await store.apply(execute("link", SaveGrant(LINK), SaveGrant(GRANT)))
    for number in range(5):
        await store.apply(manages(f"m{number}", offer(f"o{number}", created_at=NOW + number)))
    app = OffersOf(LINK.pointer_id, APP)
    first = await store.offers_of(app, limit=3)
    rest = await store.offers_of(app, before=first[-1], limit=3)
    assert [one.offer_id for one in first + rest] == ["o4", "o3", "o2", "o1", "o0"]
    assert await store.count_offers(LINK.pointer_id, APP) == await store.count_offers(LINK.pointer_id) == 5
    assert await store.count_offers(LINK.pointer_id, "another") == 0
    reads = [step for step in explained() if "LIMIT" in step[0] and "offers_by" in step[0]]
    assert reads
    assert [step for step in reads if WALK.search(step[1])] == []
