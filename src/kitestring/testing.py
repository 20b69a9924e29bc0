"""Fixtures for pytest: a service that really runs, and the world outside of it, for the tests of a program that pays.

Name it in your ``conftest.py`` or in the test file: ``pytest_plugins = ["kitestring.testing"]``. It needs pytest alone,
and works with and without asyncio in the tests. Each test has a world of its own, which costs it about a second.
(PYTEST_DONT_REWRITE: there is no assertion here, and a test file may import this before it names it as a plugin.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from kitestring.app.bench import RunningService
from kitestring.base.budgets import Budget
from kitestring.base.money import sat
from kitestring.sdk.sandbox import Sandbox
from kitestring.sdk.wallet import Wallet

__all__ = ["BUDGET", "RunningService", "sandbox", "service", "wallet", "wallet_uri"]
#: The budget of the connection behind ``wallet_uri``.
BUDGET: Final = Budget.daily(sat(10_000))


@pytest.fixture
def service() -> Iterator[RunningService]:
    """A running service on a sandbox node with 1,000,000 sat, its relay in this process."""
    with RunningService() as running:
        yield running


@pytest.fixture
def sandbox(service: RunningService) -> Sandbox:
    """The world outside of ``service``: somebody who is paid, pays, and lets payments go wrong."""
    return service.sandbox


@pytest.fixture
def wallet_uri(service: RunningService) -> str:
    """A wallet connection of ``service`` that may spend 10,000 sat a day, as a program finds it in its settings."""
    return service.connect(budget=BUDGET)


@pytest.fixture
def wallet(service: RunningService, wallet_uri: str) -> Wallet:
    """The wallet of ``wallet_uri``, not open yet: ``async with wallet:``."""
    return service.wallet(wallet_uri)
