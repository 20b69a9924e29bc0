"""The time of others, from the ``Date`` of their HTTP answers (RFC 9110, 6.6.1): whole seconds, in UTC."""

from __future__ import annotations

import asyncio
import calendar
from collections.abc import Mapping
from email.utils import parsedate_tz
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from kitestring.base.clocks import ClockReading, reading
from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock
from kitestring.codec.hosts import is_public
from kitestring.transport.dial import Dialer

#: Seconds for a relay to say what time it is; one behind Tor needs most of them.
ASK_LIMIT_S: Final = 8.0
#: The end of the year 9999: what is later, or before 1970, is no time that anybody's clock shows.
LAST_TIME: Final = 253_402_300_799
#: Ends of names that lead to no public address, or by a way of which nobody sees the end.
PRIVATE_NAMES: Final = (".localhost", ".local", ".internal", ".lan", ".home", ".arpa", ".onion")


def unix_time(headers: Mapping[str, str]) -> int | None:
    """The ``Date`` of an answer in Unix seconds; None where there is none, or where a cache kept the answer (``Age``):
    its date is that of long ago."""
    parsed = parsedate_tz(headers.get("Date", ""))
    if parsed is None or headers.get("Age", "0").strip() != "0":
        return None
    try:
        found = calendar.timegm(parsed[:6]) - (parsed[9] or 0)
    except (ValueError, OverflowError):  # a year that is none
        return None
    return found if 0 <= found <= LAST_TIME else None


def machine_of(url: str) -> str:
    """The host that ``url`` names if it is on a public address, "" where it may be this machine."""
    host = urlsplit(url).hostname or ""
    if ":" in host or host.replace(".", "").isdigit():
        return host if is_public(host) else ""
    return host if "." in host and not host.endswith(PRIVATE_NAMES) else ""


async def read_relay_clock(dialer: Dialer, url: str, clock: Clock) -> ClockReading | None:
    """Compare ``clock`` with the relay's, by one question for the page about itself (NIP-11).

    None where it does not say, or is not reached: whether it can be used at all is told elsewhere.
    """
    before = clock.now()
    try:
        async with asyncio.timeout(ASK_LIMIT_S):
            theirs = unix_time(await dialer.ask_about(url))
    except (KitestringError, aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None
    return None if theirs is None else reading(url, machine_of(url), theirs, before, clock.now())
