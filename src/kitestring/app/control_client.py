"""Calls the running service over its Unix socket, for the command line.

Plain ``http.client``: a command makes one call, and loading an event loop and aiohttp would take longer than the call.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any, Final

from kitestring.app.datadir import DataDir
from kitestring.base.errors import KitestringError, Reason

VERSION: Final = 1
#: Seconds beyond what the command itself is told to wait.
TIMEOUT_S: Final = 60.0
#: An answer with a thousand transactions is below 4 MB.
MAX_ANSWER_BYTES: Final = 16_777_216


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("kitestring", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


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
        """The result of one command. Raises KitestringError: what the service refused, or NODE_UNAVAILABLE."""
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        connection = _UnixConnection(self._data_dir.control_path(), TIMEOUT_S + wait_s)
        try:
            connection.request("POST", f"/v{VERSION}/commands/{name}", json.dumps(params), headers)
            answer = connection.getresponse().read(MAX_ANSWER_BYTES)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise not_running(self._data_dir.path) from error
        except PermissionError as error:
            raise KitestringError(
                Reason.NOT_PERMITTED, f"the service on {self._data_dir.path} belongs to another user"
            ) from error
        except TimeoutError as error:
            raise KitestringError(
                Reason.PAYMENT_IN_FLIGHT, "the service has not answered yet; look again with `kitestring transactions`"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise KitestringError(
                Reason.NODE_UNAVAILABLE, f"the service on {self._data_dir.path} went away before it answered"
            ) from error
        finally:
            connection.close()
        return _read(answer)


def not_running(path: Path) -> KitestringError:
    """What every command says that needs the service."""
    return KitestringError(
        Reason.NODE_UNAVAILABLE, f"no service is running on {path}: start it with `kitestring up`", data_dir=str(path)
    )


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
