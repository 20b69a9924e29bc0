"""The relays inside the codes of a service, and the embedded one among or beside them while it runs."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from kitestring.app.home.config import Config, RelaySettings
from kitestring.app.home.datadir import DataDir
from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock
from kitestring.relay.address import relay_url
from kitestring.relay.limits import RelayLimits
from kitestring.relay.vouched import VouchedKeys

log = logging.getLogger("kitestring")


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

    @property
    def known_by(self) -> Mapping[str, Mapping[str, str]]:
        """The headers by URL; none where no relay runs."""
        return {self.url: self.headers} if self.url else {}


#: In the place of the embedded relay where it does not run.
NO_RELAY: Final = OwnRelay("", {})


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
    limits = RelayLimits() if vouched is None else RelayLimits.beside_service()
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


@asynccontextmanager
async def relays_of(
    config: Config, home: DataDir, service_id: str, clock: Clock, vouched: VouchedKeys
) -> AsyncIterator[tuple[tuple[str, ...], OwnRelay]]:
    """The relays for our codes, and the embedded one as far as it runs: alone where the settings name none, otherwise
    beside those that they name for as long as a link or a code names it.

    The directory must be locked. Raises KitestringError when the embedded relay is the only one and cannot be used; one
    that is merely old is missed with a warning.
    """
    async with AsyncExitStack() as running:
        if not config.relays:
            only = await running.enter_async_context(own_relay(config.relay, home, clock, vouched))
            yield (only.url,), only
            return
        beside = NO_RELAY
        if await _is_needed(config, home, service_id, clock):
            settings = replace(config.relay, port=home.relay_port())
            try:
                beside = await running.enter_async_context(own_relay(settings, home, clock, vouched))
            except KitestringError as refused:
                log.warning("links and codes that name the embedded relay lead nowhere: %s", refused.message)
        yield config.relays, beside


async def _is_needed(config: Config, home: DataDir, service_id: str, clock: Clock) -> bool:
    """Whether a link or a code names the embedded relay of this directory although the settings do not."""
    port = home.relay_port()
    if not port or not home.ledger.exists():
        return False
    from kitestring.app.service.kept_relays import stored_kept_relays  # noqa: PLC0415 - as below
    from kitestring.ledger.sqlite.store import SqliteStore  # noqa: PLC0415 - most commands only ask for the URL
    from kitestring.transport.guard import normalise  # noqa: PLC0415 - as above

    store = await SqliteStore.open(home.ledger, service_id, readonly=True)
    try:
        kept = await stored_kept_relays(store, config.relays, clock.now())
    finally:
        await store.close()
    return normalise(relay_url(config.relay.host, port)) in {normalise(one.url) for one in kept}
