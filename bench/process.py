"""A process of the bench: asked through its standard input, watched by its own CPU clock."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
#: Seconds for an answer; a process that needs longer has failed.
ANSWER_S: Final = 60.0
#: Seconds for an orderly end.
STOP_S: Final = 20.0


def environment() -> dict[str, str]:
    """So that a checkout runs without being installed."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


class Child:
    """``cpu_ns()`` is user + system time of all its threads, by the process's own clock."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, question: str, *arguments: int) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join((question, *map(str, arguments))).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_S)
        if not line:
            raise RuntimeError("a process of the bench has ended; its message is above")
        return json.loads(line)

    async def cpu_ns(self) -> int:
        return int(await self.ask("cpu_ns"))


@asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[Child]:
    async with started(sys.executable, "-m", "bench.child", *arguments) as process:
        yield process


@asynccontextmanager
async def started(*command: str) -> AsyncIterator[Child]:
    """Any program that answers lines with lines of JSON, and ends with its input."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment(), cwd=ROOT)
    try:
        yield Child(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
