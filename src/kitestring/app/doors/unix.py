"""The first door to the owner's commands: HTTP on the Unix socket in the data directory.

``POST /v1/commands/NAME`` with a JSON object and, for mutating commands, an ``Idempotency-Key`` header. Answers are
``{"ok":true,"result":…}`` or ``{"ok":false,"reason":…,"message":…,"details":…}``. ``GET /v1`` tells what there is.

``GET /v1/activity?since=POSITION`` is one JSON object per line, for as long as the reader stays: first where it begins
(``{"event":"begins","position":…}``), then what happens; an empty line where nothing has happened for a while.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from aiohttp import web

from kitestring import __version__
from kitestring.app.owner.activity import ActivityReader, ActivityReaders, read_position
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.desk import Desk
from kitestring.app.owner.table import VERSION
from kitestring.app.service.execute import Result
from kitestring.base.errors import CodecError, Exit, KitestringError, Reason
from kitestring.base.rights import Right
from kitestring.codec.json import dumps, loads_object

#: Parameters of one command; the longest target has 16 KB.
MAX_BODY_BYTES: Final = 65_536
KEY_HEADER: Final = "Idempotency-Key"
#: Seconds for a complete request, and of a connection that asks for nothing more: whoever sends one half holds neither
#: memory nor a descriptor for long.
REQUEST_S: Final = 30.0
#: Seconds that open requests get when the service stops, of the ten that the service has for all.
SHUTDOWN_S: Final = 9.0

#: Seconds without news after which a reader of the activity is sent an empty line: one that is gone is found out.
STILL_THERE_S: Final = 15.0
#: Seconds that such a reader may take for what it was sent, beyond what the system keeps for it: then it is left.
SLOW_READER_S: Final = 300.0

_STATUS: Final = {
    Exit.INTERNAL: 500,
    Exit.USAGE: 400,
    Exit.PAYMENT_FAILED: 422,
    Exit.UNAVAILABLE: 503,
    Exit.REFUSED: 403,
    Exit.RATE_LIMITED: 429,
    Exit.PENDING: 202,
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlServer:
    """Serves ``commands`` on a listening Unix socket that :meth:`DataDir.bind_control` made.

    The system lets nobody but the owner reach the socket, so the caller of each command is the owner's own grant.
    """

    def __init__(
        self, commands: OwnerCommands[Desk], listener: socket.socket, looking: ActivityReaders | None = None
    ) -> None:
        self._commands: Final = commands
        self._readers: Final[set[asyncio.Task[None]]] = set()
        self._listener: Final = listener
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors, _same_user])
        app.router.add_get("/v1", self._describe)
        if looking is not None:
            app.router.add_get("/v1/activity", partial(self._activity, looking))
        app.router.add_post("/v1/commands/{name}", self._command)
        self._runner: Final = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=REQUEST_S
        )

    async def start(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener).start()

    async def stop(self) -> None:
        """Take no more, and let commands that run finish. Readers of the activity are left: they
        have a position to go on from."""
        for task in self._readers:
            task.cancel()
        await self._runner.cleanup()

    async def _activity(self, looking: ActivityReaders, request: web.Request) -> web.StreamResponse:
        """Tell what happens, until the reader goes away, is too slow, or the service stops."""
        since = request.query.get("since", "")
        self._commands.permit(await self._commands.owner(), Right.READ, "watch")
        reader = await looking.begin(read_position(since) if since else None)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with reader:
            await response.prepare(request)
            telling = asyncio.get_running_loop().create_task(_tell(reader, response))
            self._readers.add(telling)
            try:
                await asyncio.wait((telling,))
            finally:
                self._readers.discard(telling)
                telling.cancel()
                if request.transport is not None:
                    request.transport.abort()  # what a slow reader has not taken is not waited for
        return response

    async def _describe(self, _request: web.Request) -> web.Response:
        commands = [
            {"name": spec.name, "mutating": spec.mutating, "right": spec.right.value, "doc": spec.doc}
            for spec in all_commands().values()
        ]
        return _answer(
            {
                "version": VERSION,
                "kitestring": __version__,
                "service_pubkey": self._commands.service_id,
                "commands": commands,
            }
        )

    async def _command(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(REQUEST_S):
                body = await request.read()
            params = loads_object(body.decode() or "{}")
        except TimeoutError as error:
            raise KitestringError(Reason.MALFORMED, f"the command was not complete within {REQUEST_S:.0f} s") from error
        except (CodecError, UnicodeDecodeError) as error:
            raise KitestringError(Reason.MALFORMED, f"the parameters cannot be read: {error}") from error
        key, name = request.headers.get(KEY_HEADER, ""), request.match_info["name"]
        return _answer(await self._commands.run(await self._commands.owner(), name, params, key))


async def _tell(reader: ActivityReader, response: web.StreamResponse) -> None:
    """Write what happens. Nobody waits for this reader: what it has not read is in the ledger."""
    told: Result | None = {"event": "begins", "position": reader.position}
    with suppress(ConnectionError, TimeoutError):
        while True:
            line = "" if told is None else dumps(told)
            async with asyncio.timeout(SLOW_READER_S):
                await response.write(f"{line}\n".encode())
            told = await reader.next(STILL_THERE_S)


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except KitestringError as error:
        return _refusal(error)
    except web.HTTPException as error:
        return _refusal(_in_our_words(error))


def _in_our_words(error: web.HTTPException) -> KitestringError:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return KitestringError(Reason.MALFORMED, f"a command has at most {MAX_BODY_BYTES} bytes")
    sentence = f"this service speaks version {VERSION} at /v{VERSION}; {error.reason.lower()}"
    return KitestringError(Reason.UNKNOWN_TARGET, sentence)


@web.middleware
async def _same_user(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Refuse other users. The socket's mode does so too; this holds even where somebody has changed it."""
    uid = peer_uid(request)
    if uid is not None and uid != os.getuid():
        raise KitestringError(Reason.NOT_PERMITTED, "this socket serves the user who runs the service, nobody else")
    return await handler(request)


def peer_uid(request: web.Request) -> int | None:
    """The user at the other end, where the system tells."""
    option = getattr(socket, "SO_PEERCRED", None)
    peer = None if request.transport is None else request.transport.get_extra_info("socket")
    if option is None or peer is None:
        return None
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return int(uid)


def _answer(result: Result) -> web.Response:
    return _json(200, {"ok": True, "result": result})


def _refusal(error: KitestringError) -> web.Response:
    body = {"ok": False, "reason": error.reason.value, "message": error.message, "details": error.details}
    return _json(_STATUS[error.exit_code], body)


def _json(status: int, body: Result) -> web.Response:
    return web.Response(status=status, text=dumps(body), content_type="application/json")
