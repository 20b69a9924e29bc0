"""What is listed costs the same however long the list is, and only what its owner may see."""

from typing import Any

import msgspec
import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.store import Scope, Store
from kitestring.ledger.sqlite.reads.transactions import LIST_LIMIT
from tests.kit.ledger.busy import BUSY
from tests.kit.ledger.plans import Plans
from tests.kit.ledger.steps import internal, open_invoice
from tests.kit.ledger.values import (
    NOW,
    answered,
    claim,
    credit,
    fail,
    hash_of,
    invoice,
    payment,
    record_invoice,
    setting,
    settle,
)


async def test_a_list_is_bounded_whatever_is_asked_for(plans: Plans) -> None:
    store, explained = plans
    await store.transactions(Scope(), ListTransactions(limit=10**9, offset=LIST_LIMIT - 7))
    await store.transactions(Scope(), ListTransactions(limit=10**9, offset=10**9))
    assert {sql.rpartition(" LIMIT ")[2] for sql, _ in explained()} == {f"7 OFFSET {LIST_LIMIT - 7}"}


@pytest.mark.parametrize("scope", [Scope(), Scope(grant_id="app"), Scope(account_id="alice")])
async def test_a_list_of_what_was_paid_costs_the_same_whatever_has_failed_meanwhile(plans: Plans, scope: Scope) -> None:
    store, _ = plans
    steps: list[int] = []

    async def cost() -> int:
        before = len(steps)
        paid = await store.transactions(scope, ListTransactions(direction="outgoing"))
        assert [one.payment_hash for one in paid] == [hash_of("good")]
        return len(steps) - before

    await store.apply(setting())
    await store.apply(claim("good"))
    await store.apply(settle("good", 10, answered("good")))
    store._connection.set_progress_handler(lambda: steps.append(1), 10)
    few = await cost()
    for number in range(200):
        await store.apply(claim(f"bad{number}"))
        await store.apply(fail(f"bad{number}", answered(f"bad{number}")))
    assert await cost() <= few + 5, "in tens of steps; each failure walked through costs five"
    store._connection.set_progress_handler(None, 10)
    everything = await store.transactions(scope, ListTransactions(unpaid_outgoing=True, limit=1_000))
    assert len(everything) == 201


@pytest.mark.parametrize("scope", [Scope(), Scope(grant_id="app"), Scope(account_id="alice")])
@pytest.mark.parametrize("unpaid", [False, True])
@pytest.mark.parametrize("direction", ["", "incoming", "outgoing"])
@pytest.mark.parametrize("until", [0, NOW])
async def test_as_many_are_counted_as_are_on_all_pages(
    plans: Plans, scope: Scope, unpaid: bool, direction: str, until: int
) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    query = ListTransactions(
        until=until, limit=1, offset=1, unpaid_incoming=unpaid, unpaid_outgoing=unpaid, direction=direction
    )
    everything = await store.transactions(scope, msgspec.structs.replace(query, limit=1_000, offset=0))
    assert await store.count_transactions(scope, query) == len(everything)
    assert [sql for sql, _ in explained() if "count(*)" in sql and "preimage" in sql] == []


async def test_more_than_a_bounded_number_are_not_counted(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = plans
    steps: list[int] = []
    monkeypatch.setattr("kitestring.ledger.sqlite.reads.transactions.COUNT_LIMIT", 3)
    await store.apply(setting())
    counted = list[int | None]()
    for number in range(5):
        await store.apply(claim(f"p{number}"))
        await store.apply(settle(f"p{number}", 10, answered(f"p{number}")))
        counted.append(await store.count_transactions(Scope(grant_id="app"), ListTransactions()))
    assert counted == [1, 2, 3, None, None]
    store._connection.set_progress_handler(lambda: steps.append(1), 1)
    costs = []
    for more in (0, 60):
        for number in range(more):
            await store.apply(claim(f"more{number}"))
            await store.apply(settle(f"more{number}", 10, answered(f"more{number}")))
        before = len(steps)
        await store.count_transactions(Scope(grant_id="app"), ListTransactions())
        costs.append(len(steps) - before)
    store._connection.set_progress_handler(None, 1)
    assert costs[0] == costs[1] > 0


async def test_only_the_rows_of_the_page_are_read_whole(plans: Plans) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    everything = ListTransactions(unpaid_incoming=True, unpaid_outgoing=True, limit=50)
    whole = await store.transactions(Scope(), everything)
    assert len(whole) > 10
    page = await store.transactions(Scope(), msgspec.structs.replace(everything, limit=2, offset=5))
    assert page == whole[5:7]
    assert [sql for sql, _ in explained() if "BETWEEN" in sql and "preimage" in sql] == []


async def test_transactions_are_newest_first_and_unpaid_ones_only_on_request(store: Store) -> None:
    for number, name in enumerate(("a", "b", "c")):
        await store.apply(claim(name, payment(name, created_at=NOW + number)))
    await store.apply(settle("a", 10, answered("a")))
    await store.apply(fail("b", answered("b")))
    await open_invoice(store, "i")
    await store.apply(record_invoice("j", invoice("j", created_at=NOW + 9)))
    await store.apply(credit("j"))
    mine = Scope(account_id="alice")

    async def listed(**query: Any) -> list[str]:
        found = await store.transactions(mine, ListTransactions(**query))
        return [f"{one.type[0]}{one.state}" for one in found]

    assert await listed() == ["isettled", "osettled"]
    assert await listed(direction="outgoing", unpaid_outgoing=True) == ["opending", "ofailed", "osettled"]
    assert await listed(direction="incoming", unpaid_incoming=True) == ["isettled", "ipending"]
    assert await listed(limit=1, offset=1) == ["osettled"]
    assert await listed(from_=NOW + 1) == ["isettled"]
    assert await listed(until=NOW) == ["osettled"]
    assert await store.transactions(Scope(grant_id="bobs"), ListTransactions()) == []
    assert len(await store.transactions(Scope(), ListTransactions())) == 2


async def test_each_side_of_an_internal_payment_sees_its_own(store: Store) -> None:
    await open_invoice(store, "i")
    await store.apply(internal("i"))
    await store.apply(settle("i", 0, answered("i")))
    for grant, direction in (("app", "incoming"), ("bobs", "outgoing")):
        seen = await store.transaction(Scope(grant_id=grant), hash_of("i"))
        assert seen is not None
        assert (seen.type, seen.internal) == (direction, True)
