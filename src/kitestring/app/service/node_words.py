"""Questions to the node that the owner asks: failures are told in the node's own words, which no wire ever sees."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from kitestring.base.errors import KitestringError, Reason

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
            f"the Lightning node cannot be used: {failure or type(failure).__name__}; does it run, and are its address,"
            " certificate and macaroon the right ones?",
        ) from failure


def in_its_words(message: str, private: str) -> str:
    """The sentence for the owner: with the node's own words where the engine has kept them, else ``message``."""
    return f"the Lightning node cannot be used: {private}" if private else message
