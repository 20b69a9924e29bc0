"""The harness sees what it is there for: six faults are planted, one of each critical kind, and each is caught.

Where one is in the code anyway, planting changes nothing, and it is the scenario that proves it. Once the code is
mended the planted fault alone makes the scenario fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.app.faults import FAULTS
from tests.kit.app.house import House
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.sim.findings import critical
from tests.sim.findings.critical import LONG_S, Scenario, ViolationError, bill, must, ready


async def a_payment_costs_more_than_was_held(house: House) -> None:
    """It is booked and told all the same."""
    text, payment_hash = bill(house, Script(fee=10 * critical.AMOUNT))
    async with house.service() as service:
        app = await ready(service)
        asked = app.pay(text)
        await house.clocks.service.sleep(LONG_S)
        must(app.code(asked) == "ok", "a payment that was paid was never told")
        must(await service.state(payment_hash) == "settled", "a payment that was paid was never booked")


#: fault -> the scenario that meets it
MET_BY: dict[str, Scenario] = {
    "a refusal is not stored": critical.refused_by_rate_then_restarted,
    "a constraint refuses a truth": a_payment_costs_more_than_was_held,
    "never seen is believed": critical.a_paid_payment_is_deleted_at_the_node,
    "an order is sent late": critical.killed_before_the_order,
    "a restored ledger pays": critical.a_restored_ledger_pays,
    "an exchanged node is not noticed": critical.the_node_is_exchanged,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    house = House(tmp_path)
    FAULTS[fault](house)
    with pytest.raises(ViolationError):
        virtual(MET_BY[fault])(house)


def test_without_it_a_payment_that_costs_too_much_is_booked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    virtual(a_payment_costs_more_than_was_held)(House(tmp_path))
