"""What `kitestring --help` takes beyond starting Python itself, in milliseconds of wall time."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Final

from bench.figures import Figure
from bench.process import ROOT, environment

ROUNDS: Final = 15
BARE: Final = (sys.executable, "-c", "pass")
HELP: Final = (sys.executable, "-m", "kitestring", "--help")


def _took_ms(command: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment(), cwd=ROOT)
    return 1000 * (time.perf_counter() - began)


def measure() -> list[Figure]:
    _took_ms(HELP)  # writes the byte code
    pairs = [(_took_ms(BARE), _took_ms(HELP)) for _ in range(ROUNDS)]
    bare, helped = (statistics.median(times) for times in zip(*pairs, strict=True))
    detail = f"ms over bare Python: {helped:.0f} ms against {bare:.0f} ms"
    return [Figure("kitestring --help", statistics.median(h - b for b, h in pairs), 80, "lower", detail)]
