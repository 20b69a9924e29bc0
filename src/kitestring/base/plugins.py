"""Methods that a plugin adds to Nostr Wallet Connect: its name, its params, its permission and who carries it out.

A package of somebody's own names such a value under the entry point ``kitestring.nwc_methods``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

#: The entry points under which plugins are found.
GROUP: Final = "kitestring.nwc_methods"


@dataclass(frozen=True, slots=True)
class Asker:
    """The one who asks: the connection by its name and id, and the public key of its app (64 hex digits).

    ``request_id`` names the request. A handler that died before its answer was stored is called again with the same
    one, once its app asks again: what it changes is to be done once for each.
    """

    request_id: str
    connection: str
    connection_id: str
    client: str


#: Carries a request out: its params, as an instance of the plugin's ``params``, and who asks. The result becomes a JSON
#: object. A KitestringError is told to the app with its sentence; any other error is told as INTERNAL, without a word.
MethodHandler = Callable[[Any, Asker], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class MethodPlugin:
    """One method. ``name`` has small letters, digits and underscores; a connection may call it that lists
    ``permission`` ("" = its name), which no connection has unless its owner names it. ``params`` is the form of its
    params: others are refused. A handler has 10 seconds, and its result at most 40,000 bytes. It is given no access to
    money, and is trusted like the rest of the service: it runs inside of it."""

    name: str
    params: type[msgspec.Struct]
    handler: MethodHandler
    permission: str = ""

    @property
    def needs(self) -> str:
        """The name that a grant lists to allow it."""
        return self.permission or self.name
