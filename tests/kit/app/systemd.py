"""A stand-in for systemd: it starts what a unit says, in the environment that systemd gives, and keeps its journal.

The user, the walls around the file system and the limits are systemd's own and are left out. What else a program can
feel of the hardening (no new privileges, no code in memory that was written) is set where the kernel has it.
"""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

#: Seconds until a service is ready, or has ended.
PATIENCE_S: Final = 60
#: What the kernel calls a setting (prctl).
_PRCTL: Final = {"NoNewPrivileges": 38, "MemoryDenyWriteExecute": 65}
#: Turns on what its first argument names, and becomes the program behind it.
_HARDENED: Final = """
import ctypes, os, sys
for number in filter(None, sys.argv[1].split(",")):
    ctypes.CDLL(None).prctl(int(number), 1, 0, 0, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


def read_unit(text: str) -> dict[str, list[str]]:
    """The settings of a unit by their names, each with its values in their order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith(("#", ";", "[")):
            found.setdefault(name, []).append(value)
    return found


class FailedError(AssertionError):
    """The service ended before it was ready."""


@dataclass
class Systemd:
    """One service of one unit. ``place`` says where a path of the unit is on this machine."""

    room: Path
    place: Callable[[str], str] = str
    notes: list[str] = field(default_factory=list)
    _child: subprocess.Popen[bytes] | None = None
    _notices: socket.socket | None = None

    @property
    def journal(self) -> str:
        """Everything that the service has written."""
        path = self.room / "journal"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def start(self, text: str) -> None:
        """Return when the service says that it is ready. Raises FailedError with the journal when it has ended."""
        unit = read_unit(self.place(text))
        assert unit["Type"] == ["notify"]
        address = self.room / "notify"
        address.unlink(missing_ok=True)
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(str(address))
        self._notices.settimeout(0.1)
        with (self.room / "journal").open("ab") as journal:
            self._child = self._run(unit, str(address), journal)
        while not self._hears("READY=1"):
            if self._child.poll() is not None:
                code = self.stop()
                raise FailedError(f"exit code {code}\n{self.journal}")

    def stop(self) -> int:
        """The exit code."""
        assert self._child is not None
        assert self._notices is not None
        self._child.send_signal(signal.SIGTERM)
        code = self._child.wait(PATIENCE_S)
        self._hears("STOPPING=1")
        self._notices.close()
        return code

    def end(self) -> None:
        """Leave nothing running, whatever became of it."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait(PATIENCE_S)
        if self._notices is not None:
            self._notices.close()

    def _hears(self, state: str) -> bool:
        assert self._notices is not None
        with suppress(TimeoutError):
            while state not in self.notes:
                self.notes += self._notices.recv(4_096).decode().splitlines()
        return state in self.notes

    def _run(self, unit: dict[str, list[str]], address: str, journal: IO[bytes]) -> subprocess.Popen[bytes]:
        given = dict(re.findall(r"^(\w+)=(.*)$", "\n".join(unit.get("Environment", [])), re.MULTILINE))
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "NOTIFY_SOCKET": address, "LANG": "C.UTF-8", **given}
        (command,) = unit["ExecStart"]
        switches = ",".join(str(number) for name, number in _PRCTL.items() if unit.get(name) == ["yes"])
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _HARDENED, switches, *shlex.split(command)], cwd="/", env=environment,
            stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, start_new_session=True,
        )  # fmt: skip
