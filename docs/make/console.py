"""Console blocks of the pages, run for real: what a page shows is what the program printed.

A page asks for it by the line :data:`MARK`, or by :data:`NODE_MARK` where it needs Node.js, which is not on every
machine. Its ``console`` blocks are then run in order, in a data directory of the page's own, where the service runs;
``$ make run`` starts it anew and shows its card, :data:`UNIT` before ``stop`` or ``start`` does so without one,
``$ export`` is for all later commands, and a command that ends in :data:`BESIDE` runs on to the end of the page, or
until ``$ wait`` has shown what the last of them still had to say. Keys, codes, times and the like differ from run to
run: they are compared by kind, and a command that repeats one from the page is given the one of this run.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

MARK: Final = "<!-- the console blocks of this page are run by `make docs` -->"
#: `make docs` leaves such a page as it is; a test runs it, where Node.js is.
NODE_MARK: Final = (
    "<!-- the console blocks of this page need Node.js and are run by `python -m tests.kit.interop.pages` -->"
)
#: Shown instead of the temporary directory in which the page is run.
SHOWN_USER: Final = "/home/you"
ROOT: Final = Path(__file__).parents[2]
START: Final = "make run"
#: Waits for the last of those that were begun with :data:`BESIDE`.
WAIT: Final = "wait"
#: The service of a page as its reader runs it all day.
UNIT: Final = "systemctl --user"
#: The end of a command that runs beside the others.
BESIDE: Final = " &"
#: The last line of the card, and of what runs beside the service.
CARD_END: Final = "Ctrl-C stops it."
#: What a command says while something is still on its way to it: it is typed again, as its reader would.
NOT_YET: Final = {"kitestring approvals": "nobody asks for anything"}
#: For one command; a payment needs less than a second.
PATIENCE_S: Final = 60
AGAIN_S: Final = 0.2

_BLOCK: Final = re.compile(r"(?<=```console\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)
#: What differs from run to run; the first eight kinds may be repeated in a later command.
_KINDS: Final = {
    "connection": r"nostr\+walletconnect://[^\s']+",
    "noffer": r"noffer1[a-z0-9]+",
    "ndebit": r"ndebit1[a-z0-9]+",
    "bolt11": r"lnbcrt[a-z0-9]{50,}",
    "hex": r"\b(?:[0-9a-f]{64}|[0-9a-f]{66}|[0-9a-f]{32}|[0-9a-f]{16})\b",
    "relay": r"ws://127\.0\.0\.1:\d+",
    "grant": r"\bdebit [0-9a-f]{8}\b",
    "short": r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{8}\b|(?<=  )[0-9]{8}\b",  # the beginning of a hash, as lists have it
    "npub": r"npub1[a-z0-9]+(?:…[a-z0-9]+)?",
    "time": r"\d{4}-\d\d-\d\d \d\d:\d\d",
    "lag": r"in \d+ ms",
    "left": r"in \d+ (?:min|s)\b",
    "skew": r"to \d+ s\b",
    "disk": r"[\d.]+ GB free",
    "sqlite": r"(?:ok|info) +sqlite .*",
    "activation": r"  # so that this shell finds kitestring\n  \. .*\n",  # where it is not found already
    "block": r"(?<=block )\d{6,}",
}
_REPEATED: Final = frozenset({"connection", "noffer", "ndebit", "bolt11", "hex", "short", "relay", "grant"})
_VARIES: Final = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))


@dataclass(slots=True)
class Command:
    """One command of a block, and what followed it."""

    text: str
    output: list[str] = field(default_factory=list)


def normalised(text: str) -> str:
    """``text`` with everything replaced that differs from run to run."""
    return _VARIES.sub(lambda found: "" if found.lastgroup == "activation" else f"<{found.lastgroup}>", text)


def same(page: str, other: str) -> bool:
    """Whether two runs of a page show the same; the order within a list may follow from keys."""
    return sorted(normalised(page).splitlines()) == sorted(normalised(other).splitlines())


def read_block(block: str) -> list[Command]:
    commands: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append(Command(line[2:]))
        elif commands:
            commands[-1].output.append(line)
        else:
            raise ValueError(f"a console block begins with a command, not with {line!r}")
    return commands


def rerun(page: str, place: Path | None = None, programs: str = "") -> str:
    """The page with the outputs of a run just made. Raises RuntimeError when the service does not start.

    ``place`` is the directory in which the commands are typed; ``programs`` are found before those of the machine, as
    in ``PATH``.
    """
    with Session(place, programs) as session:
        return _BLOCK.sub(lambda block: session.block(block[0]), page)


class Session:
    """One page's data directory and service, and the codes of this run by those on the page."""

    def __init__(self, place: Path | None = None, programs: str = "") -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="kitestring-docs-")
        self._place = place
        self._codes: dict[str, str] = {}
        self._service: subprocess.Popen[str] | None = None
        self._beside: list[subprocess.Popen[str]] = []
        self._is_stopped = False
        places = {"HOME": self._scratch.name, "KITESTRING_DATA_DIR": f"{self._scratch.name}/.local/share/kitestring"}
        self._environment = {**os.environ, **places, "PATH": self._path(programs)}

    def _path(self, others: str) -> str:
        """Where ``kitestring`` is the program of this checkout, whatever else is installed."""
        programs = Path(self._scratch.name) / "bin"
        programs.mkdir()
        program = programs / "kitestring"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m kitestring "$@"\n', encoding="utf-8")
        program.chmod(0o700)
        return os.pathsep.join(filter(None, [str(programs), others, os.environ.get("PATH", os.defpath)]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        for one in self._beside:
            _end(one)
        self._scratch.cleanup()

    def block(self, text: str) -> str:
        lines: list[str] = []
        for command in read_block(text):
            typed = self._as_of_this_run(command.text)
            output = self._do(typed, self._not_yet(command)).splitlines()
            self._learn("\n".join(command.output), "\n".join(output))
            lines += [f"$ {typed}", *output]
            if command.output and not command.output[-1]:  # a blank line before the next command is the page's own
                lines.append("")
        return "\n".join(lines) + "\n"

    def _not_yet(self, command: Command) -> str:
        """What it says in vain, unless the page shows just that."""
        word = NOT_YET.get(command.text, "")
        return "" if word in command.output else word

    def _do(self, typed: str, not_yet: str = "") -> str:
        if typed == START or typed.startswith(f"{START} ARGS="):
            return self.start(*typed.partition("ARGS=")[2].strip('"').split())
        if typed == WAIT:
            self._beside[-1].wait(PATIENCE_S)  # what it says by then fits into the pipe
            with self._beside.pop() as ended:
                return self._shown(ended.stdout.read() if ended.stdout else "")
        if typed.startswith(UNIT):
            self._stop()
            self._is_stopped = " stop " in typed
        if typed.endswith(BESIDE):
            command = ["bash", "-c", f"exec {typed.removesuffix(BESIDE)}"]
            self._beside.append(self._begin(command, self._environment, self._place or ROOT))
            return self._read_card(self._beside[-1])
        if self._service is None and not self._is_stopped:
            self.start()
        if typed.startswith(UNIT):
            return ""
        if not typed.startswith("export "):
            return self._run_until(typed, not_yet)
        for word in shlex.split(typed)[1:]:
            name, _, value = word.partition("=")
            self._environment[name] = value
        return ""

    def start(self, *options: str) -> str:
        """Start the service, ending the one before; returns its card."""
        self._stop()
        environment = {**self._environment, "PATH": os.defpath}  # as `make run` starts it
        command = [sys.executable, "-m", "kitestring", "up", *options]
        ours, theirs = os.openpty()  # the card shows its link on a terminal alone
        self._service = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs, text=True)  # noqa: S603 - ours
        os.close(theirs)
        self._service.stdout = os.fdopen(ours, encoding="utf-8")
        return self._read_card(self._service)

    def _begin(self, command: list[str], environment: dict[str, str], place: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - what the page shows, as in :meth:`_run`
            command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True
        )

    def _read_card(self, started: subprocess.Popen[str]) -> str:
        card = ""
        for line in started.stdout or ():
            card += line
            if line.rstrip() == CARD_END:
                return self._shown(card)
        raise RuntimeError("it did not start")

    def _stop(self) -> None:
        if self._service is not None:
            self._service.send_signal(signal.SIGINT)
            self._service.wait(PATIENCE_S)  # after its card it writes nothing there
            if self._service.stdout is not None:
                self._service.stdout.close()
            self._service = None

    def _run_until(self, typed: str, not_yet: str) -> str:
        """What it says, typed again as long as that is ``not_yet``."""
        end = time.monotonic() + PATIENCE_S
        while (said := self._run(typed)).strip() == not_yet != "" and time.monotonic() < end:
            time.sleep(AGAIN_S)
        return said

    def _run(self, typed: str) -> str:
        done = subprocess.run(  # noqa: S603 - what the page shows, typed as its reader types it
            ["bash", "-c", typed],  # noqa: S607 - the bash of whoever makes the pages
            cwd=self._place,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return self._shown(done.stdout)

    def _shown(self, text: str) -> str:
        return text.replace(self._scratch.name, SHOWN_USER)

    def _as_of_this_run(self, typed: str) -> str:
        return _VARIES.sub(lambda found: self._codes.get(found[0], found[0]), typed)

    def _learn(self, before: str, now: str) -> None:
        """Know a code by where the page shows it first: a list further down may have another order."""
        for kind in _REPEATED:
            for shown, code in zip(_of_kind(kind, before), _of_kind(kind, now), strict=False):
                self._codes.setdefault(shown, code)


def _end(started: subprocess.Popen[str]) -> None:
    started.send_signal(signal.SIGINT)
    started.communicate(timeout=PATIENCE_S)


def _of_kind(kind: str, text: str) -> Iterator[str]:
    return (found[0] for found in _VARIES.finditer(text) if found.lastgroup == kind)
