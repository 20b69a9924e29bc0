"""What the newest claims say about the node, and what the operator has closed."""

from typing import Any

import pytest

from kitestring.base.money import Msat
from kitestring.base.payments import Settled
from kitestring.base.store import Scope, Store
from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from tests.kit.ledger.plans import Plans
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    claim,
    fail,
    hash_of,
    lose,
    payment,
    preimage_of,
    record_invoice,
    request,
    setting,
    settle,
)


async def test_the_count_of_a_nodes_payments_is_the_highest_of_its_newest_claims(
    plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.sqlite.reads.payments.NEWEST_CLAIMS", 3)
    store, explained = plans
    await store.apply(setting())
    assert await store.payment_index(NODE) is None
    seen = list[int | None]()
    for number, count in enumerate((None, 7, 9, 4, None, 5, 1)):
        await store.apply(claim(f"p{number}", payment(f"p{number}", payment_index=count, created_at=NOW + number)))
        seen.append(await store.payment_index(NODE))
    assert seen == [None, 7, 9, 9, 9, 5, 5]
    assert await store.payment_index("another node") is None
    (plan,) = {step[1] for step in explained() if "max(payment_index)" in step[0] and "payments" in step[1]}
    assert plan == "SEARCH payments USING INDEX payments_by_time (service=?)"  # in its order, and no further than 3


async def test_what_has_settled_since_a_count_must_be_in_the_nodes_list_too(plans: Plans) -> None:
    store, explained = plans
    await store.apply(setting())
    assert await store.least_payments(NODE) is None
    seen = list[int | None]()

    async def after(tx: Tx[Any]) -> None:
        await store.apply(tx)
        seen.append(await store.least_payments(NODE))

    await after(claim("uncounted"))
    for name in ("old", "new"):
        await after(claim(name, payment(name, payment_index=7)))
    assert seen == [None, 7, 7]
    for name in ("new", "uncounted", "old"):  # what was claimed before the count may be in it
        await after(settle(name, 1, answered(name)))
    assert seen[3:] == [8, 8, 9]
    await after(claim("again", payment("again", payment_index=8)))
    await after(fail("again", answered("again")))
    second = payment("again", payment_id="second", payment_index=8)
    await after(claim("again", second, asked=request("ask-second", grant_id="app")))
    settled = Settled(preimage_of("again"), Msat(1))
    await after(RecordPayment("second", settled, NOW, (answered("second"),)))  # in the place of the first one
    await after(record_invoice("ours"))
    await after(claim("ours", payment("ours", 500, 0, internal=True)))
    await after(settle("ours", 0, answered("ours")))  # no node has seen it
    assert seen[6:] == [9] * 7
    await after(claim("fresh", payment("fresh", payment_index=30)))
    assert seen[-1] == 30
    assert await store.least_payments("another node") is None
    looked_at = {step[1] for step in explained() if "OVER" in step[0] and "INDEX" in step[1]}
    assert looked_at == {
        "SEARCH p USING INDEX payments_by_time (service=?)",
        "SEARCH f USING INDEX payments_failed (service=? AND payment_hash=?)",
    }


async def test_what_the_operator_closed_is_still_pending_and_found_again(store: Store) -> None:
    await store.apply(claim("a"))
    await store.apply(lose("a"))
    assert await store.resolved_payments() == []
    await store.apply(ResolvePayment("pay-a", "the node was lost", NOW))
    assert [one.payment_id for one in await store.resolved_payments()] == ["pay-a"]
    seen = await store.transaction(Scope(grant_id="app"), hash_of("a"))
    assert seen is not None
    assert seen.state == "pending"
    await store.apply(settle("a", 10, answered("a")))
    assert await store.resolved_payments() == []
