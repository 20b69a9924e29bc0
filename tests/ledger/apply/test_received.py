"""An invoice that is settled is told of in the same words and the same order, whichever way the money came."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Offer, Webhook
from kitestring.base.store import Store
from kitestring.base.transactions.owner import SaveOffer
from tests.kit.changed import replace
from tests.kit.ledger.steps import internal
from tests.kit.ledger.values import answered, credit, execute, invoice, record_invoice, settle

TEA = Offer(offer_id="tea", label="tea", account_id="alice", webhook=Webhook("https://shop.example/paid"))
WAYS: dict[str, tuple[Any, ...]] = {
    "from outside": (credit("i"),),
    "from inside": (internal("i"), settle("i", 0, answered("i"))),
}


async def told(store: Store, way: str, zap: str) -> list[FeedEvent]:
    """What becomes true of the invoice as it is settled."""
    await store.apply(execute("o", SaveOffer(TEA)))
    await store.apply(record_invoice("i", replace(invoice("i", grant_id="", offer_id="tea"), zap=zap)))
    events: list[FeedEvent] = []
    store.subscribe(lambda news: events.extend(event for event in news.events if event.subject == "inv-i"))
    for step in WAYS[way]:
        await store.apply(step)
    return events


@pytest.mark.parametrize("way", WAYS)
async def test_a_zap_is_told_of_behind_its_payment_and_the_delivery_names_the_payment(store: Store, way: str) -> None:
    received, zapped = await told(store, way, "{}")
    assert (received.kind, zapped.kind) == (EventKind.RECEIVED, EventKind.ZAPPED)
    assert replace(zapped, kind=received.kind, number=received.number) == received
    owed = await store.delivery("inv-i")
    assert owed is not None
    assert owed.event == received.number


@pytest.mark.parametrize("way", WAYS)
async def test_what_answers_no_zap_request_is_told_of_once(store: Store, way: str) -> None:
    assert [event.kind for event in await told(store, way, "")] == [EventKind.RECEIVED]
