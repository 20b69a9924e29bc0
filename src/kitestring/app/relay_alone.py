"""The embedded relay without a service around it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.process_limits import set_process_limits
from kitestring.app.home.signals import asked_to_stop
from kitestring.app.service.own_relay import own_relay
from kitestring.transport.clock import SystemClock


async def serve(config: Config, ready: Callable[[str], None], *, memory: bool = False) -> None:
    """Listen until SIGINT or SIGTERM. The data directory is held meanwhile, unless nothing is kept on disk.

    Raises KitestringError when the directory or the port is taken.
    """
    set_process_limits()
    home = None if memory else DataDir(config.data_dir, config.runtime_dir)
    with nullcontext() if home is None else home.locked():
        stop = asked_to_stop()
        async with own_relay(config.relay, home, SystemClock()) as relay:
            ready(relay.url)
            await stop.wait()
