"""The address of a relay that listens on this machine, as its clients and its codes name it."""

from __future__ import annotations

from typing import Final

#: How a relay on all addresses is reached from this machine.
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - names, no binding


def dialled(host: str) -> str:
    """The name under which a relay that listens on ``host`` is dialled."""
    return _WILDCARDS.get(host, f"[{host}]" if ":" in host else host)


def relay_url(host: str, port: int) -> str:
    """The URL of a relay that listens on ``host`` and ``port``."""
    return f"ws://{dialled(host)}:{port}"
