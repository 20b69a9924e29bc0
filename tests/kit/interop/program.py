"""The service as a newcomer runs it, and an independent witness of what goes over the relay.

The service is always a process of its own, started and spoken to through the command line alone.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.waiting import until
from tests.rig.process import Process, spawn, wait_until

PROGRAM = (sys.executable, "-m", "kitestring")
# A command has at most one payment to wait for; everything else answers at once.
COMMAND_LIMIT_S = 60
# What is waited for here takes a second or two; beyond this it does not come.
WAIT_LIMIT_S = 30.0
_ASK_AGAIN_S = 0.02
_LISTENING = "0A"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        value: Json = json.loads(self.out)
        return value


class Kitestring:
    """One data directory, and the service on it while it runs."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self._options = options
        self._process: Process | None = None
        self.card: Json = {}

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Returns when the card is shown: the service listens then. The card of the very first start has a NWC URI."""
        self.home.parent.mkdir(parents=True, exist_ok=True)
        log = self.home.parent / f"{self.home.name}.log"
        begin = log.stat().st_size if log.exists() else 0
        command = [*PROGRAM, "up", "--data-dir", str(self.home), "--json", *self._options]
        self._process = spawn(self.home.name, command, self.home.parent)

        def cards() -> list[str]:
            return [line for line in log.read_bytes()[begin:].decode().splitlines() if line.startswith('{"relay"')]

        wait_until(lambda: bool(cards()), "the service shows its card", self._process)
        self.card = json.loads(cards()[0])

    def stop(self) -> int:
        """The way a person stops it; returns its exit code."""
        return self.process.stop()

    def kill(self) -> None:
        """The way a power cut stops it."""
        self.process.send(signal.SIGKILL)
        self.process.wait_or_kill(5)

    def run(self, *arguments: str) -> Answer:
        """A command in a second shell, for people."""
        command = [*PROGRAM, *arguments, "--data-dir", str(self.home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    def ask(self, *arguments: str) -> Json:
        """A command in a second shell, for programs; it must succeed."""
        answer = self.run(*arguments, "--json")
        assert answer.code == 0, f"kitestring {' '.join(arguments)}: {answer.out} {answer.err}"
        return answer.json

    async def ask_apart(self, *arguments: str) -> Json:
        """The same, while this event loop goes on."""
        return await asyncio.to_thread(self.ask, *arguments)

    def connect(self, name: str, *options: str) -> str:
        """The URI of a new wallet connection, which may do everything that ``options`` do not take from it, and sees
        its own payments unless they say otherwise."""
        methods = () if {"--methods", "--preset"}.intersection(options) else ("--methods", "all")
        budget = () if "--budget" in options else ("--no-budget",)
        history = () if "--show-history" in options else ("--show-history", "own")
        return str(self.ask("connect", name, *methods, *budget, *history, *options)["nwc_uri"])

    def offer(self, label: str, *options: str) -> str:
        """A new offer's code."""
        return str(self.ask("offer", "create", label, *options)["noffer"])

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Straight from the ledger's file, past all of kitestring's code."""
        address = f"file:{self.home / 'kitestring.db'}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql, values).fetchall()

    def booked(self, payment_hash: str) -> sqlite3.Row:
        """The one payment with this hash."""
        (row,) = self.rows("SELECT * FROM payments WHERE payment_hash = ?", payment_hash)
        return row

    def entries(self, payment_hash: str) -> dict[str, int]:
        """The double entry of a payment: account → msat."""
        booked = self.booked(payment_hash)
        entry = f"payment {booked['payment']}"
        rows = self.rows("SELECT account_id, amount_msat FROM entries WHERE entry = ?", entry)
        return {row["account_id"]: row["amount_msat"] for row in rows}

    def listening(self) -> list[str]:
        """Every TCP address the process listens on, as the kernel sees it."""
        fds = Path(f"/proc/{self.process.pid}/fd")
        links = [str(fd.readlink()) for fd in fds.iterdir() if fd.is_symlink()]
        inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
        found = []
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self.process.pid}/net/{table}").read_text().splitlines()[1:]:
                cells = line.split()
                if cells[3] == _LISTENING and cells[9] in inodes:
                    found.append(cells[1])
        return found


# ---- the witness -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Witness:
    """Every event that a relay shows to somebody who asks for all of them, in order, each once."""

    socket: aiohttp.ClientWebSocketResponse
    events: list[Json] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def listen(self) -> None:
        await self.socket.send_str(json.dumps(["REQ", "all", {}]))
        async for message in self.socket:
            frame = json.loads(message.data)
            async with self._news:
                self._take(frame)
                self._news.notify_all()

    def _take(self, frame: list[Any]) -> None:
        if frame[0] == "EVENT" and frame[2]["id"] not in {event["id"] for event in self.events}:
            self.events.append(frame[2])
        elif frame[0] == "OK" and frame[2]:
            self.accepted.add(frame[1])
        elif frame[0] == "EOSE":
            self._ready.set()

    async def ready(self) -> None:
        await asyncio.wait_for(self._ready.wait(), WAIT_LIMIT_S)

    async def publish(self, event: Json) -> None:
        """Send an event; returns when the relay has taken it."""
        await self.socket.send_str(json.dumps(["EVENT", event]))
        await self.until(lambda: event["id"] in self.accepted, f"the relay takes {event['id']}")

    async def until(self, condition: Callable[[], object], what: str, limit_s: float = WAIT_LIMIT_S) -> None:
        """Wait, with a limit, until what was seen fulfils a condition."""
        try:
            async with asyncio.timeout(limit_s), self._news:
                await self._news.wait_for(lambda: bool(condition()))
        except TimeoutError:
            kinds = [event["kind"] for event in self.events]
            raise AssertionError(f"not within {limit_s:.0f} s: {what}; seen were {kinds}") from None

    def of(self, kind: int, author: str = "", to: str = "", answers: str = "") -> list[Json]:
        """The events of a kind seen so far, narrowed by author, first `p` and first `e`."""
        return [
            event
            for event in self.events
            if event["kind"] == kind
            and author in ("", event["pubkey"])
            and to in ("", tag(event, "p"))
            and answers in ("", tag(event, "e"))
        ]

    async def one(self, kind: int, author: str = "", to: str = "", answers: str = "") -> Json:
        """The first such event, as soon as it is there."""
        await self.until(lambda: self.of(kind, author, to, answers), f"an event of kind {kind}")
        return self.of(kind, author, to, answers)[0]


def tag(event: Json, name: str) -> str | None:
    """The value of an event's first tag of this name."""
    return next((values[1] for values in event["tags"] if values[0] == name), None)


