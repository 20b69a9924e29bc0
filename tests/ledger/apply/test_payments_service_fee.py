"""The fee that the service takes itself: held with the payment, and an entry of its own when that settles."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.destinations import Bolt11
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.outcomes import Direction
from kitestring.base.payments import Settled, State
from kitestring.base.records import Payment
from kitestring.base.store import Scope, Store
from kitestring.base.transactions.answers import Claimed, Denied, Recorded
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from kitestring.ledger.apply.truth import MAX_SUM
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.steps import balance, open_invoice
from tests.kit.ledger.values import (
    NODE,
    NOW,
    answered,
    charge,
    claim,
    fail,
    hash_of,
    lose,
    payment,
    preimage_of,
    settle,
    too_little,
)

FEE = 25


@pytest.fixture
def raw(ledger: Path) -> Iterator[sqlite3.Connection]:
    """A second look at the file of ``store``."""
    connection = sqlite3.connect(ledger, isolation_level=None)
    yield connection
    connection.close()


def taxed(name: str = "a", amount: int = 1000, cap: int = 100, fee: int = FEE, **changes: Any) -> Payment:
    return payment(name, amount, cap, service_fee_msat=Msat(fee), **changes)


async def earned(store: Store) -> int:
    return int((await store.totals()).service_fees_msat)


def entries(raw: sqlite3.Connection) -> list[tuple[str, str, int]]:
    return raw.execute(
        "SELECT substr(entry, 1, instr(entry, ' ') - 1) || iif(entry LIKE 'service fee %', ' fee', ''), account_id,"
        " amount_msat FROM entries WHERE entry LIKE 'payment %' OR entry LIKE 'service fee %' ORDER BY 1, 3"
    ).fetchall()


async def test_it_is_held_with_amount_and_fee_cap_and_posted_as_an_entry_of_its_own(
    store: Store, raw: sqlite3.Connection
) -> None:
    assert await store.apply(claim("a", taxed())) == Claimed()
    assert await balance(store, "alice") == (100_000, 0, 1125)
    assert (await store.totals()).pending_msat == 1125
    assert await earned(store) == 0
    assert entries(raw) == []
    await store.apply(settle("a", 10, answered("a")))
    assert await balance(store, "alice") == (100_000, 1035, 0)
    assert entries(raw) == [
        ("payment", "alice", -1010),
        ("payment", "@fees", 10),
        ("payment", "@world", 1000),
        ("service fee", "alice", -FEE),
        ("service fee", "@service-fees", FEE),
    ]
    totals = await store.totals()
    # The node has lost amount and routing fee; what it owes the accounts has become less by the service fee as well.
    assert (totals.spent_msat, totals.sub_accounts_msat, totals.service_fees_msat) == (1010, 200_000 - 1035, FEE)


async def test_a_proven_failure_gives_it_back(store: Store, raw: sqlite3.Connection) -> None:
    await store.apply(claim("a", taxed(), charge(1125, 2000)))
    await store.apply(fail("a", answered("a")))
    assert await balance(store, "alice") == (100_000, 0, 0)
    assert (await earned(store), await store.budget_used("app", 0), entries(raw)) == (0, 0, [])


async def test_it_stays_held_while_nobody_knows_and_is_taken_by_the_late_truth(store: Store) -> None:
    await store.apply(claim("a", taxed(), charge(1125, 2000)))
    await store.apply(lose("a"))
    assert await balance(store, "alice") == (100_000, 0, 1125)
    assert await store.budget_used("app", 0) == 1125
    await store.apply(settle("a", 10, answered("a")))
    assert await balance(store, "alice") == (100_000, 1035, 0)
    assert (await store.budget_used("app", 0), await earned(store)) == (1035, FEE)


async def test_what_the_operator_has_closed_is_booked_with_it_when_the_truth_comes(store: Store) -> None:
    await store.apply(claim("a", taxed(amount=99_000, cap=900, fee=100), charge(100_000, 100_000)))
    await store.apply(lose("a"))
    await store.apply(ResolvePayment("pay-a", "node gone", NOW))
    assert await balance(store, "alice") == (100_000, 0, 0)
    assert (await store.budget_used("app", 0), await earned(store)) == (0, 0)
    await store.apply(claim("b", payment("b", 50_000, 0)))
    done = await store.apply(settle("a", 10, answered("a")))
    assert isinstance(done, Recorded)
    assert done.overdrawn
    assert await balance(store, "alice") == (100_000, 99_110, 50_000)
    assert (await store.budget_used("app", 0), await earned(store)) == (99_110, 100)


async def test_a_node_that_overspends_is_booked_beside_it(store: Store) -> None:
    await store.apply(claim("a", taxed(cap=5)))
    done = await store.apply(settle("a", 500, answered("a")))
    assert isinstance(done, Recorded)
    assert done.overdrawn
    assert await balance(store, "alice") == (100_000, 1525, 0)
    assert await earned(store) == FEE


@pytest.mark.parametrize(("room", "fits"), [(1125, True), (1124, False)])
async def test_neither_balance_nor_budget_is_reserved_beyond_by_it(store: Store, room: int, fits: bool) -> None:
    await store.apply(claim("first", payment("first", 100_000 - room, 0)))
    said = await store.apply(claim("a", taxed()))
    assert said == (Claimed() if fits else too_little(room, 100_000 - room))
    await store.apply(fail("first", answered("first")))
    said = await store.apply(claim("b", taxed("b"), charge(1125, room)))
    assert said == (Claimed() if fits else Denied(Reason.OVER_BUDGET, Msat(room)))


async def test_a_fee_that_cannot_be_is_booked_as_the_cap_and_the_service_fee_is_taken_once(store: Store) -> None:
    await store.apply(claim("a", taxed()))
    await store.apply(RecordPayment("pay-a", Settled(preimage_of("a"), Msat(2**63 - 1)), NOW + 1, (answered("a"),)))
    assert await balance(store, "alice") == (100_000, 1125, 0)
    assert await earned(store) == FEE


async def test_it_is_told_of_a_payment_that_has_settled_and_of_no_other(store: Store) -> None:
    await store.apply(claim("a", taxed()))

    async def told() -> tuple[int, int]:
        found = await store.transaction(Scope(grant_id="app"), hash_of("a"), Direction.OUTGOING)
        assert found is not None
        return int(found.fee_msat), int(found.service_fee_msat)

    assert await told() == (0, 0)
    await store.apply(settle("a", 10, answered("a")))
    assert await told() == (10, FEE)
    stored = await store.payment_by_hash(NODE, hash_of("a"))
    assert stored is not None
    assert (stored.state, stored.service_fee_msat, stored.reserved_msat) == (State.SETTLED, FEE, 1125)


async def test_what_a_key_was_paid_for_has_it_in_its_cost(store: Store) -> None:
    await store.apply(claim("a", taxed(requestor="b1" * 32)))
    await store.apply(settle("a", 10, answered("a")))
    assert (await store.dealings("b1" * 32)).cost_msat == 1035


@pytest.mark.parametrize(
    "paid",
    [
        taxed("i", account_id="owner", grant_id="owner", destination=Bolt11("lnbcrt-wrapped")),
        taxed("i", 500, 0, internal=True, account_id="bob", grant_id="bobs"),
    ],
    ids=["from the owner's account", "inside the service"],
)
async def test_the_database_takes_none(store: Store, paid: Payment) -> None:
    await open_invoice(store, "i")
    with pytest.raises(KitestringError, match="service_fee_msat = 0 OR"):
        await store.apply(claim("i", paid))
    assert await store.payment("pay-i") is None


async def test_it_never_changes_after_the_claim(store: Store, raw: sqlite3.Connection) -> None:
    await store.apply(claim("a", taxed()))
    with pytest.raises(sqlite3.IntegrityError, match="what was claimed never changes"):
        raw.execute("UPDATE payments SET service_fee_msat = 0")


@pytest.mark.parametrize(("fee", "touched"), [(0, False), (FEE, True)])
async def test_a_payment_without_it_costs_no_further_statement(store: SqliteStore, fee: int, touched: bool) -> None:
    writer = store._writer
    assert writer is not None
    statements: list[str] = []
    writer.connection.set_trace_callback(statements.append)  # with the values in them
    await store.apply(claim("a", taxed(fee=fee)))
    await store.apply(settle("a", 10, answered("a")))
    writer.connection.set_trace_callback(None)
    accounts = [one for one in statements if "'@service-fees'" in one]
    assert bool(accounts) is touched
    assert len([one for one in statements if one.startswith("SELECT kind")]) == (4 + touched)


async def test_a_fee_of_routing_that_leaves_no_room_for_it_in_a_column_is_booked_as_the_cap(store: Store) -> None:
    for number in range(5):
        await store.apply(claim(f"{number}", taxed(f"{number}")))
    for number in range(4):
        await store.apply(settle(f"{number}", MAX_MSAT, answered(f"{number}")))
    _, posted, _ = await balance(store, "alice")
    await store.apply(settle("4", MAX_SUM - posted - 1000, answered("4")))
    assert await balance(store, "alice") == (100_000, posted + 1125, 0)
    assert await earned(store) == 5 * FEE
