"""How a scenario is played: in virtual time, against a new service."""

from __future__ import annotations

from tests.kit.app.house import House
from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.sim.findings.critical import Scenario


def play(scenario: Scenario) -> None:
    """Against a new service, in virtual time. Raises AssertionError where the money is not whole."""
    with ledger_path() as path:
        virtual(scenario)(House(path.parent))
