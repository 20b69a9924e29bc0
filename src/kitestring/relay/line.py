"""One TCP connection below HTTP: its bytes are counted, and it has a seat."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from kitestring.relay.inflow import Inflow, Inflows
from kitestring.relay.limits import LARGEST_HEADER_BYTES, MAX_HEADERS, REQUEST_TIMEOUT_S
from kitestring.relay.seats import Seat

#: aiohttp wants a log of requests; strangers would fill it.
_UNHEARD: Final = logging.Logger("relay requests", logging.CRITICAL)
#: Errors of ours are told. What is no HTTP is told to whoever sent it: each would be a traceback in the log.
_ERRORS: Final = logging.getLogger("kitestring.relay.requests")


def _is_ours(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


_ERRORS.addFilter(_is_ours)


class Line(web.RequestHandler):
    """The protocol that aiohttp makes for a connection, with a look at every byte before its parsers keep it."""

    __slots__ = ("inflow", "seat")

    def __init__(self, server: web.Server, inflows: Inflows, seat: Seat) -> None:
        super().__init__(
            server, loop=asyncio.get_running_loop(), logger=_ERRORS, access_log=_UNHEARD,
            keepalive_timeout=REQUEST_TIMEOUT_S, max_line_size=LARGEST_HEADER_BYTES,
            max_field_size=LARGEST_HEADER_BYTES, max_headers=MAX_HEADERS,
        )  # fmt: skip
        self.inflow: Final = Inflow(inflows, self._abort, self.resume_reading)
        self.seat: Final = seat

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.seat.leave = self._abort
        if self.seat.is_gone:
            self._abort()

    def data_received(self, data: bytes) -> None:
        if self.inflow.came(data):
            super().data_received(data)
            if self.inflow.is_full:
                self.pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called by aiohttp for every message that is taken: reading goes on when few enough are left."""
        if not self.inflow.is_full:
            super().resume_reading(resume_parser)

    def connection_lost(self, error: BaseException | None) -> None:
        self.inflow.leave()
        self.seat.free()
        super().connection_lost(error)
