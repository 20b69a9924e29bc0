"""Debit pointers of a program, and codes that are good once."""

from __future__ import annotations

import asyncio
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
from kitestring.app.embedded import debits
from kitestring.backend.sandbox.world import World
from kitestring.codec.pointers import Ndebit, decode
from kitestring.relay.server import Relay


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
    monkeypatch.setattr(debits, "LATE_CLAIM_S", 0.0)
    async with door(relay, tmp_path) as (service, pointer):
        session = await service.add_session(pointer, sat(50), expires_in_s=1)
        assert await service.session_used(session) == SessionEnd("expired")
        assert await service.sessions(pointer) == []


async def test_a_session_of_an_earlier_life_is_waited_for_by_the_next(relay: Relay, tmp_path: Path) -> None:
    async with door(relay, tmp_path) as (service, pointer):
        session = await service.add_session(pointer, sat(50))
    async with door(relay, tmp_path) as (service, pointer):
        (earlier,) = await service.sessions(pointer)
        assert (earlier.session, earlier.max_amount, earlier.ndebit) == (session.session, sat(50), None)
        waiting = asyncio.create_task(service.session_used(earlier))
        await asyncio.to_thread(take, relay, str(session.ndebit), sat(50), tmp_path)
        assert (await waiting).state == "used"


async def test_a_session_of_a_service_that_does_not_run_is_not_waited_for(relay: Relay, tmp_path: Path) -> None:
    async with door(relay, tmp_path) as (service, pointer):
        session = await service.add_session(pointer, sat(50))
    with pytest.raises(KitestringError, match="the service is not running"):
        await service.session_used(session)
