"""The life of a service inside a program, and what is refused where it is written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kitestring import (
    KitestringError,
    Service,
)
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock


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


def test_a_clock_of_ones_own_is_for_a_sandbox_alone(tmp_path: Path) -> None:
    node = "lnd+https://127.0.0.1:8080?macaroon=env:NONE"
    with pytest.raises(KitestringError, match="clock= is for tests on a sandbox"):
        Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db", backend=node, clock=SystemClock())
    Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db", clock=SystemClock())


async def test_a_service_that_names_its_zone_renews_budgets_by_it(tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match="no time zone 'Berlin'; did you mean 'Europe/Berlin'"):
        Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db", zone="Berlin")
    service = Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db", zone="Asia/Kathmandu")
    async with service:
        assert service._running.desk.zone.offset_s(1_800_000_000) == 20_700


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("foo://", "there is no backend for foo://"),
        ("lnd+https://127.0.0.1:8080?cert=/nowhere", "macaroon"),
        ("", "this is not the address of a node"),
    ],
)
def test_a_node_that_cannot_be_opened_is_refused_where_it_is_written(tmp_path: Path, backend: str, words: str) -> None:
    with pytest.raises(KitestringError, match=words):
        Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db", backend=backend)
    assert list(tmp_path.iterdir()) == []


def test_a_service_without_async_says_how_it_is_used(service: Service) -> None:
    with pytest.raises(TypeError, match="`async with`; in a program without asyncio"), service:
        raise AssertionError


async def test_what_makes_a_coroutine_wait_says_what_to_await(service: Service) -> None:
    with pytest.raises(KitestringError, match=r"await add_grant\(\)"):
        service.grant("agent")
    async with service:
        with pytest.raises(KitestringError, match=r"the service is running: await add_grant\(\)"):
            service.grant("agent")


async def test_commands_on_a_service_that_does_not_run_wait_for_each_other(service: Service) -> None:
    made = await asyncio.gather(*(service.add_grant(f"agent {number}") for number in range(8)))
    assert len({one.connection_id for one in made}) == 8
    assert {one.name for one in await service.grants()} == {f"agent {number}" for number in range(8)}
