"""``kitestring up``: one service on one data directory, with its control socket and, if asked for, its own relay."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kitestring.app.card import Card, open_card
from kitestring.app.doors.unix import ControlServer
from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.home.logs import ACTIVITY, set_up
from kitestring.app.home.process_limits import set_process_limits
from kitestring.app.home.signals import asked_to_stop
from kitestring.app.home.systemd import READY, STOPPING, notify
from kitestring.app.owner.activity import ActivityReaders, LogLines
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.desk import Desk
from kitestring.app.service.core import GRACE_S, LISTEN_S, Core, Place
from kitestring.app.service.own_relay import relays_of
from kitestring.base.errors import KitestringError, Reason
from kitestring.relay.vouched import VouchedKeys
from kitestring.transport.clock import SystemClock

log = logging.getLogger("kitestring")
activity = logging.getLogger(ACTIVITY)


def run(config: Config, show: Callable[[Card], None]) -> None:
    """Serve until SIGTERM or SIGINT. Raises KitestringError with one sentence when it cannot start."""
    set_up(config)
    home = DataDir(config.data_dir, config.runtime_dir)
    set_process_limits()
    with home.locked():
        asyncio.run(_serve(config, home, show))


async def _serve(config: Config, home: DataDir, show: Callable[[Card], None]) -> None:
    stop = asked_to_stop()
    breaking_off = asyncio.create_task(_break_off(asyncio.current_task(), stop))
    try:
        async with serving(config, home) as card:
            breaking_off.cancel()
            show(card)
            notify(READY, config.environment)
            await stop.wait()
            notify(STOPPING, config.environment)
            activity.info("stopping: payments under way have %.0f s, the rest goes on at the next start", GRACE_S)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    finally:
        breaking_off.cancel()


async def _break_off(start: asyncio.Task[None] | None, stop: asyncio.Event) -> None:
    """Cancel a start as soon as it is asked to stop: a node or a relay that does not answer is not waited for."""
    await stop.wait()
    if start is not None:
        start.cancel()


@asynccontextmanager
async def serving(config: Config, home: DataDir) -> AsyncIterator[Card]:
    """The whole service while the context lasts. The directory must be locked."""
    clock = SystemClock()
    home.need_ledger()
    had_key = home.key_file.exists() and not home.unused_file.exists()
    keyring = Keyring(home.seed(os.urandom))
    home.check_owner(keyring.service_id)
    vouched = VouchedKeys(own={keyring.service_id})
    async with relays_of(config, home, keyring.service_id, clock, vouched) as (relays, own):
        place = Place(home.ledger, home.path, relays, vouched, own.known_by, own.url)
        is_new = not home.ledger.exists()
        core = await Core.open(config, place, keyring, clock=clock, entropy=os.urandom)
        grace = GRACE_S
        try:
            if is_new and had_key:
                log.warning(
                    "there is no ledger beside %s: an empty one begins now; if you had one, stop and put %s back",
                    home.key_file.name, home.ledger.name,
                )  # fmt: skip
            if is_new:
                home.hold_ledger()
            looking = ActivityReaders(core.store, core.feed, core.activity, clock)
            lines = None if is_new else await _open_lines(core, looking)
            await core.start()
            commands = OwnerCommands[Desk](core.desk, all_commands())
            async with _door(commands, home, looking):
                await _need_relay(core)
                card = await open_card(core.desk, commands, home.control_path(), _real_network(config, core))
                lines = lines or await _open_lines(core, looking)  # what a first start makes itself is on its card
                if lines is not None:
                    lines.begin()
                yield card
                asked_to_stop = clock.monotonic()
            grace = max(1.0, GRACE_S - (clock.monotonic() - asked_to_stop))
        finally:
            left = await core.stop(grace)
            if left:
                log.warning("%d payments are still open; the next start carries them on", left)


def _real_network(config: Config, core: Core) -> str:
    """The network of a real node; "" for a sandbox."""
    return "" if config.node_url.startswith("sandbox:") else core.desk.network


async def _open_lines(core: Core, looking: ActivityReaders) -> LogLines | None:
    """Have what happens from now on written into the log, once that is begun; None where nobody wants it there."""
    if not activity.isEnabledFor(logging.INFO):
        return None
    lines = LogLines(await looking.begin(), core.store)
    core.at_end(lines.finish)
    return lines


async def _need_relay(core: Core) -> None:
    """A later start goes on without a relay and keeps trying; the first one must be able to show its codes."""
    if await core.listening(LISTEN_S):
        return
    why = core.connections.why_deaf()
    if not await core.store.offers():
        raise KitestringError(
            Reason.UNAVAILABLE, f"no relay can be used ({why}): check the address, start the relay, or name another one"
        )
    log.warning("no relay brings requests yet (%s); the service keeps trying", why)


@asynccontextmanager
async def _door(commands: OwnerCommands[Desk], home: DataDir, looking: ActivityReaders) -> AsyncIterator[None]:
    server = ControlServer(commands, home.bind_control(), looking)
    await server.start()
    try:
        yield
    finally:
        await server.stop()
        home.release_control()
