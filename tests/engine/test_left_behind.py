"""What the owner is told of hold invoices of a node on which the service does not stand any more."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.invoices import Decision, InvoiceState
from kitestring.engine.left_behind import left_behind
from tests.kit.ledger.holding import DEADLINE, hold_invoice
from tests.kit.ledger.values import NODE, hash_of

HELD = {"state": InvoiceState.ACCEPTED, "received_msat": 500, "settle_deadline": DEADLINE}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decision": Decision.SETTLE, **HELD}, ["was to be settled", f"before block {DEADLINE}, or the payment goes"]),
        ({"decision": Decision.CANCEL, **HELD}, ["was to go back", "or cancel it there", f"before block {DEADLINE}"]),
        (HELD, ["cannot be settled or cancelled from here", "or cancel it there", f"before block {DEADLINE}"]),
        ({"decision": Decision.CANCEL}, ["was to be cancelled", "or cancel it there", "somebody may pay it"]),
    ],
)
def test_of_another_node_it_is_said_what_is_to_be_done_there(changes: dict[str, Any], words: list[str]) -> None:
    told = left_behind(hold_invoice("one", **changes), "another")
    for word in (*words, "put that node back", hash_of("one"), f"node {NODE[:16]}…"):
        assert word in told
    assert left_behind(hold_invoice("one", **changes), NODE) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"held_by": "pay-one", **HELD},
        {**HELD, "hold_blocks": 0},
        {"state": InvoiceState.CANCELED, "decision": Decision.SETTLE},
        {"state": InvoiceState.LEFT},
    ],
    ids=["nobody has paid it", "held inside", "an ordinary one", "ended", "left"],
)
def test_nothing_is_said_where_nothing_is_to_be_done(changes: dict[str, Any]) -> None:
    assert left_behind(hold_invoice("one", **changes), "another") == ""
