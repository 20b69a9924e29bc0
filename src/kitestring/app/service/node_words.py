"""The node as its owner asks for it: failures are told in the node's own words, which no wire ever sees."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from kitestring.app.home.config import Config
from kitestring.base.errors import KitestringError, Reason, in_plain_words
from kitestring.base.node import Backend
from kitestring.base.ports import Clock, Entropy

T = TypeVar("T")


async def told(call: Awaitable[T]) -> T:
    """The answer. Raises KitestringError(UNAVAILABLE) with the cause, whatever the backend raised."""
    try:
        return await call
    except KitestringError:
        raise
    except Exception as failure:
        raise KitestringError(
            Reason.UNAVAILABLE,
            f"the Lightning node cannot be used: {in_plain_words(failure)}; does it run, and are its address"
            " and its credentials (certificate and macaroon, or the wallet's link) the right ones?",
        ) from failure


def in_its_words(message: str, private: str) -> str:
    """The sentence for the owner: with the node's own words where the engine has kept them, else ``message``."""
    return f"the Lightning node cannot be used: {private}" if private else message


def node_of(config: Config, data_dir: Path, clock: Clock, entropy: Entropy, own_key: str = "") -> Backend:
    """The node that the settings name, not opened yet. ``own_key`` is that of the service, which is no node of its own.
    Raises KitestringError that names the setting."""
    from kitestring.backend.registry import open_backend  # noqa: PLC0415 - most commands only want the words

    try:
        return open_backend(
            config.node_url,
            clock=clock,
            entropy=entropy,
            data_dir=data_dir,
            environment=config.environment,
            proxies=config.proxies,
            own_key=own_key,
        )
    except KitestringError as error:
        raise KitestringError(error.reason, f"the setting node: {error.message}", key="node") from error
