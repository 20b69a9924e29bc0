"""The embedded relay without a service around it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace

from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.open_files import raise_open_files
from kitestring.relay.limits import Limits
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock


async def serve(config: Config, ready: Callable[[str], None], *, memory: bool = False) -> None:
    """Listen until SIGINT or SIGTERM. The data directory is held meanwhile, unless nothing is kept on disk.

    Raises KitestringError when the directory or the port is taken.
    """
    raise_open_files()
    home = DataDir(config.data_dir, config.runtime_dir)
    if memory:
        await _serve(config, ready, None)
        return
    with home.locked():
        await _serve(config, ready, home)


async def _serve(config: Config, ready: Callable[[str], None], home: DataDir | None) -> None:
    limits = replace(Limits(), kinds=frozenset(config.relay.kinds)) if config.relay.kinds else Limits()
    path = None if home is None else home.relay_db
    relay = Relay(path, clock=SystemClock(), entropy=os.urandom, limits=limits, auth=config.relay.auth)
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    port = await relay.start(config.relay.host, config.relay.port or (home.relay_port() if home else 0))
    try:
        if home is not None:
            home.keep_relay_port(port)
        ready(relay.url)
        await stop.wait()
    finally:
        await relay.stop()
