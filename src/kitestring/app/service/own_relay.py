"""The relays inside the codes of a service, and the embedded one among them while it runs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from kitestring.app.home.config import Config, RelaySettings
from kitestring.app.home.datadir import DataDir
from kitestring.base.ports import Clock
from kitestring.relay.address import relay_url
from kitestring.relay.limits import Limits
from kitestring.relay.vouched import VouchedKeys


def own_relays(config: Config, home: DataDir) -> tuple[str, ...]:
    """The relays as far as settings and files tell; none before the first start and after one with ``--relay``."""
    if config.relays:
        return config.relays
    port = config.relay.port or home.relay_port()
    return (relay_url(config.relay.host, port),) if port else ()


@dataclass(frozen=True, slots=True)
class OwnRelay:
    """The embedded relay as it runs. ``headers`` are for the service alone: the relay knows it by them."""

    url: str
    headers: Mapping[str, str]


@asynccontextmanager
async def own_relay(
    settings: RelaySettings, home: DataDir | None, clock: Clock, vouched: VouchedKeys | None = None
) -> AsyncIterator[OwnRelay]:
    """The embedded relay while the context lasts, on the port it has always had.

    Without a ``home`` nothing is kept, neither events nor the port. ``vouched`` are keys of the service in this process
    and of its callers, as in :class:`~kitestring.relay.server.Relay`; None for a relay without a service.
    Raises KitestringError when the port is taken or the file is not usable.
    """
    from kitestring.relay.server import Relay  # noqa: PLC0415 - most commands only ask for the URL

    path = None if home is None else home.relay_db
    limits = Limits() if vouched is None else Limits.beside_service()
    if settings.kinds:
        limits = replace(limits, kinds=frozenset(settings.kinds))
    relay = Relay(path, clock=clock, entropy=os.urandom, limits=limits, auth=settings.auth, vouched=vouched)
    port = await relay.start(settings.host, settings.port or (0 if home is None else home.relay_port()))
    try:
        if home is not None:
            home.keep_relay_port(port)
        yield OwnRelay(relay.url, relay.own_headers)
    finally:
        await relay.stop()
