"""From a URL to a backend: the part of the scheme before ``+`` is the name of the module that speaks to the node.

A module is a backend by being in this package without an underscore in its name; its ``from_url(url, context)`` makes
one. Backends of other packages come in by the entry point group ``kitestring.backends`` (name: the scheme before
``+``, object: such a ``from_url``).
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qsl, urlsplit

import kitestring.backend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import Backend
from kitestring.base.ports import Clock, Entropy
from kitestring.transport.proxies import Proxies

GROUP: Final = "kitestring.backends"
#: Query members that are no secrets and help to see what is meant; the values of all others are hidden.
_SHOWN: Final = frozenset(
    {"cert", "balance_sat", "latency_ms", "private_hints", "relay", "encryption", "network", "service"}
)
_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
#: Query members that may come several times.
_SEVERAL: Final = frozenset({"relay"})
_NO_BACKENDS: Final = frozenset({"registry", "http"})


def wall_clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class BackendContext:
    """Time, chance and a directory for a backend. ``environment`` is where ``env:NAME`` in a URL is looked up;
    ``proxies`` lead to relays; ``own_key`` is the public key (hex) of the service in front of it, "" where there is
    none."""

    clock: Clock
    entropy: Entropy
    data_dir: Path
    now_ms: Callable[[], int] = wall_clock_ms
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxies: Proxies = field(default_factory=Proxies)
    own_key: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class BackendUrl:
    """A parsed backend URL whose repr hides whatever could be a credential. ``port`` is 0 when it is not given; of what
    may come several times ``query`` has the last."""

    text: str
    scheme: str
    host: str
    port: int
    path: str
    query: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> BackendUrl:
        """Read a URL. Raises KitestringError(MALFORMED); the message never repeats the URL's secrets."""
        try:
            parts = urlsplit(text)
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            port = parts.port or 0
            host = parts.hostname or ""
            if not _KEY.fullmatch(host):  # a wallet's key stands there, too long for a name
                host.encode("idna")
        except ValueError:
            raise KitestringError(
                Reason.MALFORMED, "the backend URL cannot be read: check its host, port and query"
            ) from None
        once = [name for name, _ in pairs if name not in _SEVERAL]
        if len(set(once)) != len(once):
            raise KitestringError(Reason.MALFORMED, "the backend URL says the same thing twice after the ?")
        return cls(text, parts.scheme.lower(), host, port, parts.path, dict(pairs))

    def __repr__(self) -> str:
        query = "&".join(f"{name}={value if name in _SHOWN else '***'}" for name, value in self.query.items())
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{self._bracketed}{port}{self.path}{f'?{query}' if query else ''}"

    __str__ = __repr__

    def origin(self, default_port: int) -> str:
        """``https://host:port`` of ``name+https://host``."""
        return f"{self.scheme.partition('+')[2]}://{self._bracketed}:{self.port or default_port}"

    @property
    def _bracketed(self) -> str:
        """The host as a URL writes it: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def only(self, *known: str) -> None:
        """Raise KitestringError when the query has a member besides these."""
        strange = sorted(set(self.query) - set(known))
        if strange:
            raise KitestringError(
                Reason.MALFORMED, f"{self.scheme}:// does not know {', '.join(strange)}; it knows {', '.join(known)}"
            )

    def integer(self, name: str, default: int) -> int:
        """A non-negative integer of the query. Raises KitestringError."""
        value = self.query.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 16):
            raise KitestringError(Reason.MALFORMED, f"{name} in the backend URL must be a whole number")
        return int(value)


FromUrl = Callable[[BackendUrl, BackendContext], Backend]


def open_backend(
    url: str,
    *,
    clock: Clock,
    entropy: Entropy,
    data_dir: Path,
    now_ms: Callable[[], int] = wall_clock_ms,
    environment: Mapping[str, str] | None = None,
    proxies: Proxies | None = None,
    own_key: str = "",
) -> Backend:
    """The backend that ``url`` names, not opened yet.

    ``now_ms`` is Unix time in milliseconds (a simulator gives its own). Raises KitestringError: MALFORMED for a URL
    that cannot be read, UNSUPPORTED for an unknown scheme.
    """
    parsed = BackendUrl.parse(url)
    context = BackendContext(clock, entropy, data_dir, now_ms, environment or {}, proxies or Proxies(), own_key)
    return _find(parsed)(parsed, context)


def names() -> list[str]:
    """The backends that exist here: the part of their URL scheme before ``+``."""
    return sorted({*_own(), *(entry.name for entry in entry_points(group=GROUP))})


def _own() -> list[str]:
    modules = pkgutil.iter_modules(kitestring.backend.__path__)
    return [module.name for module in modules if "_" not in module.name and module.name not in _NO_BACKENDS]


def _find(url: BackendUrl) -> FromUrl:
    name = url.scheme.partition("+")[0]
    if name in _own():
        return cast("FromUrl", importlib.import_module(f"kitestring.backend.{name}").from_url)
    for entry in entry_points(group=GROUP, name=name):
        return cast("FromUrl", entry.load())
    known = ", ".join(names())
    close = get_close_matches(name, names(), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there is one for each of {known}"
    sentence = f"there is no backend for {url.scheme}://; {hint}"
    if not url.scheme:
        sentence = f"this is not the address of a node: it begins with one of {known}, as in lnd+https://HOST:PORT?…"
    raise KitestringError(Reason.UNSUPPORTED, sentence)
