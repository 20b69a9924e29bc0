"""Waiting for what tells nobody when it comes true: a file, another process, a thread, a buffer of the system."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

from tests.kit.clock import PATIENCE_S


async def until(
    holds: Callable[[], object], what: str = "it never came true", *, limit_s: float = PATIENCE_S, pause_s: float = 0.0
) -> None:
    """Look every ``pause_s`` seconds until ``holds()`` is true, or what it returns to be awaited.

    Raises AssertionError with ``what`` after ``limit_s`` seconds.
    """
    try:
        async with asyncio.timeout(limit_s) as limit:
            while not await _value(holds()):  # noqa: ASYNC110 - nobody sets an event
                await asyncio.sleep(pause_s)
    except TimeoutError:
        if not limit.expired():
            raise
        raise AssertionError(f"not within {limit_s:.0f} s: {what}") from None


async def _value(answer: object) -> object:
    return await answer if inspect.isawaitable(answer) else answer
