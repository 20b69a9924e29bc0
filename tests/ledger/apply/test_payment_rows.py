"""A payment's row: its charges come back as they were written, and a row that is not there is an error."""

import pytest

from kitestring.base.errors import KitestringError
from kitestring.base.money import Msat
from kitestring.base.records import Charge
from kitestring.base.store import Store
from kitestring.ledger.apply.budgets import Usage
from kitestring.ledger.apply.payment_rows import read_charges, write_charges
from tests.kit.ledger.values import settle


def test_charges_come_back_as_they_were_written_with_what_their_corrections_need() -> None:
    total = Charge("app", Msat(1_100), Msat(5_000), 0, 0)
    daily = Charge("app", Msat(1_100), Msat(2_000), 86_400, 86_400, 1)
    stored = write_charges([Usage(total, 300, False), Usage(daily, 0, True)])
    assert stored == '[["app",0,0,1100,5000,1400,0],["app",86400,86400,1100,2000,1100,1]]'
    assert read_charges(stored) == (total, daily)


async def test_an_outcome_of_a_payment_nobody_claimed_is_an_error(store: Store) -> None:
    with pytest.raises(KitestringError, match="no payment pay-a"):
        await store.apply(settle("a"))
