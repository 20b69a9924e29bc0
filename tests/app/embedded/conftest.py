"""A relay, and a service over it, for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring import Service
from kitestring.backend.sandbox.world import World
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as running:
        yield running


@pytest.fixture
def service(relay: Relay, tmp_path: Path) -> Service:
    """One that does not run yet."""
    return Service(relays=[relay.url], store=tmp_path / "kite.db")


@pytest.fixture
async def world(service: Service, tmp_path: Path) -> AsyncIterator[World]:
    """Whoever is not the service, while it runs."""
    async with service:
        with World(tmp_path / "kite.sandbox.db") as outside:
            yield outside
