"""What webhooks are owed is written with the settlement, once, bounded, and forgotten after its event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kitestring.base.errors import Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Grant, Offer, OfferState, Webhook
from kitestring.base.store import Store
from kitestring.base.transactions.answers import Claimed, Denied, Done, More
from kitestring.base.transactions.feed import Committed, ForgetNews, NoteAttempt
from kitestring.base.transactions.owner import Execute, SaveGrant, SaveOffer, SendAgain
from kitestring.base.webhooks import (
    ALARM_AGAIN_S,
    KEEP_FAILED_S,
    PAUSES_S,
    DeliveryState,
    WebhookAnswer,
    WebhookDelivery,
    WebhookLane,
    after,
)
from kitestring.ledger.apply import webhooks
from kitestring.ledger.apply.webhooks import TOO_MANY
from kitestring.ledger.audit.checks import audit
from tests.kit.changed import replace
from tests.kit.ledger.steps import internal
from tests.kit.ledger.values import NOW, SERVICE, answered, credit, execute, invoice, record_invoice, settle

HOOK = Webhook("https://shop.example/paid")
DAY = 86_400
#: An app that makes offers, and may.
MAKER = Grant(grant_id="maker", name="app", wire="manage", caller="c" * 64, account_id="alice", pointer_id="p")
NO = WebhookAnswer(DeliveryState.WAITING, "HTTP status 500")
GONE = WebhookAnswer(DeliveryState.FAILED, "HTTP status 410")
TAKEN = WebhookAnswer(DeliveryState.DELIVERED, "HTTP status 204")


def offer(name: str = "tea", webhook: Webhook | None = HOOK, **more: Any) -> SaveOffer:
    return SaveOffer(Offer(offer_id=name, label=name, account_id="alice", webhook=webhook, **more))


async def write(store: Store, key: str, *writes: Any) -> object:
    return await store.apply(execute(key, *writes))


async def ask(store: Store, name: str, offer_id: str = "tea") -> None:
    made = invoice(name, grant_id="", offer_id=offer_id)
    assert await store.apply(record_invoice(name, made)) == Claimed()


async def sell(store: Store, name: str, offer_id: str = "tea") -> WebhookDelivery | None:
    await ask(store, name, offer_id)
    await store.apply(credit(name))
    return await store.delivery(f"inv-{name}")


async def note(store: Store, name: str, attempt: WebhookAnswer, now: int = NOW + 5, why: str = "") -> WebhookDelivery:
    before = await store.delivery(f"inv-{name}")
    assert before is not None
    assert await store.apply(NoteAttempt(after(before, attempt, now), now, why)) == Done()
    found = await store.delivery(f"inv-{name}")
    assert found is not None
    return found


async def alarms(store: Store) -> list[str]:
    return [alarm.detail for alarm in await store.alarms(0, 100)]


async def test_a_settled_invoice_of_an_offer_with_a_webhook_is_owed_once_and_the_news_say_so(store: Store) -> None:
    await write(store, "o", offer())
    heard: list[Committed] = []
    store.subscribe(heard.append)
    owed = await sell(store, "i")
    event = await store.last_event()
    assert owed == WebhookDelivery(invoice_id="inv-i", offer_id="tea", creator="", event=event, created_at=NOW + 2)
    assert [news.webhooks for news in heard if news.webhooks] == [("tea",)]
    await store.apply(credit("i"))
    assert await store.deliveries(limit=9) == [owed]
    assert await store.lanes() == {"tea": WebhookLane(0, 0)}
    assert await store.count_waiting() == {"tea": 1}


async def test_a_payment_inside_the_service_is_owed_as_well_and_its_surplus_is_not(store: Store) -> None:
    await write(store, "o", offer())
    await ask(store, "i")
    await store.apply(internal("i"))
    assert await store.delivery("inv-i") is None
    await store.apply(settle("i", 0, answered("i")))
    owed = await store.delivery("inv-i")
    assert owed is not None
    await store.apply(credit("i"))
    assert await store.deliveries(limit=9) == [owed]


async def test_without_a_webhook_at_the_settlement_nobody_is_owed(store: Store, ledger: Path) -> None:
    await write(store, "o", offer(webhook=None), offer("cake"))
    assert await sell(store, "i") is None
    assert await sell(store, "none", "") is None
    await ask(store, "late")
    await write(store, "off", offer("cake", None))
    assert await sell(store, "j", "cake") is None
    await write(store, "on", offer(), offer("cake"))
    assert audit(ledger, SERVICE) == []  # what was sold before it had one is owed nothing
    await store.apply(credit("late"))
    assert await store.delivery("inv-late") is not None


async def test_of_an_offer_that_is_gone_the_invoices_that_were_given_out_are_still_told(store: Store) -> None:
    await write(store, "o", offer())
    await ask(store, "i")
    await write(store, "gone", offer(state=OfferState.DELETED))
    await store.apply(credit("i"))
    assert await store.delivery("inv-i") is not None


async def test_beyond_what_may_wait_a_payment_is_not_told_but_seen_and_alarmed_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MAX_WAITING", 2)
    await write(store, "o", offer(), offer("cake"))
    sold = [await sell(store, name) for name in ("i", "j", "k", "l")]
    assert [one.state.value for one in sold if one] == ["waiting", "waiting", "failed", "failed"]
    assert [one.status for one in sold if one] == ["", "", TOO_MANY, TOO_MANY]
    assert await alarms(store) == [f"the webhook of offer tea is not told of a payment: {TOO_MANY}"]
    other = await sell(store, "m", "cake")
    assert other is not None
    assert other.state is DeliveryState.WAITING
    assert await store.count_failed() == {"tea": 2}
    await note(store, "i", TAKEN)
    again = await sell(store, "n")
    assert again is not None
    assert again.state is DeliveryState.WAITING


async def test_all_offers_of_one_app_share_one_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_WAITING_OF_CREATOR", 2)
    apps: dict[str, Any] = {"creator": MAKER.caller, "pointer_id": "p"}
    await write(store, "o", SaveGrant(MAKER), offer("a", **apps), offer("b", **apps), offer("c"))
    sold = [await sell(store, f"{name}{n}", name) for n in range(2) for name in ("a", "b", "c")]
    assert [one.state.value for one in sold if one] == ["waiting"] * 3 + ["failed", "failed", "waiting"]


async def test_what_came_of_an_attempt_counts_once(store: Store) -> None:
    await write(store, "o", offer())
    owed = await sell(store, "i")
    assert owed is not None
    tried = await note(store, "i", NO)
    assert (tried.attempts, tried.next_at, tried.status) == (1, NOW + 5 + PAUSES_S[0], "HTTP status 500")
    assert await store.due_deliveries("tea", NOW + 5, 9) == []
    assert await store.due_deliveries("tea", tried.next_at, 9) == [tried]
    await store.apply(NoteAttempt(after(owed, GONE, NOW + 6), NOW + 6))  # of an attempt that is old news
    assert await store.delivery("inv-i") == tried
    done = await note(store, "i", TAKEN)
    assert (done.state, done.ended_at) == (DeliveryState.DELIVERED, NOW + 5)
    assert await store.lanes() == {}
    assert await store.lane("tea") is None


async def test_a_clock_that_steps_back_keeps_nobody_waiting(store: Store) -> None:
    await write(store, "o", offer())
    await sell(store, "i")
    ahead = await note(store, "i", NO, NOW + 400 * DAY)
    assert await store.due_deliveries("tea", NOW, 9) == [ahead]


async def test_failures_of_one_offer_are_alarmed_once_a_day(store: Store) -> None:
    await write(store, "o", offer(), offer("cake"))
    for name, offer_id in (("i", "tea"), ("j", "tea"), ("k", "cake"), ("l", "tea")):
        await sell(store, name, offer_id)
    await note(store, "i", GONE, NOW + 5, "first")
    await note(store, "j", GONE, NOW + 6, "second")
    await note(store, "k", GONE, NOW + 7, "another offer")
    await note(store, "l", GONE, NOW + 8 + ALARM_AGAIN_S, "a day later")
    assert await alarms(store) == ["first", "another offer", "a day later"]
    assert await store.count_failed(NOW + 7) == {"cake": 1, "tea": 1}


async def test_a_failure_of_an_apps_offer_is_no_alarm(store: Store) -> None:
    await write(store, "o", SaveGrant(MAKER), offer(creator=MAKER.caller, pointer_id="p"))
    await sell(store, "i")
    assert (await note(store, "i", GONE, NOW + 5, "an app's")).state is DeliveryState.FAILED
    assert await alarms(store) == []


async def test_what_is_sent_again_begins_anew_all_of_it_or_none(store: Store) -> None:
    await write(store, "o", offer())
    for name in ("i", "j"):
        await sell(store, name)
        await note(store, name, NO)
    failed = await note(store, "j", GONE)
    assert await store.deliveries(limit=9, state=DeliveryState.FAILED) == [failed]
    heard: list[Committed] = []
    store.subscribe(heard.append)
    assert await write(store, "no", SendAgain(("inv-j", "nothing"))) == Denied(Reason.UNKNOWN_TARGET)
    assert await store.delivery("inv-j") == failed
    assert await write(store, "yes", SendAgain(("inv-i", "inv-j"))) == Claimed()
    again = await store.due_deliveries("tea", NOW, 9)
    assert [(one.invoice_id, one.attempts, one.tried_since, one.next_at, one.ended_at) for one in again] == [
        ("inv-i", 0, None, 0, None), ("inv-j", 0, None, 0, None),
    ]  # fmt: skip
    assert heard[-1].webhooks == ("tea",)


async def test_another_address_is_tried_at_once(store: Store) -> None:
    await write(store, "o", offer())
    await sell(store, "i")
    waiting = await note(store, "i", NO)
    heard: list[Committed] = []
    store.subscribe(heard.append)
    await write(store, "same", offer())
    assert (await store.delivery("inv-i"), heard[-1].webhooks if heard else ()) == (waiting, ())
    await write(store, "new", offer(webhook=Webhook("https://new.example/paid")))
    assert await store.due_deliveries("tea", NOW, 9) == [replace(waiting, next_at=0)]
    assert heard[-1].webhooks == ("tea",)


async def forget(store: Store, now: int, **bounds: int) -> None:
    while isinstance(await store.apply(ForgetNews(now, 30 * DAY, **bounds)), More):
        pass


async def test_what_has_ended_is_forgotten_after_its_event_and_what_failed_after_months(
    store: Store, ledger: Path
) -> None:
    await write(store, "o", offer())
    for name in ("told", "failed", "waiting"):
        await sell(store, name)
    await note(store, "told", TAKEN)
    await note(store, "failed", GONE)
    left = ["inv-waiting", "inv-failed", "inv-told"]
    await forget(store, NOW)
    assert [one.invoice_id for one in await store.deliveries(limit=9)] == left
    await forget(store, NOW, max_events=1)
    assert [one.invoice_id for one in await store.deliveries(limit=9)] == left[:2]
    assert audit(ledger, SERVICE) == []
    await forget(store, NOW + KEEP_FAILED_S + 6, max_events=1)
    assert [one.invoice_id for one in await store.deliveries(limit=9)] == left[:1]


async def test_only_so_many_failures_are_kept_beyond_their_events(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MAX_FAILED", 2)
    await write(store, "o", offer())
    for number in range(4):
        await sell(store, str(number))
        await note(store, str(number), GONE, NOW + number)
    await forget(store, NOW, max_events=1)
    assert [one.invoice_id for one in await store.deliveries(limit=9)] == ["inv-3", "inv-2"]


async def test_a_delivery_names_the_event_that_tells_the_settlement(store: Store) -> None:
    await write(store, "o", offer())
    await ask(store, "i")
    events: list[FeedEvent] = []
    store.subscribe(lambda news: events.extend(news.events))
    await store.apply(credit("i"))
    (received,) = [event for event in events if event.kind is EventKind.RECEIVED]
    owed = await store.delivery("inv-i")
    assert owed is not None
    assert owed.event == received.number


async def test_a_write_that_is_taken_back_wakes_nobody_wrongly(store: Store) -> None:
    command: Execute = execute("x", SendAgain(("inv-none",)))
    assert await store.apply(command) == Denied(Reason.UNKNOWN_TARGET)
    assert await store.lanes() == {}
