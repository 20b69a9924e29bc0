"""What webhooks are told."""

from kitestring.base.grants import Offer, Webhook
from kitestring.base.transactions.owner import SaveOffer
from kitestring.base.webhooks import DeliveryState
from tests.kit.ledger.plans import WALK, Plans
from tests.kit.ledger.values import credit, execute, invoice, record_invoice, setting


async def test_what_waits_is_found_by_its_offer_and_no_other_delivery_is_looked_at(plans: Plans) -> None:
    store, explained = plans
    await store.apply(setting())
    hook = Webhook("https://shop.example/paid")
    for name in ("tea", "cake"):
        shop = SaveOffer(Offer(offer_id=name, label=name, account_id="alice", webhook=hook))
        await store.apply(execute(name, shop))
        await store.apply(record_invoice(name, invoice(name, grant_id="", offer_id=name)))
        await store.apply(credit(name))
    lane = await store.lane("tea")
    assert lane is not None
    assert await store.lanes() == {"tea": lane, "cake": lane}
    assert (lane.attempts, await store.lane("milk")) == (0, None)
    (due,) = await store.due_deliveries("tea", lane.next_at, 9)
    assert due == await store.delivery("inv-tea")
    assert (due.offer_id, due.state) == ("tea", DeliveryState.WAITING)
    assert [one.offer_id for one in await store.deliveries(limit=9)] == ["cake", "tea"]
    assert await store.count_waiting() == {"tea": 1, "cake": 1}
    assert await store.count_failed() == {}
    reads = [step for step in explained() if "state = 'waiting' AND" in step[0] and "deliveries" in step[1]]
    assert reads
    assert [step for step in reads if WALK.search(step[1])] == []
