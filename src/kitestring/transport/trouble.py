"""The reason why somebody was not reached, in a few words for people."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

#: Errors whose number is not one of the system's, so that only their own words say what it was.
_OWN_WORDS: Final = (ssl.SSLError, socket.gaierror, socket.herror)


def trouble(error: BaseException) -> str:
    """Name what went wrong. aiohttp's own sentences repeat the address and show its parameters."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    cause = getattr(error, "os_error", error)  # what a failure to connect stands for in aiohttp
    if not isinstance(cause, OSError) or not cause.errno:
        return str(error) or repr(error)
    if isinstance(cause, _OWN_WORDS):
        return cause.strerror or str(cause)
    return os.strerror(cause.errno).lower()
