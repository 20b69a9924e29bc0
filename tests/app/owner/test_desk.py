from __future__ import annotations

import pytest

from kitestring.app.owner.desk import Asking, Managing, Operating, Reading, Receiving, Speaking, Spending, expect
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.base.outcomes import Balance, Info, Refused


def test_no_role_reaches_beyond_its_right() -> None:
    powers = {
        "beacon": (Speaking,),
        "make_invoice": (Receiving,),
        "pay": (Spending,),
        "find_payable": (Spending,),
        "execute": (Managing, Operating),
        "grant_changed": (Managing, Operating),
        "resolve_payment": (Operating,),
    }
    for power, holders in powers.items():
        roles = (Reading, Asking, Speaking, Receiving, Spending, Managing, Operating)
        assert tuple(role for role in roles if hasattr(role, power)) == holders


def test_an_outcome_of_the_wrong_kind_is_never_taken_for_the_right_one() -> None:
    assert expect(Balance(sat(7)), Balance) == Balance(sat(7))
    with pytest.raises(KitestringError, match="the service answered with Balance") as caught:
        expect(Balance(sat(7)), Info)
    assert caught.value.reason is Reason.INTERNAL
    with pytest.raises(KitestringError, match="too much") as caught:
        expect(Refused(Reason.OVER_BUDGET, "too much", {"remaining_msat": 5}), Balance)
    assert (caught.value.reason, caught.value.details) == (Reason.OVER_BUDGET, {"remaining_msat": 5})
