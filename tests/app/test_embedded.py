"""The service inside a program of somebody's own, over a real relay and a sandbox beside its store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kitestring import (
    Budget,
    DebitCode,
    DebitPaid,
    KitestringError,
    Msat,
    Reason,
    Service,
    SessionEnd,
    Wallet,
    sat,
)
from kitestring.app import embedded
from kitestring.backend.sandbox.world import World
from kitestring.codec.pointers import Ndebit, decode
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from tests.kit.waiting import until


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as running:
        yield running


async def test_a_wallet_pays_through_a_grant_made_before_the_service_ran(relay: Relay, tmp_path: Path) -> None:
    service = Service(relays=[relay.url], store=tmp_path / "kite.db")
    grant = await asyncio.to_thread(service.grant, "agent", budget=Budget.daily(sat(100)))
    assert grant.nwc_uri is not None
    async with service, Wallet.open(grant.nwc_uri) as wallet:
        with World(tmp_path / "kite.sandbox.db") as world:
            receipt = await wallet.pay(world.invoice(sat(50)), max_fee=sat(1))
            with pytest.raises(KitestringError) as refused:
                await wallet.pay(world.invoice(sat(60)), max_fee=sat(1))
            paid = [payment.preimage for payment in world.payments()]
    assert refused.value.reason is Reason.OVER_BUDGET
    assert paid == [receipt.preimage]


def test_a_grant_of_a_known_name_is_returned_with_its_link_and_other_values_are_refused(tmp_path: Path) -> None:
    service = Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db")
    made, found = service.grant("agent", methods={"pay_invoice"}), service.grant("agent")
    assert found == made
    assert made.nwc_uri is not None
    with pytest.raises(KitestringError, match="another budget") as refused:
        service.grant("agent", budget=Budget.daily(sat(100)))
    assert refused.value.reason is Reason.CONFLICT
    assert made.nwc_uri not in repr(made)
    assert sorted(path.name for path in tmp_path.iterdir() if "db-" not in path.name) == [
        "kite.db",
        "kite.key",
        "kite.lock",
    ]


def test_an_offer_of_a_known_label_is_the_same_offer(tmp_path: Path) -> None:
    service = Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db")
    assert service.offer("tips") == service.offer("tips")
    with pytest.raises(KitestringError, match="another price"):
        service.offer("tips", price=sat(5))


async def test_a_running_service_makes_connections_that_work_at_once(relay: Relay, tmp_path: Path) -> None:
    async with Service(relays=[relay.url], store=tmp_path / "kite.db") as service:
        grant = await service.add_grant("later")
        assert grant.nwc_uri is not None
        assert grant.missing_on == {}
        async with Wallet.open(grant.nwc_uri) as wallet:
            assert await wallet.balance() == sat(1_000_000)

        async def is_used() -> bool:
            return (await service.add_grant("later")).nwc_uri is None

        await until(is_used)
        with pytest.raises(KitestringError, match="add_grant"):
            service.grant("too late")


async def test_two_services_do_not_share_a_store(relay: Relay, tmp_path: Path) -> None:
    async with Service(relays=[relay.url], store=tmp_path / "kite.db"):
        with pytest.raises(KitestringError, match="another kitestring is running"):
            await Service(relays=[relay.url], store=tmp_path / "kite.db").__aenter__()


def test_a_service_needs_a_relay() -> None:
    with pytest.raises(KitestringError, match="at least one relay"):
        Service(relays=[])


@pytest.mark.parametrize(
    ("relays", "words"),
    [
        ("ws://127.0.0.1:7777", r"name at least one relay: relays=\['wss"),
        (
            ["relay.example.com"],
            "'relay.example.com' cannot be used: a relay must be a ws:// or wss:// address",
        ),
    ],
)
def test_what_is_no_list_of_relays_is_refused_where_it_is_written(relays: list[str], words: str) -> None:
    with pytest.raises(KitestringError, match=words):
        Service(relays=relays)


async def test_a_grant_and_a_code_over_a_relay_that_was_left_still_work(relay: Relay, tmp_path: Path) -> None:
    before = Service(relays=[relay.url], store=tmp_path / "kite.db")
    grant = await asyncio.to_thread(before.grant, "agent", budget=Budget.daily(sat(100)))
    tea = await asyncio.to_thread(before.offer, "tea")
    assert grant.nwc_uri is not None
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as other:
        service = Service(relays=[other.url], store=tmp_path / "kite.db")
        assert await asyncio.to_thread(service.offer, "tea") == tea
        async with service, Wallet.open(grant.nwc_uri) as wallet:
            with World(tmp_path / "kite.sandbox.db") as world:
                await wallet.pay(world.invoice(sat(50)), max_fee=sat(1))
            made = await service.add_offer("mug")
    assert decode(made.noffer).relays == (other.url,)


def test_a_pointer_of_a_known_label_is_the_same_and_other_values_are_refused(tmp_path: Path) -> None:
    service = Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db")
    made = service.pointer("door", policy="budget", budget=Budget.daily(sat(500)), per_payment=sat(100))
    assert service.pointer("door", policy="budget", budget=Budget.daily(sat(500)), per_payment=sat(100)) == made
    with pytest.raises(KitestringError, match="another policy and another rule for sessions") as refused:
        service.pointer("door", policy="deny", sessions="minted")
    assert refused.value.reason is Reason.CONFLICT
    code = decode(made.ndebit)
    assert isinstance(code, Ndebit)
    assert (code.pointer, code.relays) == (made.pointer_id, ("ws://127.0.0.1:1",))


@asynccontextmanager
async def door(relay: Relay, tmp_path: Path) -> AsyncIterator[tuple[Service, DebitCode]]:
    """A service with a pointer that takes the sessions that it makes."""
    async with Service(relays=[relay.url], store=tmp_path / "kite.db") as service:
        yield service, await service.add_pointer("door", policy="deny", sessions="minted")


async def test_the_end_of_a_session_is_waited_for_and_told_with_what_it_cost(relay: Relay, tmp_path: Path) -> None:
    async with door(relay, tmp_path) as (service, pointer):
        session = await service.add_session(pointer, sat(50), least=sat(20))
        waiting = asyncio.create_task(service.session_used(session))
        assert await service.sessions("door") == [replace(session, ndebit=None)]
        assert str(session.ndebit) not in repr(session)
        paid = await asyncio.to_thread(take, relay, str(session.ndebit), sat(30), tmp_path)
        end = await waiting
        assert (end.state, end.amount, end.payment_hash) == ("used", sat(30), paid.payment_hash)
        assert end.fee is not None
        assert end.fee > 0
        assert await service.session_used(session) == end  # at any later time too
        assert await service.sessions(pointer) == []


def take(relay: Relay, code: str, amount: Msat, home: Path) -> DebitPaid:
    async def taken() -> DebitPaid:
        with World(home / "kite.sandbox.db") as world:
            invoice = world.invoice(amount)
        async with Wallet.open("sandbox://", relays=[relay.url], data_dir=home / "customer") as wallet:
            return await wallet.debit(code).pay(invoice)

    return asyncio.run(taken())


async def test_a_session_that_nobody_shows_ends_with_its_time(
    relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LATE_CLAIM_S", 0.0)
    async with door(relay, tmp_path) as (service, pointer):
        session = await service.add_session(pointer, sat(50), expires_in_s=1)
        assert await service.session_used(session) == SessionEnd("expired")
        assert await service.sessions(pointer) == []


async def test_a_session_of_an_earlier_life_is_waited_for_by_the_next(relay: Relay, tmp_path: Path) -> None:
    async with door(relay, tmp_path) as (service, pointer):
        session = await service.add_session(pointer, sat(50))
    async with door(relay, tmp_path) as (service, pointer):
        (earlier,) = await service.sessions(pointer)
        assert (earlier.session, earlier.amount, earlier.ndebit) == (session.session, sat(50), None)
        waiting = asyncio.create_task(service.session_used(earlier))
        await asyncio.to_thread(take, relay, str(session.ndebit), sat(50), tmp_path)
        assert (await waiting).state == "used"


async def test_a_session_of_a_service_that_does_not_run_is_not_waited_for(relay: Relay, tmp_path: Path) -> None:
    async with door(relay, tmp_path) as (service, pointer):
        session = await service.add_session(pointer, sat(50))
    with pytest.raises(KitestringError, match="the service is not running"):
        await service.session_used(session)


async def test_a_service_that_names_its_zone_renews_budgets_by_it(tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match="no time zone 'Berlin'; did you mean 'Europe/Berlin'"):
        Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db", zone="Berlin")
    service = Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db", zone="Asia/Kathmandu")
    async with service:
        assert service._running.desk.zone.offset_s(1_800_000_000) == 20_700
