"""The relays inside the codes of a service, and the embedded one among them while it runs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager

from kitestring.app.home.config import Config, RelaySettings
from kitestring.app.home.datadir import DataDir
from kitestring.base.ports import Clock
from kitestring.relay.address import relay_url
from kitestring.relay.limits import Limits


def own_relays(config: Config, home: DataDir) -> tuple[str, ...]:
    """The relays as far as settings and files tell; none before the first start and after one with ``--relay``."""
    if config.relays:
        return config.relays
    port = config.relay.port or home.relay_port()
    return (relay_url(config.relay.host, port),) if port else ()


@asynccontextmanager
async def own_relay(
    settings: RelaySettings, home: DataDir | None, clock: Clock, own_keys: Container[str] = ()
) -> AsyncIterator[str]:
    """The embedded relay while the context lasts, on the port it has always had; gives its URL.

    Without a ``home`` nothing is kept, neither events nor the port. ``own_keys`` are as in
    :class:`~kitestring.relay.server.Relay`. Raises KitestringError when the port is taken or the file is not usable.
    """
    from kitestring.relay.server import Relay  # noqa: PLC0415 - most commands only ask for the URL

    path = None if home is None else home.relay_db
    limits = Limits(kinds=frozenset(settings.kinds)) if settings.kinds else Limits()
    relay = Relay(path, clock=clock, entropy=os.urandom, limits=limits, auth=settings.auth, own_keys=own_keys)
    port = await relay.start(settings.host, settings.port or (0 if home is None else home.relay_port()))
    try:
        if home is not None:
            home.keep_relay_port(port)
        yield relay.url
    finally:
        await relay.stop()
