"""Child processes of the tests: a free port, a log to read when one dies, and no process left behind."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Below the range from which kernels take the local ports of outgoing connections, so that none of those is in the way.
PORTS = range(20_000, 32_000)
# A well-behaved process stops within this; after it, it is killed.
STOP_PATIENCE_S = 10.0
# Enough to see why a process died, short enough to read.
LOG_LINES = 25

_given: set[int] = set()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on and that no earlier call in this process returned."""
    while True:
        port = random.choice(PORTS)
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


@dataclass(frozen=True, slots=True)
class Process:
    """A running child and the file that has what it said."""

    name: str
    child: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.child.pid

    def is_running(self) -> bool:
        return self.child.poll() is None

    def last_lines(self, count: int = LOG_LINES) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def send(self, signal_number: int) -> None:
        """Signal the process and its own children; nothing when it has ended."""
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal_number)

    def stop(self, patience_s: float = STOP_PATIENCE_S) -> int:
        """SIGTERM, then SIGKILL when it has not ended in time; returns its exit code."""
        self.send(signal.SIGTERM)
        return self.wait_or_kill(patience_s)

    def wait_or_kill(self, patience_s: float) -> int:
        """Its exit code, negative for the signal that ended it."""
        try:
            return self.child.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            return self.child.wait()


def spawn(
    name: str,
    command: Sequence[str | Path],
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start a child in its own process group; what it says goes to `directory/name.log`."""
    log = directory / f"{name}.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
    return Process(name, child, log)


def stop_all(processes: Sequence[Process], patience_s: float = STOP_PATIENCE_S) -> None:
    """Stop several at once, so that the slowest one alone decides how long it takes."""
    for process in processes:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    for process in processes:
        process.wait_or_kill(max(0.0, deadline - time.monotonic()))


def wait_until(ready: Callable[[], bool], what: str, *processes: Process, limit_s: float = 30.0) -> None:
    """Ask again until `ready`; raises TimeoutError, or RuntimeError as soon as one of the processes has ended."""
    deadline = time.monotonic() + limit_s
    while not ready():
        for process in processes:
            if not process.is_running():
                raise RuntimeError(f"{process.name} ended before {what}; it said:\n{process.last_lines()}")
        if time.monotonic() > deadline:
            said = "\n".join(f"--- {process.name}\n{process.last_lines()}" for process in processes)
            raise TimeoutError(f"not within {limit_s:.0f} s: {what}\n{said}")
        time.sleep(0.05)
