"""The ledger beside the node's own lists: every difference in either direction is told."""

from pathlib import Path

import pytest

from kitestring.base.money import Msat
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, NodePayment, NodePaymentState
from kitestring.base.transactions.payments import ResolvePayment
from kitestring.ledger.audit.node import Books, books, compare
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.ledger.values import (
    NODE,
    NOW,
    SERVICE,
    answered,
    claim,
    credit,
    fail,
    hash_of,
    lose,
    payment,
    preimage_of,
    record_invoice,
    setting,
    settle,
)


@pytest.fixture
async def ours(ledger: Path) -> Books:
    store = await SqliteStore.open(ledger, SERVICE)
    for tx in (
        setting(),
        claim("paid"),
        settle("paid", 10, answered("paid")),
        claim("lost"),
        fail("lost", answered("lost")),
        claim("open"),
        claim("given-up"),
        lose("given-up"),
        ResolvePayment("pay-given-up", "note", NOW),
        record_invoice("in"),
        credit("in", 500),
        credit("stranger", 900),
        record_invoice("unpaid"),
        record_invoice("inside"),
        claim("inside", payment("inside", 500, 0, internal=True)),
        settle("inside", 0, answered("inside")),
        claim("odd"),
        settle("odd", -5, answered("odd")),
        credit("nothing", 0),
    ):
        await store.apply(tx)
    await store.close()
    return books(ledger, SERVICE, NODE)


def paid(name: str, state: str = "settled", amount: int = 1000, fee: int = 10) -> NodePayment:
    preimage = preimage_of(name) if state == "settled" else ""
    return NodePayment(hash_of(name), NodePaymentState(state), Msat(amount), Msat(fee), preimage)


def received(name: str, amount: int = 500, state: str = "settled") -> tuple[str, InvoiceStatus]:
    return hash_of(name), InvoiceStatus(NodeInvoiceState(state), received_msat=Msat(amount), preimage=preimage_of(name))


PAYMENTS = [
    *(paid("paid"), paid("lost", "failed"), paid("open", "open"), paid("given-up", "failed")),
    paid("odd", fee=-5),  # what cannot be true was an alarm when it was booked, and is no difference forever
]
INVOICES = [
    *(received("in"), received("stranger", 900), received("unpaid", 0, "open"), received("inside", 0, "canceled")),
    received("nothing", 0),
]


def test_two_sides_that_agree_have_no_difference(ours: Books) -> None:
    assert compare(ours, PAYMENTS, INVOICES) == []


@pytest.mark.parametrize("state", ["open", "settled", "failed"])
def test_a_payment_under_way_here_may_be_anything_there(ours: Books, state: str) -> None:
    assert compare(ours, [*PAYMENTS[:2], paid("open", state), *PAYMENTS[3:]], INVOICES) == []


def test_failed_attempts_beside_the_one_that_counts_are_no_difference(ours: Books) -> None:
    assert compare(ours, [paid("paid", "failed"), *PAYMENTS, paid("paid", "failed")], INVOICES) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (paid("paid", amount=999), "is of 1000 msat, at the node of 999"),
        (paid("paid", fee=11), "a fee of 10 msat, at the node 11"),
        (paid("paid", fee=-5), "a fee of 10 msat, at the node -5"),
        (paid("odd", fee=11), "a fee of 100 msat, at the node 11"),
        (replace(paid("paid"), preimage="00" * 32), "another preimage"),
        (paid("paid", "failed"), "settled in the ledger, but failed at the node"),
        (paid("lost"), "failed in the ledger, but settled at the node"),
        (paid("lost", "open"), "the node is still trying"),
        (paid("given-up"), "resolved in the ledger, but settled at the node"),
        (paid("nobody"), "which the ledger does not know"),
        (paid("inside"), "the node paid it too"),
    ],
)
def test_a_payment_that_differs_is_told(ours: Books, changed: NodePayment, sentence: str) -> None:
    theirs = [one for one in PAYMENTS if one.payment_hash != changed.payment_hash] + [changed]
    found = compare(ours, theirs, INVOICES)
    assert [violation.invariant for violation in found] == ["I2"]
    assert sentence in found[0].sentence


def test_a_settled_payment_the_node_has_never_seen_is_told(ours: Books) -> None:
    (found,) = compare(ours, PAYMENTS[1:], INVOICES)
    assert "the node does not know it" in found.sentence


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (received("in", 499), "received 499 msat"),
        (received("in", 500, "open"), "settled in the ledger, but open at the node"),
        (
            (hash_of("in"), InvoiceStatus(NodeInvoiceState.SETTLED, received_msat=Msat(500), preimage="00" * 32)),
            "another preimage",
        ),
        (received("unpaid", 500), "which the ledger has not credited"),
        (received("inside", 500), "which the ledger has not credited"),
        (received("nobody", 500), "which the ledger has not credited"),
        (received("nobody", 0), "which the ledger has not credited"),
        (received("nothing", 500), "which the ledger has not credited"),
    ],
)
def test_an_invoice_that_differs_is_told(ours: Books, changed: tuple[str, InvoiceStatus], sentence: str) -> None:
    theirs = [one for one in INVOICES if one[0] != changed[0]] + [changed]
    (found,) = compare(ours, PAYMENTS, theirs)
    assert sentence in found.sentence


def test_what_only_a_shared_node_knows_is_not_ours(ours: Books) -> None:
    theirs = compare(ours, [*PAYMENTS, paid("nobody")], [*INVOICES, received("nobody")], whole_node=False)
    assert theirs == []
