"""Deliveries to webhooks: signed, until they are taken, for a day, across restarts, and nobody waits for the dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.keyring import Keyring
from kitestring.app.service import courier
from kitestring.app.service.courier import LOOK_S, OF_ONE_OFFER, PLACES, TO_ONE_HOST, Courier
from kitestring.base.errors import NotStoredError, Reason
from kitestring.base.grants import Offer, Webhook
from kitestring.base.transactions.owner import SaveOffer, SendAgain
from kitestring.base.webhooks import GIVE_UP_S, PAUSES_S, DeliveryState, WebhookDelivery
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.transport.fetch import MAX_AT_ONCE, FetchCaps, Fetcher
from tests.kit.app.receiver import Receiver, WebDouble, receiver, says
from tests.kit.clock import PATIENCE_S, ManualClock, VirtualClock, virtual
from tests.kit.engine.crossings import CrossedStore, Crossings
from tests.kit.ledger.in_step import keep_in_step
from tests.kit.ledger.values import SERVICE, credit, execute, invoice, record_invoice, setting
from tests.kit.transport.web import answer, leads_to, raw_server, redirect
from tests.kit.waiting import until

KEYRING = Keyring(b"\x07" * 32)
APP = "c" * 64
#: For servers that never end.
SHORT = FetchCaps(total_s=0.3, body_bytes=0, redirects=3)


class Shop:
    """A ledger with offers, and the courier of it, on a clock that a test moves."""

    def __init__(self, store: Any, clock: Any, fetcher: Any) -> None:
        self.store, self.clock = store, clock
        self.courier = Courier(store, fetcher, KEYRING.webhook_secret, clock)
        store.subscribe(self.courier.hear)

    async def offer(self, webhook: Webhook | None, name: str = "tea", **more: Any) -> None:
        made = Offer(offer_id=name, label=name, account_id="alice", webhook=webhook, **more)
        await self.store.apply(execute(f"save {name} {webhook} {self.clock.now()}", SaveOffer(made)))

    async def sell(self, name: str, offer_id: str = "tea", **more: Any) -> None:
        await self.store.apply(record_invoice(name, invoice(name, grant_id="", offer_id=offer_id, **more)))
        await self.store.apply(credit(name))

    async def found(self, name: str) -> WebhookDelivery:
        delivery: WebhookDelivery | None = await self.store.delivery(f"inv-{name}")
        assert delivery is not None
        return delivery

    async def tried(self, name: str, attempts: int) -> WebhookDelivery:
        """The delivery after so many attempts."""

        async def are_done() -> bool:
            return (await self.found(name)).attempts >= attempts

        await until(are_done, f"{attempts} attempts of {name}")
        return await self.found(name)

    async def pass_time(self, seconds: float) -> None:
        """Let it pass, with one look at what is due."""
        await until(lambda: not self.courier._served, "an attempt never ends")
        await self.clock.asleep(LOOK_S, LOOK_S)
        self.clock.advance(seconds)
        await self.clock.asleep(LOOK_S, LOOK_S)


@asynccontextmanager
async def shop(ledger: Path, clock: Any, fetcher: Any = None) -> AsyncIterator[Shop]:
    """One life of the service; in a second one the ledger is there already."""
    store = await SqliteStore.open(ledger, SERVICE)
    keep_in_step(store)
    if len(await store.accounts()) == 1:
        await store.apply(setting())
    opened = Shop(store, clock, fetcher or Fetcher(private_hosts=("127.0.0.1",)))
    await opened.courier.start()
    try:
        yield opened
    finally:
        await opened.courier.stop()
        await store.close()


def post(server: Receiver) -> Webhook:
    return Webhook(f"{server.base}/paid?key=1")


# ------------------------------------------------------------ what is told


async def test_a_payment_is_told_at_once_signed_and_with_its_id(ledger: Path) -> None:
    async with receiver(says(204)) as server, shop(ledger, ManualClock()) as tea:
        await tea.offer(post(server), payer_data=("name",))
        await tea.sell("i", payer_data='{"name":"Ann"}')
        done = await tea.tried("i", 1)
        (asked,) = server.asked
    assert (done.state, done.status, done.ended_at) == (DeliveryState.DELIVERED, "HTTP status 204", tea.clock.now())
    assert (asked.method, asked.path, asked.headers["content-type"]) == ("POST", "/paid?key=1", "application/json")
    assert (asked.told["id"], asked.told["amount_sats"], asked.told["payer_data"]) == ("inv-i", 0, {"name": "Ann"})
    assert asked.is_signed(KEYRING.webhook_secret("tea"), server.base)
    assert not asked.is_signed(KEYRING.webhook_secret("cake"), server.base)


async def test_a_get_is_signed_over_the_address_that_the_server_sees(ledger: Path) -> None:
    async with receiver() as server, shop(ledger, ManualClock()) as tea:
        hook = Webhook(f"{server.base}/paid{{?amount,invoice,name}}", "get")
        await tea.offer(hook, payer_data=("name",))
        await tea.sell("i", payer_data='{"name":"Ann & ~é"}')
        await tea.tried("i", 1)
        (asked,) = server.asked
    assert asked.path == "/paid?amount=0&invoice=lnbcrt-i&name=Ann%20%26%20~%C3%A9&ok=true"
    assert (asked.method, asked.body) == ("GET", b"")
    assert asked.is_signed(KEYRING.webhook_secret("tea"), server.base)


async def test_a_test_is_told_once_and_what_came_of_it_is_said(ledger: Path) -> None:
    async with receiver(says(200), says(500)) as server, shop(ledger, ManualClock()) as tea:
        offer = Offer(offer_id="tea", label="Tea", account_id="alice")
        said = [await tea.courier.send_test(offer, post(server), "t1") for _ in range(2)]
    assert [(one.state.value, one.status) for one in said] == [
        ("delivered", "HTTP status 200"), ("waiting", "HTTP status 500"),
    ]  # fmt: skip
    assert [asked.told["type"] for asked in server.asked] == ["offer.test"] * 2
    assert server.asked[0].is_signed(KEYRING.webhook_secret("tea"), server.base)


# ------------------------------------------------------------ again and again


async def test_a_receiver_that_is_broken_for_an_hour_is_told_then(ledger: Path) -> None:
    async with receiver(says(500)) as server, shop(ledger, ManualClock()) as tea:
        await tea.offer(post(server))
        await tea.sell("i")
        attempts, begun = 1, tea.clock.now()
        while tea.clock.now() - begun < 3_600:
            tried = await tea.tried("i", attempts)
            assert (tried.state, tried.status) == (DeliveryState.WAITING, "HTTP status 500")
            await tea.pass_time(tried.next_at - tea.clock.now())
            attempts += 1
        server.answers[:] = [says(200)]
        while (await tea.found("i")).state is DeliveryState.WAITING:
            tried = await tea.tried("i", attempts)
            if tried.state is DeliveryState.WAITING:
                await tea.pass_time(tried.next_at - tea.clock.now())
                attempts += 1
    assert (await _ids(server), attempts) == ({"inv-i"}, len(server.asked))
    assert attempts >= len(PAUSES_S) - 1


async def _ids(server: Receiver) -> set[str]:
    return {asked.told["id"] for asked in server.asked}


async def test_after_a_day_it_has_failed_is_told_as_an_alarm_and_can_be_sent_again(ledger: Path) -> None:
    async with receiver(says(503)) as server, shop(ledger, ManualClock()) as tea:
        await tea.offer(post(server))
        await tea.sell("i")
        await tea.tried("i", 1)
        await tea.pass_time(GIVE_UP_S)
        failed = await tea.tried("i", 2)
        assert (failed.state, failed.status) == (DeliveryState.FAILED, "HTTP status 503")
        (alarm,) = await tea.store.alarms(0, 9)
        assert alarm.detail == (
            "the webhook of the offer 'tea' was not told of a payment, 2 attempts in vain: HTTP status 503; "
            "see `kitestring offer deliveries --failed`, then `kitestring offer resend inv-i`"
        )
        await until(lambda: not tea.courier._lanes)
        tea.clock.advance(GIVE_UP_S)
        assert len(server.asked) == 2
        server.answers[:] = [says(200)]
        await tea.store.apply(execute("again", SendAgain(("inv-i",))))
        assert (await tea.tried("i", 1)).attempts == 1
        await until(lambda: len(server.asked) == 3)
        await until(lambda: _is(tea, "i", DeliveryState.DELIVERED))


async def _is(tea: Shop, name: str, state: DeliveryState) -> bool:
    return (await tea.found(name)).state is state


async def test_a_receiver_that_is_gone_is_not_asked_again(ledger: Path) -> None:
    async with receiver(says(410)) as server, shop(ledger, ManualClock()) as tea:
        await tea.offer(post(server))
        await tea.sell("i")
        done = await tea.tried("i", 1)
    assert (done.state, done.status, len(server.asked)) == (DeliveryState.FAILED, "HTTP status 410", 1)


async def test_what_waits_for_a_webhook_that_is_switched_off_has_failed(ledger: Path) -> None:
    async with receiver(says(500)) as server, shop(ledger, ManualClock()) as tea:
        await tea.offer(post(server))
        await tea.sell("i")
        await tea.tried("i", 1)
        await tea.offer(None)
        done = await tea.tried("i", 2)
    assert (done.state, done.status) == (DeliveryState.FAILED, "the offer has no webhook any more")
    assert len(server.asked) == 1


async def test_a_delivery_goes_on_after_a_restart_as_if_nothing_had_been(ledger: Path) -> None:
    clock = ManualClock()
    async with receiver(says(500)) as server:
        async with shop(ledger, clock) as tea:
            await tea.offer(post(server))
            await tea.sell("i")
            before = await tea.tried("i", 1)
        clock.advance(1)
        async with shop(ledger, clock) as tea:
            await clock.asleep(LOOK_S, LOOK_S)
            assert await tea.found("i") == before
            server.answers[:] = [says(200)]
            await tea.pass_time(PAUSES_S[0])
            done = await tea.tried("i", 2)
    assert (done.state, done.attempts, done.tried_since) == (DeliveryState.DELIVERED, 2, before.tried_since)


async def test_a_death_between_settlement_and_delivery_loses_nothing(ledger: Path) -> None:
    async with receiver() as server:
        store = await SqliteStore.open(ledger, SERVICE)
        await store.apply(setting())
        alone = Shop(store, ManualClock(), None)  # its courier never begins
        await alone.offer(post(server))
        await alone.sell("i")
        await store.close()
        assert server.asked == []
        async with shop(ledger, ManualClock()) as tea:
            assert (await tea.tried("i", 1)).state is DeliveryState.DELIVERED
    assert await _ids(server) == {"inv-i"}


async def test_an_answer_that_the_disk_does_not_note_is_asked_for_once_more_with_the_same_id(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(setting())
    crossed, clock = CrossedStore(store, Crossings()), ManualClock()
    async with receiver() as server:
        tea = Shop(crossed, clock, Fetcher(private_hosts=("127.0.0.1",)))
        await tea.courier.start()
        await tea.offer(post(server))
        crossed.broken["NoteAttempt"] = [NotStoredError(Reason.INTERNAL, "the disk is full")]
        await tea.sell("i")
        await until(lambda: len(server.asked) == 1)
        await tea.pass_time(courier.UNSTORED_S)
        await until(lambda: _is(tea, "i", DeliveryState.DELIVERED))
        await tea.courier.stop()
    await store.close()
    assert [asked.told["id"] for asked in server.asked] == ["inv-i"] * 2


# ------------------------------------------------------------ receivers that mean no good


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1:1/x", "not on a public address"),
        ("https://shop.test/x", "not on a public address"),
        ("http://shop.test/x", "https is needed"),
    ],
)
async def test_what_an_app_has_set_never_leads_into_a_private_network(ledger: Path, url: str, words: str) -> None:
    web = Fetcher(private_hosts=("127.0.0.1", "shop.test"), resolver=leads_to("10.0.0.1"))
    async with shop(ledger, ManualClock(), web) as tea:
        await tea.offer(Webhook(url, "get"), creator=APP, pointer_id="p")
        await tea.sell("i")
        tried = await tea.tried("i", 1)
    assert tried.state is DeliveryState.WAITING
    assert words in tried.status


async def test_a_redirect_of_the_owners_server_to_a_private_address_is_not_followed(ledger: Path) -> None:
    async with (
        raw_server(answer(b"secret")) as inside,
        raw_server(redirect(f"http://localhost:{inside.port}/")) as server,
        shop(ledger, ManualClock()) as tea,
    ):
        await tea.offer(Webhook(f"http://127.0.0.1:{server.port}/", "get"))
        await tea.sell("i")
        tried = await tea.tried("i", 1)
    assert (tried.state, inside.asked) == (DeliveryState.WAITING, [])
    assert "https is needed" in tried.status


async def test_a_get_follows_three_redirects_and_a_post_none(ledger: Path) -> None:
    answers = [*[redirect("/next")] * 3, says(200), redirect("/next")]
    async with receiver(*answers) as server, shop(ledger, ManualClock()) as tea:
        await tea.offer(Webhook(f"{server.base}/", "get"))
        await tea.sell("i")
        assert (await tea.tried("i", 1)).state is DeliveryState.DELIVERED
        assert len(server.asked) == 4
        await tea.offer(post(server), "cake")
        await tea.sell("j", "cake")
        tried = await tea.tried("j", 1)
    assert (tried.state, len(server.asked)) == (DeliveryState.WAITING, 5)
    assert "answers with a redirect" in tried.status


@pytest.mark.parametrize(
    ("said", "again", "stays_open", "words"),
    [
        (b"", b"", True, "has not answered"),
        (b"HTTP/1.1 200 OK\r\n", b"", True, "has not answered"),
        (b"SSH-2.0-x\r\n", b"", False, "no HTTP"),
        (b"", b"", False, "broke off"),
    ],
)
async def test_a_receiver_that_never_comes_to_an_end_is_tried_again_later(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, again: bytes, stays_open: bool, words: str
) -> None:
    monkeypatch.setattr(courier, "CAPS", SHORT)
    async with raw_server(said, again=again, stays_open=stays_open) as server, shop(ledger, ManualClock()) as tea:
        await tea.offer(Webhook(f"http://127.0.0.1:{server.port}/"))
        await tea.sell("i")
        tried = await tea.tried("i", 1)
    assert tried.state is DeliveryState.WAITING
    assert words in tried.status


@pytest.mark.parametrize(
    ("said", "again", "stays_open"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536, False),
        (b"HTTP/1.1 201 So\r\nContent-Length: 9999999999\r\n\r\n", b"", True),
        (answer(b"x", "Content-Encoding: br"), b"", False),
        (answer(b"x", "Content-Encoding: gzip"), b"", False),
    ],
)
async def test_who_has_said_2xx_is_told_no_more_whatever_follows(
    ledger: Path, said: bytes, again: bytes, stays_open: bool
) -> None:
    """A page of a shop is longer than anything that we would read."""
    async with raw_server(said, again=again, stays_open=stays_open) as server, shop(ledger, ManualClock()) as tea:
        await tea.offer(Webhook(f"http://127.0.0.1:{server.port}/"))
        await tea.sell("i")
        assert (await tea.tried("i", 1)).state is DeliveryState.DELIVERED
        assert len(server.asked) == 1


async def test_a_stop_does_not_wait_for_a_receiver_that_says_nothing(ledger: Path) -> None:
    async with raw_server(b"", stays_open=True) as server:
        async with asyncio.timeout(PATIENCE_S), shop(ledger, ManualClock()) as tea:
            await tea.offer(Webhook(f"http://127.0.0.1:{server.port}/"))
            await tea.sell("i")
            await server.has_asked.wait()
        async with asyncio.timeout(PATIENCE_S):
            store = await SqliteStore.open(ledger, SERVICE)
            found = await store.delivery("inv-i")
            await store.close()
    assert found is not None
    assert (found.state, found.attempts) == (DeliveryState.WAITING, 0)


# ------------------------------------------------------------ many of them, in virtual time

DEAD = 1_000


def hook(name: str) -> Webhook:
    return Webhook(f"https://{name}.example/paid")


@virtual
async def _a_thousand_dead_webhooks(ledger: Path) -> tuple[float, WebDouble]:
    """Sell once with each, then with one that is well; how long that one waited."""
    clock = VirtualClock()
    web = WebDouble(clock, lambda url: 200 if "well" in url else None)
    async with shop(ledger, clock, web) as tea:
        for number in range(DEAD):
            await tea.offer(hook(f"dead{number}"), f"dead{number}")
            await tea.sell(f"{number}", f"dead{number}")
        await tea.offer(hook("well"), "well")
        await clock.sleep(DEAD / PLACES["owner"] * courier.CAPS.total_s + 60)  # each has been found out once
        begun, waits = clock.monotonic(), []
        for number in range(10):
            await tea.sell(f"well{number}", "well")
            sold = clock.monotonic()
            while (await tea.found(f"well{number}")).state is not DeliveryState.DELIVERED:
                await clock.sleep(0.01)
            waits.append(clock.monotonic() - sold)
            await clock.sleep(97)
        assert clock.monotonic() - begun > 900  # the dead were tried meanwhile
    return max(waits), web


def test_a_thousand_dead_webhooks_keep_one_that_is_well_waiting_for_no_moment(ledger: Path) -> None:
    longest_s, web = _a_thousand_dead_webhooks(ledger)
    assert longest_s < 0.1
    assert web.most[""] <= PLACES["owner"] + PLACES["ailing"]
    assert len({url for _, url, _ in web.asked}) == DEAD + 1


@virtual
async def _of_one_host(ledger: Path, sorts: int) -> WebDouble:
    clock = VirtualClock()
    web = WebDouble(clock, lambda _: None)
    async with shop(ledger, clock, web) as tea:
        for number in range(sorts):
            await tea.offer(hook("slow"), f"o{number}")
        for number in range(30):
            await tea.sell(f"{number}", f"o{number % sorts}")
        await clock.sleep(60)
    return web


@pytest.mark.parametrize(("offers", "most"), [(1, OF_ONE_OFFER), (10, TO_ONE_HOST)])
def test_of_one_offer_and_to_one_host_only_a_few_are_under_way(ledger: Path, offers: int, most: int) -> None:
    web = _of_one_host(ledger, offers)
    assert web.most == {hook("slow").url: most, "": most}


@virtual
async def test_a_backlog_is_told_without_a_pause_and_each_once(ledger: Path) -> None:
    clock = VirtualClock()
    web = WebDouble(clock)
    async with shop(ledger, clock, web) as tea:
        await tea.offer(hook("well"))
        for number in range(100):
            await tea.sell(f"{number}")
        await clock.sleep(1)
        assert await tea.store.count_waiting() == {}
    assert sorted(told["id"] for _, _, told in web.asked) == sorted(f"inv-{number}" for number in range(100))


@virtual
async def test_apps_with_slow_receivers_take_no_place_of_the_owners(ledger: Path) -> None:
    clock = VirtualClock()
    web = WebDouble(clock, lambda url: 200 if "well" in url else None)
    async with shop(ledger, clock, web) as tea:
        for number in range(200):
            await tea.offer(hook(f"slow{number}"), f"slow{number}", creator=APP, pointer_id="p")
            await tea.sell(f"{number}", f"slow{number}")
        await tea.offer(hook("well"), "well")
        await tea.sell("well", "well")
        await clock.sleep(0.5)
        assert (await tea.found("well")).state is DeliveryState.DELIVERED
    assert web.most[""] <= PLACES["apps"] + 1


@virtual
async def test_what_is_sold_while_an_attempt_is_under_way_is_not_forgotten(ledger: Path) -> None:
    clock = VirtualClock()
    web = WebDouble(clock)
    async with shop(ledger, clock, web) as tea:
        await tea.offer(hook("well"))
        await tea.sell("i")
        await clock.sleep(0.005)
        await tea.sell("j")
        await clock.sleep(3)
        assert {(await tea.found(name)).state for name in ("i", "j")} == {DeliveryState.DELIVERED}
        assert (tea.courier._lanes, tea.courier._hosts, tea.courier._served) == ({}, {}, {})


@virtual
async def test_a_clock_that_steps_back_by_a_year_keeps_no_delivery_waiting(ledger: Path) -> None:
    clock = VirtualClock(skew_s=400 * 86_400)
    status = [500]
    web = WebDouble(clock, lambda _: status[0])
    async with shop(ledger, clock, web) as tea:
        await tea.offer(hook("well"))
        await tea.sell("i")
        await clock.sleep(0.5)
        assert (await tea.found("i")).attempts == 1
        clock.skew_s, status[0] = 0, 200
        await clock.sleep(3)
        assert (await tea.found("i")).state is DeliveryState.DELIVERED


def test_there_are_places_for_no_more_than_a_fetcher_has() -> None:
    assert sum(PLACES.values()) <= MAX_AT_ONCE
