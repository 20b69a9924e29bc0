"""Names that somebody else has written, looked up in threads of their own.

The system answers one name per thread, and a name server that says nothing keeps the thread for half a minute. So such
names never stand in the way of our own relays, of the node, or of anything else that waits for a thread.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

#: Names of others that are looked up at once; further ones wait, within the time of their connection.
MAX_AT_ONCE: Final = 8
#: A row of ``getaddrinfo``.
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]

_threads: Final = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="names-of-others")


async def resolve(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the system for the addresses behind a name of our own. Raises OSError."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def resolve_foreign(
    host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
) -> Sequence[AddressInfo]:
    """The same for a name of somebody else. Raises OSError."""
    ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
    return await asyncio.get_running_loop().run_in_executor(_threads, ask)


class ForeignNames(AbstractResolver):
    """The resolver of connections to addresses that somebody else has written."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return as_resolved(host, port, await resolve_foreign(host, port, family))

    async def close(self) -> None:
        """The threads are everybody's."""


def as_resolved(host: str, port: int, addresses: Sequence[AddressInfo]) -> list[ResolveResult]:
    """Addresses as aiohttp takes them."""
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=numeric)
        for kind, _, protocol, _, address in addresses
    ]
