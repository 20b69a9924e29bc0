"""Calls the running service over its Unix socket, for the command line.

Plain ``http.client``: a command makes one call, and loading an event loop and aiohttp would take longer than the call.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from kitestring.app.home.datadir import DataDir, not_running
from kitestring.app.owner.table import VERSION
from kitestring.base.errors import KitestringError, Reason

#: Seconds beyond what the command itself is told to wait.
TIMEOUT_S: Final = 60.0
#: An answer with a thousand transactions is below 4 MB.
MAX_ANSWER_BYTES: Final = 16_777_216
#: A line of the activity: a description of 64 kB, written in escapes, and all the rest.
MAX_LINE_BYTES: Final = 1_048_576
#: Seconds between two looks at whether somebody still reads.
LOOK_S: Final = 0.5


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("kitestring", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _EndlessConnection(_UnixConnection):
    """Asks in the older version, in which an answer without a length ends with the connection, and is not in parts."""

    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


class ControlClient:
    """One data directory's service. Every call opens its own connection."""

    def __init__(self, data_dir: DataDir) -> None:
        self._data_dir = data_dir

    def is_running(self) -> bool:
        """Whether somebody listens on the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self._data_dir.control_path()))
            except OSError:
                return False
        return True

    def call(self, name: str, params: dict[str, Any], key: str = "", *, wait_s: float = 0) -> dict[str, Any]:
        """The result of one command. Raises KitestringError: what the service refused, UNAVAILABLE when it was
        never given the command, PAYMENT_IN_FLIGHT (a payment) or INTERNAL (any other change) when it was and nobody can
        say what it did. Repeating with the same ``key`` is safe then."""
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        connection = _UnixConnection(self._data_dir.control_path(), TIMEOUT_S + wait_s)
        with contextlib.closing(connection):
            self._connect(connection)
            try:
                connection.request("POST", f"/v{VERSION}/commands/{name}", json.dumps(params), headers)
                with connection.getresponse() as response:
                    answer = response.read(MAX_ANSWER_BYTES)
                    if response.length:  # read() with a limit does not say so itself
                        raise http.client.IncompleteRead(answer)
            except TimeoutError as error:
                raise _unanswered(name, key, "the service has not answered yet") from error
            except (OSError, http.client.HTTPException) as error:
                raise _unanswered(name, key, f"the service on {self._data_dir.path} went away") from error
        return _read(answer)

    def activity(self, since: str, gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Read what happens in the service, after the position ``since`` or from now on: the first one tells where it
        begins. Ends when whoever reads it is ``gone``, which is looked at twice a second.

        Raises KitestringError: what the service refused, UNAVAILABLE when it is not there, or not any more.
        """
        connection = _EndlessConnection(self._data_dir.control_path(), TIMEOUT_S)
        with contextlib.closing(connection):
            self._connect(connection)
            try:
                connection.request("GET", f"/v{VERSION}/activity?{urlencode({'since': since})}")
                with connection.getresponse() as response:
                    if response.status != http.HTTPStatus.OK:
                        _read(response.read(MAX_ANSWER_BYTES))
                    yield from map(json.loads, filter(None, _lines(response, gone)))
            except (OSError, http.client.HTTPException) as error:
                raise self._went_away() from error
            if not gone():
                raise self._went_away()

    def _went_away(self) -> KitestringError:
        sentence = f"the service on {self._data_dir.path} has stopped, or does not answer"
        return KitestringError(Reason.UNAVAILABLE, sentence)

    def _connect(self, connection: _UnixConnection) -> None:
        """Connect. Raises KitestringError; a command that fails here has never reached the service."""
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise not_running(self._data_dir.path) from error
        except PermissionError as error:
            raise KitestringError(
                Reason.NOT_PERMITTED, f"the service on {self._data_dir.path} belongs to another user"
            ) from error
        except OSError as error:
            sentence = f"the service on {self._data_dir.path} takes no commands now: try again"
            raise KitestringError(Reason.UNAVAILABLE, sentence) from error


def _lines(response: http.client.HTTPResponse, gone: Callable[[], bool]) -> Iterator[bytes]:
    """The lines of an answer without an end, as they come. Raises TimeoutError where none comes for a long time."""
    rest, due = response.read1(MAX_LINE_BYTES), time.monotonic() + TIMEOUT_S  # the first line comes at once
    while not gone():
        *lines, rest = rest.split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE_BYTES:
            raise http.client.LineTooLong("line of the activity")
        while not select.select((response,), (), (), LOOK_S)[0]:
            if gone():
                return
            if time.monotonic() > due:
                raise TimeoutError
        part, due = response.read1(MAX_LINE_BYTES), time.monotonic() + TIMEOUT_S
        if not part:
            return
        rest += part


def _unanswered(name: str, key: str, what: str) -> KitestringError:
    """The error of a command that was sent: one that changes something may have been, or may still be, carried out."""
    if not key:
        return KitestringError(Reason.UNAVAILABLE, f"{what}: try again")
    if name in {"pay", "keysend", "approve"}:
        sentence = (
            f"{what} after it was given the payment, which may be made; `kitestring transactions --unpaid` shows it"
        )
        return KitestringError(Reason.PAYMENT_IN_FLIGHT, sentence)
    return KitestringError(Reason.INTERNAL, f"{what} after it was given the command, which may be carried out")


def _read(answer: bytes) -> dict[str, Any]:
    try:
        body: dict[str, Any] = json.loads(answer)
        if body["ok"]:
            result: dict[str, Any] = body["result"]
            return result
        reason, message, details = Reason(body["reason"]), str(body["message"]), dict(body["details"])
    except (ValueError, KeyError, TypeError) as error:
        raise KitestringError(Reason.INTERNAL, "the service failed at this command; its log says why") from error
    raise KitestringError(reason, message, **details)
