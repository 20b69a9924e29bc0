"""The reason why somebody was not reached, in a few words for people."""

from __future__ import annotations

import os
import socket
import ssl
from http import HTTPStatus
from typing import Final

import aiohttp

#: Errors whose number is not one of the system's, so that only their own words say what it was.
_OWN_WORDS: Final = (ssl.SSLError, socket.gaierror, socket.herror)


def trouble(error: BaseException) -> str:
    """Name what went wrong. aiohttp's own sentences repeat the address and show its parameters, and of a proxy its
    password: none of them is told."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientResponseError):
        return _answered(error)
    cause = getattr(error, "os_error", error)  # what a failure to connect stands for in aiohttp
    if not isinstance(cause, OSError) or not cause.errno:
        return str(error) or repr(error)
    if isinstance(cause, _OWN_WORDS):
        return cause.strerror or str(cause)
    return os.strerror(cause.errno).lower()


def _answered(error: aiohttp.ClientResponseError) -> str:
    """Name an answer that is not the one that was wanted, by nothing but its number."""
    if type(error) is aiohttp.ClientResponseError:  # the head could not be read
        return "what answers there does not speak HTTP"
    number = f"HTTP status {error.status}"
    known = next((f", {one.phrase.lower()}" for one in HTTPStatus if one == error.status), "")
    return (
        f"the proxy answers with {number}{known}" if isinstance(error, aiohttp.ClientHttpProxyError) else number + known
    )
