"""The transaction object: some members always, the others when they say something."""

from __future__ import annotations

from kitestring.base.money import Msat
from kitestring.base.outcomes import Found, Invoiced, TransactionState
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.nwc import response
from tests.kit.wire.samples import transaction


def test_a_transaction_has_its_first_members_always_and_the_others_only_when_they_say_something() -> None:
    assert response("lookup_invoice", Found(transaction(preimage=PREIMAGE)))["result"] == {
        "type": "incoming",
        "payment_hash": PAYMENT_HASH,
        "amount": 21_000,
        "fees_paid": 0,
        "created_at": NOW,
        "state": "pending",
    }
    taken = transaction(fee_msat=Msat(12), service_fee_msat=Msat(3_000), state=TransactionState.SETTLED)
    assert response("lookup_invoice", Found(taken))["result"]["fees_paid"] == 3_012
    full = transaction(
        state=TransactionState.SETTLED,
        bolt11="lnbcrt1",
        description="tea",
        description_hash="ab" * 32,
        preimage=PREIMAGE,
        settled_at=NOW + 1,
        expires_at=NOW + 60,
        metadata='{"comment":"hi"}',
    )
    assert (
        response("make_invoice", Invoiced(full))["result"].items()
        >= {
            "state": "settled",
            "invoice": "lnbcrt1",
            "description": "tea",
            "description_hash": "ab" * 32,
            "preimage": PREIMAGE,
            "settled_at": NOW + 1,
            "expires_at": NOW + 60,
            "metadata": {"comment": "hi"},
        }.items()
    )
