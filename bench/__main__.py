"""``python -m bench [--strict] [--dir DIRECTORY] [PART …]``: measure, print the table, write bench/out/latest.json."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import (
    clients,
    clink,
    connections,
    debits,
    history,
    idle,
    ledger,
    offers,
    protocol,
    relay,
    restart,
    service,
    startup,
    strangers,
)
from bench.figures import OUT, Figure, print_table, write_json
from bench.floor import Floor

#: In memory there is nothing to write through to, and every figure about the ledger would be a lie.
MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})

PARTS: Final[dict[str, Callable[[Floor, Path], list[Figure]]]] = {
    "protocol": lambda floor, _: protocol.measure(floor),
    "service": lambda floor, directory: asyncio.run(service.measure(floor, directory)),
    "connections": lambda floor, directory: asyncio.run(connections.measure(floor, directory)),
    "idle": lambda _, directory: asyncio.run(idle.measure(directory)),
    "clients": lambda _, directory: asyncio.run(clients.measure(directory)),
    "debits": lambda floor, directory: asyncio.run(debits.measure(floor, directory)),
    "offers": lambda floor, directory: asyncio.run(offers.measure(floor, directory)),
    "clink": lambda _, directory: asyncio.run(clink.measure(directory)),
    "history": lambda floor, directory: asyncio.run(history.measure(floor, directory)),
    "restart": lambda floor, directory: asyncio.run(restart.measure(floor, directory)),
    "ledger": lambda _, directory: asyncio.run(ledger.measure(directory)),
    "relay": lambda *_: asyncio.run(relay.measure()),
    "strangers": lambda _, directory: asyncio.run(strangers.measure(directory)),
    "help": lambda *_: startup.measure(),
    "cache": lambda floor, directory: asyncio.run(history.measure_cache(floor, directory)),
}
#: Measured only where they are named: they judge nothing.
NAMED_ONLY: Final = frozenset({"cache"})


def file_system(directory: Path) -> str:
    """The type of the file system that holds ``directory``; "unknown" where the system does not tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    rows = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    above = [(len(point), kind) for point, kind in rows if directory.resolve().is_relative_to(point)]
    return max(above)[1] if above else "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these (default: all but cache)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a ratio misses its limit")
    parser.add_argument("--dir", type=Path, default=OUT, help="where the ledger is written: a real disk")
    arguments = parser.parse_args()
    arguments.dir.mkdir(parents=True, exist_ok=True)
    kind = file_system(arguments.dir)
    if kind in MEMORY_FILE_SYSTEMS:
        print(f"{arguments.dir} is on {kind}, which has no disk to write to: name another with --dir", file=sys.stderr)
        return 2
    floor, figures = Floor(), []
    for name in arguments.parts or [part for part in PARTS if part not in NAMED_ONLY]:
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=arguments.dir) as directory:
            print(f"measuring: {name} …", file=sys.stderr)
            figures += PARTS[name](floor, Path(directory))
    if floor.samples_us:
        detail = f"{floor.median_us:.1f} µs: x-only parse + Schnorr verify + sign, libsecp256k1 by {floor.library}"
        figures.insert(0, Figure("C floor", 1.0, None, "lower", detail))
    print(f"\n{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {kind}\n")
    print_table(figures)
    print(f"\nwritten to {write_json(figures)}")
    missed = [figure.name for figure in figures if not figure.holds]
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
