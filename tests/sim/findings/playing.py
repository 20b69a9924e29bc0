"""How a scenario is played, and how one is marked that fails on the code as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.kit.app.house import House
from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.sim.findings.critical import Scenario, ViolationError

F = TypeVar("F", bound=Callable[..., object])


def play(scenario: Scenario) -> None:
    """Against a new service, in virtual time. Raises AssertionError where the money is not whole."""
    with ledger_path() as path:
        virtual(scenario)(House(path.parent))


def finding(number: str, what: str) -> Callable[[F], F]:
    """A finding that is not mended: its test must fail, by this violation. Whoever mends it takes the mark away."""
    mark: Callable[[F], F] = pytest.mark.xfail(strict=True, raises=ViolationError, reason=f"{number}: {what}")
    return mark
