"""Being a service of systemd: the file that describes it, and the word that it is ready."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Where systemd looks for the unit, and where the unit keeps its data.
UNIT_PATH: Final = Path("/etc/systemd/system/kitestring.service")
STATE_DIR: Final = Path("/var/lib/kitestring")
READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
#: What ``ProtectHome=`` hides from the service.
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))


def unit(program: Path | None) -> str:
    """The unit that runs ``program``, an absolute path; None leaves the place where the documentation puts it."""
    text = Path(__file__).with_name("kitestring.service").read_text(encoding="utf-8")
    if program is None:
        return text
    return re.sub(r"(?m)^ExecStart=\S+", lambda _: f"ExecStart={_quoted(str(program))}", text)


def is_hidden(program: Path) -> bool:
    """Whether the unit's service could not see a program at this path."""
    return any(program.is_relative_to(home) for home in _HOMES)


def notify(state: str, environment: Mapping[str, str]) -> None:
    """Tell systemd a state, where it has started us and asked for it. What it cannot be told keeps nobody from being
    served."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # in the namespace of Linux that has no files
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), address)


def _quoted(word: str) -> str:
    """A word as a unit has it: ``%`` and ``$`` stand for more there, and spaces end it."""
    word = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[^\s\"'\\;]+", word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
