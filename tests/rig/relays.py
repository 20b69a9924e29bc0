"""The foreign relays of the tests: a table, and each as a process of its own with a directory and a port of its own."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import parts
from .process import Process, free_port, spawn, wait_until

#: What a relay listens on, and where it may write.
Command = Callable[[int, Path], list[str | Path]]
_HOST = "127.0.0.1"

_NOSTR_RELAY_SETTINGS = """\
storage:
  sqlalchemy.url: sqlite+aiosqlite:///{room}/relay.sqlite3
  validators:
    - nostr_relay.validators.is_not_too_large
    - nostr_relay.validators.is_signed
    - nostr_relay.validators.is_recent
    - nostr_relay.validators.is_not_hellthread
gunicorn:
  bind: {host}:{port}
"""


@dataclass(frozen=True, slots=True)
class ForeignRelay:
    """One row: a relay as its authors ship it. ``settings`` says what differs from that; ``part`` is the row of
    :data:`tests.rig.parts.PARTS` that it needs, "" without one. ``auth``: it serves only who has authenticated."""

    what: str
    settings: str
    part: str
    command: Command
    environment: Callable[[], Mapping[str, str]] = dict
    auth: bool = False


def _nostr_sdk(port: int, room: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tests.rig.nostr_sdk_relay", str(port)]


def _khatru(*options: str) -> Command:
    def command(port: int, room: Path) -> list[str | Path]:
        directory = parts.find_khatru()
        assert directory is not None
        return [directory / "khatru", f"-listen={_HOST}:{port}", *options]

    return command


def _nostr_relay(port: int, room: Path) -> list[str | Path]:
    settings = room / "relay.yaml"
    settings.write_text(_NOSTR_RELAY_SETTINGS.format(room=room, host=_HOST, port=port))
    begin = "from nostr_relay.cli import main; main()"
    return [sys.executable, "-c", begin, "--config", settings, "serve", "--use-uvicorn"]


def _its_packages() -> Mapping[str, str]:
    return {"PYTHONPATH": str(parts.find_nostr_relay())}


RELAYS: Mapping[str, ForeignRelay] = {
    "nostr-sdk": ForeignRelay(
        "nostr-sdk 0.45.1 (Rust)", "100,000 events a minute instead of 60", part="", command=_nostr_sdk
    ),
    "khatru": ForeignRelay("khatru 0.19.1 (Go)", "a store in memory", part="khatru", command=_khatru()),
    "khatru-auth": ForeignRelay(
        "khatru 0.19.1 with AUTH", "a store in memory; only who has authenticated reads and writes", part="khatru",
        command=_khatru("-auth"), auth=True,
    ),
    "nostr-relay": ForeignRelay(
        "nostr-relay 1.14 (Python)", "none", part="nostr-relay", command=_nostr_relay, environment=_its_packages
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Running:
    """A relay that listens."""

    name: str
    url: str
    process: Process

    @property
    def auth(self) -> bool:
        return RELAYS[self.name].auth


def available() -> list[str]:
    """The relays whose parts are there."""
    absent = parts.missing()
    return [name for name, relay in RELAYS.items() if relay.part not in absent]


def start(name: str, room: Path) -> Running:
    """Start it; returns when it takes connections. Raises RuntimeError or TimeoutError with its last lines."""
    relay, port = RELAYS[name], free_port()
    room.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HOME": str(room), **relay.environment()}
    process = spawn(name, relay.command(port, room), room, environment)
    wait_until(lambda: _listens(port), f"{name} listens", process)
    return Running(name, f"ws://{_HOST}:{port}", process)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((_HOST, port)) == 0
