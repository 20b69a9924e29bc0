"""A foreign wallet client as a process of its own that is asked one question after the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.kit.interop.program import WAIT_LIMIT_S, Json


class ClientError(Exception):
    """What a foreign client has thrown: ``name`` is the class of its error, ``code`` the wallet's code in it."""

    def __init__(self, name: str, code: str | None, message: str) -> None:
        super().__init__(f"{name} {code}: {message}")
        self.name, self.code, self.message = name, code, message


class Asked:
    """``await asked("payInvoice", {"invoice": …})`` calls that method of the client, whatever its language calls it."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self._turn = asyncio.Lock()

    async def __call__(self, method: str, *arguments: object) -> Any:
        async with self._turn:
            self.ask(method, *arguments)
            return await self.answer()

    def ask(self, method: str, *arguments: object) -> None:
        """The same without waiting: :meth:`answer` is called later."""
        self.write({"call": method, "with": arguments})

    async def answer(self) -> Any:
        """The result of the oldest call that was asked for. Raises ClientError."""
        answer = await self._line()
        if "error" in answer:
            error = answer["error"]
            raise ClientError(error["name"], error.get("code"), error["message"])
        return answer["result"]

    def write(self, value: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(value).encode() + b"\n")

    async def _line(self) -> Json:
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        text = await asyncio.wait_for(self._child.stdout.readline(), WAIT_LIMIT_S)
        assert text, f"the client ended: {(await self._child.stderr.read()).decode()[-2_000:]}"
        value: Json = json.loads(text)
        return value


@asynccontextmanager
async def asking(command: Sequence[str], client: str, uri: str) -> AsyncIterator[Asked]:
    """Start the client of this name in ``scripts/wallets.mjs`` on a connection."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, limit=2**24)
    asked = Asked(child)
    asked.write({"client": client, "uri": uri})
    try:
        yield asked
        assert child.stdin is not None
        child.stdin.close()
        assert await asyncio.wait_for(child.wait(), WAIT_LIMIT_S) == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        child._transport.close()  # type: ignore[attr-defined]  # or its pipes are reported as left open