async def eventually(ask: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask again, within a limit, until the answer is yes."""
    await until(ask, what, limit_s=WAIT_LIMIT_S, pause_s=_ASK_AGAIN_S)


@asynccontextmanager
async def witnessing(relay: str) -> AsyncIterator[Witness]:
    async with aiohttp.ClientSession() as session, session.ws_connect(relay, max_msg_size=0) as socket:
        witness = Witness(socket)
        listening = asyncio.create_task(witness.listen())
        try:
            await witness.ready()
            yield witness
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


# ---- scripts ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Script:
    """A running script for node: it says one JSON object per line."""

    child: asyncio.subprocess.Process

    async def line(self) -> Json:
        assert self.child.stdout is not None
        text = await asyncio.wait_for(self.child.stdout.readline(), WAIT_LIMIT_S)
        assert text, await self._why()
        value: Json = json.loads(text)
        return value

    async def end(self) -> None:
        """It must end by itself, and well."""
        assert await asyncio.wait_for(self.child.wait(), WAIT_LIMIT_S) == 0, await self._why()

    async def _why(self) -> str:
        assert self.child.stderr is not None
        return f"the script ended: {(await self.child.stderr.read()).decode()[-2_000:]}"


@asynccontextmanager
async def running(command: Sequence[str], given: Json) -> AsyncIterator[Script]:
    """Start a script and hand it one JSON object on standard input."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, limit=2**24)
    try:
        assert child.stdin is not None
        child.stdin.write(json.dumps(given).encode())
        await child.stdin.drain()
        child.stdin.close()
        yield Script(child)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        child._transport.close()  # type: ignore[attr-defined]  # or its pipes are reported as left open
