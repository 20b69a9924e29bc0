"""Hold invoices: what no node can make is refused, and each method has a permission of its own."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.commands import AnyCommand, CancelHold, MakeHoldInvoice, SettleHold
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.node import Capabilities
from kitestring.policy.rules import refuse_caller, refuse_invoice
from tests.kit.changed import replace
from tests.kit.clock import NOW

METHODS = ("make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice")
CAN = Capabilities(True, True, True, True, True, True, hold=True)
GRANT = Grant(grant_id="till", name="till", wire="nwc", methods=frozenset({*METHODS, "get_balance"}))
PREIMAGE, HASH = "00" * 32, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
ORDER = MakeHoldInvoice(payment_hash=HASH, amount_msat=Msat(1_000))


def refused(can: Capabilities = CAN, **changes: Any) -> tuple[Reason, str] | None:
    found = refuse_invoice(replace(ORDER, **changes), GRANT, can, now=NOW)
    return None if found is None else (found.reason, found.message)


@pytest.mark.parametrize("changes", [{}, {"min_cltv_delta": 1_008}, {"preimage": PREIMAGE}, {"amount_msat": MAX_MSAT}])
def test_what_a_node_can_hold_is_allowed(changes: dict[str, Any]) -> None:
    assert refused(**changes) is None


def test_what_no_node_can_hold_is_refused() -> None:
    assert refused(amount_msat=None) == (Reason.MALFORMED, "a hold invoice needs an amount")
    assert refused(min_cltv_delta=1_009) == (Reason.MALFORMED, "a payment is held for at most 1008 blocks")
    assert refused(preimage="11" * 32) == (Reason.MALFORMED, "the preimage is not that of the payment hash")
    nothing, unable = refused(amount_msat=Msat(0)), refused(replace(CAN, hold=False))
    assert nothing is not None
    assert unable is not None
    assert (nothing[0], unable[0]) == (Reason.AMOUNT_OUT_OF_RANGE, Reason.UNSUPPORTED)


def test_each_method_has_a_permission_of_its_own() -> None:
    commands: list[AnyCommand] = [
        ORDER,
        SettleHold(payment_hash=HASH, preimage=PREIMAGE),
        CancelHold(payment_hash=HASH),
    ]
    for name, command in zip(METHODS, commands, strict=True):
        assert refuse_caller(GRANT, NOW, command) is None
        without = replace(GRANT, methods=GRANT.methods - {name})
        answer = refuse_caller(without, NOW, command)
        assert answer is not None
        assert (answer.reason, name in answer.message) == (Reason.NOT_PERMITTED, True)
