"""The door of the relay: lets connections in, never more than there are file descriptors for."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
import struct
from collections.abc import Callable
from typing import Final

from kitestring.relay.limits import RECEIVE_BUFFER_BYTES
from kitestring.relay.seats import Seat, Seats, place_of

#: File descriptors that connections never get: ledgers, the control socket, the node and foreign relays need some
#: dozens, and a service that cannot open one more can neither answer nor stop cleanly.
RESERVED_DESCRIPTORS: Final = 128
#: Connections taken in one turn of the event loop, so that a storm of them does not keep others waiting …
ACCEPTS_PER_TURN: Final = 8
#: … and those that wait in the kernel meanwhile: everybody comes back at once after a restart.
BACKLOG: Final = 1_024
#: Seconds without accepting after the system had no descriptor or memory left: asking again at once would only spin.
ACCEPT_PAUSE_S: Final = 1.0
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: SO_LINGER on, zero seconds: a refused connection is reset and leaves nothing behind here.
_RESET: Final = struct.pack("ii", 1, 0)

_log: Final = logging.getLogger(__name__)


def affordable_connections(wanted: int) -> int:
    """The number of ``wanted`` connections that this process has descriptors for, at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    in_use = len(os.listdir("/dev/fd"))  # noqa: PTH208 - names are enough
    return max(1, min(wanted, soft - in_use - RESERVED_DESCRIPTORS))


class Listener:
    """Makes a protocol with ``serve`` for each connection that has a seat; others are reset.

    An asyncio server would first make a transport for each and, without descriptors, log and retry without end.
    """

    def __init__(self, serve: Callable[[Seat], asyncio.Protocol], seats: Seats) -> None:
        self._serve: Final = serve
        self._seats: Final = seats
        self._sockets: Final[list[socket.socket]] = []
        self._arriving: Final[set[asyncio.Task[None]]] = set()
        self._pauses: Final[dict[socket.socket, asyncio.TimerHandle]] = {}

    async def open(self, host: str, port: int) -> int:
        """Listen; the port. Raises OSError when the address cannot be had."""
        bound = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
        try:
            self._sockets.extend(each.dup() for each in bound.sockets)
        finally:
            bound.close()
        for each in self._sockets:
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)  # its connections inherit it
            each.listen(BACKLOG)
            self._resume(each)
        return int(self._sockets[0].getsockname()[1])

    async def close(self) -> None:
        """No longer listen. May be called again."""
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.remove_reader(each)
            each.close()
        self._sockets.clear()
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _resume(self, listening: socket.socket) -> None:
        self._pauses.pop(listening, None)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connection, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(listening, error)
                    return
                continue  # the news of one connection that has ended already
            seat = self._seats.take(place_of(peer))
            if seat is not None:
                self._welcome(connection, seat)
            else:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        _log.warning("the relay cannot take connections at the moment: %s; raise ulimit -n", error.strerror)
        loop.remove_reader(listening)
        self._pauses[listening] = loop.call_later(ACCEPT_PAUSE_S, self._resume, listening)

    def _welcome(self, connection: socket.socket, seat: Seat) -> None:
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._connect(connection, seat))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _connect(self, connection: socket.socket, seat: Seat) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self._serve(seat), connection)
        except OSError:  # gone before it began
            connection.close()
            seat.free()
