"""Apps hear of their own payments, once, in the cipher that they use; replies never wait for that."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.app.service import notifier
from kitestring.app.service.notices import GrantNotice, give_notice
from kitestring.app.service.notifier import NOTIFIED, Notifier, notification
from kitestring.app.service.receptions import Reception
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Grant
from kitestring.base.records import NOTIFICATION, Message
from kitestring.crypto.keys import SecretKey
from kitestring.engine.feed import Feed
from kitestring.nostr import kinds
from kitestring.nostr.event import Event as Note
from kitestring.transport.publications import PublishResult, RelayAnswer, Verdict
from tests.kit.app.door import APP, STRANGER, URL, Door
from tests.kit.app.house import House
from tests.kit.changed import replace
from tests.kit.clock import NOW, virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life

TOLD = (GrantNotice(NOTIFIED, notification),)
KINDS = {kinds.NWC_NOTIFY: "nip44", kinds.NWC_NOTIFY_NIP04: "nip04"}
MAY = "pay_invoice make_invoice lookup_invoice payment_received payment_sent"


@asynccontextmanager
async def service(life: Life, **grant: Any) -> AsyncIterator[Door]:
    """A door to a connection that is told of its payments, unless ``grant`` says otherwise; in a second life of the
    ledger it is there already."""
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        noticing = asyncio.ensure_future(give_notice(Feed(rig.store, rig.clock), rig.store, rig.clock, TOLD))
        if await rig.store.grant("app") is None:
            await door.open(**{"methods": MAY} | grant)
        else:
            await door.refresh()
            await rig.engine.start()
        try:
            yield door
        finally:
            noticing.cancel()
            await asyncio.gather(noticing, return_exceptions=True)
            await door.notifier.stop()


def told(door: Door) -> list[tuple[str, Any]]:
    """Every notification that a relay has taken: its type and its transaction."""
    read = [door.read(event) for event in door.pool.sent if event.kind in KINDS]
    return [(one["notification_type"], one["notification"]) for one in read]


def heard_in(door: Door) -> list[str]:
    return [KINDS[event.kind] for event in door.pool.sent if event.kind in KINDS]


async def is_paid(door: Door, amount: int = 21_000, **how: Any) -> str:
    """Somebody outside pays an invoice of the app; its payment hash."""
    made = (await door.ask("make_invoice", {"amount": amount}, **how))["result"]
    assert door.rig.node.pay_in(made["payment_hash"])
    await door.clock.sleep(5)
    return str(made["payment_hash"])


@virtual
async def test_an_app_hears_of_what_it_gets_and_of_what_it_pays(life: Life) -> None:
    async with service(life) as door:
        payment_hash = await is_paid(door)
        await door.ask("pay_invoice", {"invoice": door.invoice(Script(fee=7)), "metadata": {"comment": "tea"}})
        await door.clock.sleep(5)
        (received, sent), shown = told(door), (await door.ask("lookup_invoice", {"payment_hash": payment_hash}))
        assert received == ("payment_received", shown["result"])
        assert (received[1]["state"], received[1]["amount"], len(received[1]["preimage"])) == ("settled", 21_000, 64)
        assert (sent[0], sent[1]["type"], sent[1]["fees_paid"]) == ("payment_sent", "outgoing", 7)
        assert (sent[1]["metadata"], len(sent[1]["preimage"])) == ({"comment": "tea"}, 64)
        for event in door.pool.sent:
            if event.kind in KINDS:
                assert (event.pubkey, event.tags) == (door.grant_key, [["p", APP.public_hex]])


@virtual
async def test_who_pays_its_own_invoice_hears_of_both_sides(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.service() as running:
        await running.account("purse", 100_000)
        app = await running.connect("app", account="purse")
        made = (await app.first(app.send("make_invoice", {"amount": 5_000})))["result"]
        assert await app.answer(app.pay(made["invoice"])) == "ok"
        await house.clocks.app.sleep(5)
        told = [(name, one["type"], one["payment_hash"]) for name, one in app.notifications()]
        assert sorted(told) == [
            ("payment_received", "incoming", made["payment_hash"]),
            ("payment_sent", "outgoing", made["payment_hash"]),
        ]


@virtual
async def test_nobody_hears_of_what_another_one_does_on_the_same_account(life: Life) -> None:
    async with service(life) as door:
        other = door.keyring.connection_key("other").public_hex
        await door.rig.grant("other", caller=STRANGER.public_hex, service_pubkey=other, methods=MAY)
        await door.rig.offer("coffee")
        await door.refresh()
        await door.tell(door.offer_request())
        (payment_hash,) = door.rig.node._made
        assert door.rig.node.pay_in(payment_hash)
        await is_paid(door)
        assert [event.tags for event in door.pool.sent if event.kind in KINDS] == [[["p", APP.public_hex]]]


@virtual
async def test_who_is_shown_the_account_hears_of_what_others_did_and_of_what_came_to_an_offer(life: Life) -> None:
    async with service(life) as door:
        other = door.keyring.connection_key("other").public_hex
        keys: dict[str, Any] = {"caller": STRANGER.public_hex, "service_pubkey": other, "shown_history": "account"}
        await door.rig.grant("other", methods=MAY, nip44_seen=True, **keys)
        await door.rig.offer("coffee")
        await door.refresh()
        await door.tell(door.offer_request())
        (payment_hash,) = door.rig.node._made
        assert door.rig.node.pay_in(payment_hash)
        await is_paid(door)
        heard = sorted(event.tags[0][1] for event in door.pool.sent if event.kind in KINDS)
        assert heard == sorted([APP.public_hex, STRANGER.public_hex, STRANGER.public_hex])


@pytest.mark.parametrize(
    ("methods", "types"),
    [
        ("pay_invoice make_invoice", []),
        ("pay_invoice make_invoice payment_sent", ["payment_sent"]),
        ("pay_invoice make_invoice payment_received", ["payment_received"]),
    ],
)
def test_a_connection_hears_what_its_permissions_name(life: Life, methods: str, types: list[str]) -> None:
    @virtual
    async def story() -> None:
        async with service(life, methods=methods) as door:
            await is_paid(door)
            await door.ask("pay_invoice", {"invoice": door.invoice()})
            await door.clock.sleep(5)
            assert [name for name, _ in told(door)] == types
            stored = [one for one in await door.rig.store.outbox(0, 100) if one.message.kind == NOTIFICATION]
            assert len(stored) == len(types)

    story()


@pytest.mark.parametrize("detail", ["surplus", "unknown"])
def test_money_that_is_no_payment_of_the_invoice_is_told_to_nobody(detail: str) -> None:
    grant = Grant(grant_id="app", name="app", wire="nwc", methods=frozenset(MAY.split()))
    arrived = FeedEvent(1, NOW, EventKind.RECEIVED, "i1", "app", "owner")
    (message,) = notification(arrived, grant, NOW + 9)
    assert (message.plaintext, message.address, message.signed_at) == (b"payment_received i1", b"app", NOW + 9)
    assert list(notification(replace(arrived, detail=detail), grant, NOW)) == []


# ---------------------------------------------------------------- in which cipher


@pytest.mark.parametrize(
    ("grant", "ciphers"),
    [
        ({"nip44_seen": True}, ["nip44"]),
        ({}, ["nip04"]),
        ({"link_salt": b"unused"}, ["nip44", "nip04"]),
        ({"cipher": "nip44"}, ["nip44"]),
        ({"cipher": "legacy", "link_salt": b"unused"}, ["nip04"]),
        ({"cipher": "both"}, ["nip44", "nip04"]),
    ],
)
def test_an_app_is_spoken_to_in_the_cipher_that_it_uses(life: Life, grant: dict[str, Any], ciphers: list[str]) -> None:
    @virtual
    async def story() -> None:
        async with service(life, **grant) as door:
            await is_paid(door, cipher=ciphers[0])
            assert heard_in(door) == ciphers
            assert [name for name, _ in told(door)] == ["payment_received"] * len(ciphers)

    story()


@virtual
async def test_the_cipher_is_that_of_the_moment_when_it_is_sent_also_after_a_restart(life: Life) -> None:
    async with service(life) as door:
        door.pool.takes = lambda event: event.kind not in KINDS
        await is_paid(door, cipher="nip04")
        await door.rig.change("app", nip44_seen=True)
    async with service(life) as door:
        await door.clock.sleep(60)
        assert heard_in(door) == ["nip44"]


# ---------------------------------------------------------------- not now


@virtual
async def test_what_became_true_while_the_service_died_is_told_at_the_next_start_once(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open(methods=MAY)
        await is_paid(door)
    for expected in (1, 0):
        async with service(life) as door:
            await door.clock.sleep(5)
            assert len(told(door)) == expected


@virtual
async def test_a_relay_that_is_away_for_hours_gets_it_when_it_is_back_and_one_that_stays_away_does_not(
    life: Life,
) -> None:
    async with service(life) as door:
        takes: dict[bool, Callable[[Note], bool]] = {True: lambda _: True, False: lambda one: one.kind not in KINDS}
        for away_s, heard in ((20 * 3_600, 1), (25 * 3_600, 1)):
            door.pool.takes = takes[False]
            await is_paid(door)
            await door.clock.sleep(away_s)
            door.pool.takes = takes[True]
            await door.clock.sleep(1_300)
            assert len(told(door)) == heard


@virtual
async def test_who_is_shown_its_own_payments_alone_by_then_hears_nothing_of_those_of_others(life: Life) -> None:
    async with service(life, methods="lookup_invoice payment_received", shown_history="account") as door:
        await door.rig.offer("coffee")
        door.pool.takes = lambda event: event.kind not in KINDS
        await door.tell(door.offer_request())
        (payment_hash,) = door.rig.node._made
        assert door.rig.node.pay_in(payment_hash)
        await door.clock.sleep(5)
        await door.rig.change("app", shown_history="own")
        door.pool.takes = lambda _: True
        await door.clock.sleep(700)
        assert told(door) == []
        assert not await door.rig.store.has_due()


@pytest.mark.parametrize("change", ["revoked", "expired", "paused", "not permitted", "gone to another app"])
def test_who_may_not_hear_any_more_hears_nothing(life: Life, change: str) -> None:
    @virtual
    async def story() -> None:
        async with service(life) as door:
            door.pool.takes = lambda event: event.kind not in KINDS
            await is_paid(door)
            now = door.clock.now()
            changes: dict[str, Any] = {
                "revoked": {"revoked_at": now}, "expired": {"expires_at": now - 1}, "paused": {"paused_at": now},
                "not permitted": {"methods": frozenset({"make_invoice"})},
                "gone to another app": {"caller": STRANGER.public_hex},
            }[change]  # fmt: skip
            await door.rig.change("app", **changes)
            door.pool.takes = lambda _: True
            await door.clock.sleep(700)
            peers = [event.tags[0][1] for event in door.pool.sent if event.kind in KINDS]
            assert peers == ([STRANGER.public_hex] * len(peers) if change.startswith("gone") else [])
            assert not await door.rig.store.has_due()

    story()


@virtual
async def test_what_comes_while_a_connection_is_paused_is_never_told_unasked(life: Life) -> None:
    async with service(life) as door:
        made = (await door.ask("make_invoice", {"amount": 21_000}))["result"]
        await door.rig.change("app", paused_at=door.clock.now())
        await door.refresh()
        assert door.rig.node.pay_in(made["payment_hash"])
        await door.clock.sleep(5)
        refused = await door.ask("lookup_invoice", {"payment_hash": made["payment_hash"]})
        assert refused["error"]["code"] == "RESTRICTED"
        await door.rig.change("app", paused_at=None)
        await door.refresh()
        await door.clock.sleep(700)
        assert told(door) == []
        shown = await door.ask("lookup_invoice", {"payment_hash": made["payment_hash"]})
        assert shown["result"]["state"] == "settled"


@virtual
async def test_a_connection_that_ended_before_the_feed_was_read_leaves_no_message(life: Life) -> None:
    async with life.service(start=False) as rig:
        door = Door(rig, RequestLimits())
        await door.open(methods=MAY)
        await is_paid(door)
        await rig.change("app", revoked_at=rig.clock.now())
    async with service(life) as door:
        await door.clock.sleep(5)
        assert [one for one in await door.rig.store.outbox(0, 100) if one.message.kind == NOTIFICATION] == []


# ---------------------------------------------------------------- many, and faults


class SilentPool:
    """Relays that are there and say nothing until they are told to."""

    def __init__(self) -> None:
        self.asked: list[Callable[[PublishResult], None]] = []
        self.urls = [URL]

    def connected_urls(self) -> list[str]:
        return self.urls

    def send(self, _id: str, _pubkey: str, _event: bytes, done: Any) -> None:
        self.asked.append(done)

    def say(self, *answers: RelayAnswer) -> None:
        for answer in answers:
            self.asked.pop(0)(PublishResult(True, {URL: Verdict(answer)}))


@asynccontextmanager
async def alone(life: Life, **grant: Any) -> AsyncIterator[tuple[Notifier, SilentPool, Message]]:
    """A notifier without a service around it, and one message for it."""
    async with service(life, nip44_seen=True, **grant) as door:
        await is_paid(door)
        (stored,) = [one.message for one in await door.rig.store.outbox(0, 100) if one.message.kind == NOTIFICATION]
        pool: Any = SilentPool()
        made = Notifier(pool, door.rig.store, door._wires, door.clock)
        try:
            yield made, pool, stored
        finally:
            await made.stop()


@virtual
async def test_beyond_what_may_be_in_hand_it_waits_in_the_ledger(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "MAX_WAITING", 7)
    monkeypatch.setattr(notifier, "MAX_SENT", 3)
    async with alone(life) as (made, pool, message):
        said: list[Reception] = []
        for _ in range(9):
            made.carry(message, said.append)
        assert said == [Reception.UNSENT] * 2
        await life.clock.sleep(1)
        assert len(pool.asked) == 3
        for left in (3, 1, 0):
            pool.say(*[RelayAnswer.ACCEPTED] * len(pool.asked))
            await life.clock.sleep(1)
            assert len(pool.asked) == left
        assert said == [Reception.UNSENT] * 2 + [Reception.TAKEN] * 7


@virtual
async def test_others_have_a_turn_between_two_notifications(life: Life) -> None:
    async with alone(life) as (made, pool, message):
        for _ in range(100):
            made.carry(message, lambda _: None)
        turns = []
        while len(pool.asked) < 100:
            turns.append(len(pool.asked))
            await asyncio.sleep(0)
        assert max(later - before for before, later in itertools.pairwise(turns)) <= 1


@virtual
async def test_without_a_relay_nothing_is_even_signed(life: Life) -> None:
    async with alone(life) as (made, pool, message):
        pool.urls, said = [], list[Reception]()
        made.carry(message, said.append)
        assert (said, made._work) == ([Reception.UNSENT], None)


@pytest.mark.parametrize(
    ("answers", "reception"),
    [
        ((RelayAnswer.UNHEARD, RelayAnswer.ACCEPTED), Reception.TAKEN),
        ((RelayAnswer.REFUSED, RelayAnswer.SENT), Reception.SILENT),
        ((RelayAnswer.LATER, RelayAnswer.LATER), Reception.REFUSED),
    ],
)
def test_of_two_events_the_better_reception_counts(
    life: Life, answers: tuple[RelayAnswer, ...], reception: Reception
) -> None:
    @virtual
    async def story() -> None:
        async with alone(life, cipher="both") as (made, pool, message):
            said: list[Reception] = []
            made.carry(message, said.append)
            await life.clock.sleep(1)
            pool.say(answers[0])
            assert said == []
            pool.say(answers[1])
            assert said == [reception]

    story()


@virtual
async def test_a_message_of_which_nothing_is_known_any_more_is_done(life: Life) -> None:
    async with alone(life) as (made, pool, message):
        said: list[Reception] = []
        for plaintext in (b"payment_received gone", b"payment_sent gone", b"unknown_type gone"):
            made.carry(Message("", NOTIFICATION, plaintext, b"", 0, message.address), said.append)
        made.carry(Message("", NOTIFICATION, message.plaintext, b"", 0, b"nobody"), said.append)
        await life.clock.sleep(1)
        assert (said, pool.asked) == ([Reception.TAKEN] * 4, [])


@virtual
async def test_a_message_about_somebody_elses_payment_is_sent_to_nobody(life: Life) -> None:
    async with alone(life) as (made, pool, message):
        said: list[Reception] = []
        made.carry(Message("", NOTIFICATION, message.plaintext, b"", 0, b"other"), said.append)
        store: Any = made._store
        found = await store.grant("app")

        async def other(_: str) -> Any:
            return replace(found, grant_id="other")

        store.grant = other
        await life.clock.sleep(1)
        del store.grant
        assert (said, pool.asked) == ([Reception.TAKEN], [])


@pytest.mark.parametrize("failure", [KitestringError(Reason.INTERNAL, "the disk is gone"), OSError("odd")])
def test_a_failure_is_one_line_of_the_log_and_it_is_tried_again(
    life: Life, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual
    async def story() -> None:
        async with alone(life) as (made, pool, message):
            store: Any = made._store

            async def broken(_: str) -> Any:
                raise failure

            store.grant, said = broken, list[Reception]()
            for _ in range(3):
                made.carry(message, said.append)
            await life.clock.sleep(1)
            del store.grant
            assert (said, pool.asked) == ([Reception.UNSENT] * 3, [])
            assert caplog.text.count("a notification is not sent yet") == 1

    story()


@virtual
async def test_an_app_whose_key_is_none_keeps_nobody_else_waiting(life: Life) -> None:
    async with service(life) as door:
        await door.rig.change("app", caller=SecretKey(b"\x05" * 32).public_hex)
        await door.refresh()
        await door.rig.change("app", caller="ff" * 32)
        await is_paid(door, key=SecretKey(b"\x05" * 32))
        assert told(door) == []
        await door.rig.change("app", caller=APP.public_hex)
        await door.clock.sleep(120)
        assert len(told(door)) == 1
