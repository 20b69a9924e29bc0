"""Nothing that is asked on the way of a request walks a table or sorts one."""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.ports import Scope
from kitestring.ledger.audit import audit
from kitestring.ledger.queries import LIST_LIMIT
from kitestring.ledger.sqlite import SqliteStore
from tests.ledger.test_audit import BUSY
from tests.ledger.values import NODE, SERVICE, hash_of

#: What a plan may not contain: a walk through a table, or a sort. Constant rows are those of an insert.
WALK = re.compile(r"^SCAN (?!\d+ CONSTANT)|TEMP B-TREE")

Plans = tuple[SqliteStore, Callable[[], list[tuple[str, str]]]]


@pytest.fixture
async def plans(tmp_path: Path) -> AsyncIterator[Plans]:
    """A store, and what SQLite says about each statement it has run: (statement, one step of its plan)."""
    path = tmp_path / "kitestring.db"
    store = await SqliteStore.open(path, SERVICE)
    seen: set[str] = set()
    assert store._writer is not None
    for connection in (store._writer.connection, store._reader.connection):
        connection.set_trace_callback(seen.add)

    def explained() -> list[tuple[str, str]]:
        raw = sqlite3.connect(path)
        statements = [sql for sql in seen if sql.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")]
        found = [(sql, row[3]) for sql in statements for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}")]
        raw.close()
        return found

    yield store, explained
    await store.close()
    assert audit(path, SERVICE) == []


async def test_no_transaction_walks_a_table(plans: Plans) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    steps = explained()
    assert len(steps) > 50
    assert [step for step in steps if WALK.search(step[1])] == []


@pytest.mark.parametrize("scope", [Scope(), Scope(grant_id="app"), Scope(account_id="alice")])
async def test_no_list_and_no_look_up_walks_or_sorts_a_table(plans: Plans, scope: Scope) -> None:
    store, explained = plans
    for unpaid in (False, True):
        query = ListTransactions(unpaid_incoming=unpaid, unpaid_outgoing=unpaid)
        await store.transactions(scope, query)
    await store.transaction(scope, hash_of("a"))
    await store.payment("a")
    await store.payment_by_hash(NODE, hash_of("a"))
    await store.invoice_by_hash(NODE, hash_of("a"))
    await store.request("a")
    await store.messages("a")
    await store.budget_used("app", 0)
    await store.totals()
    await store.grant("app")
    await store.account("alice")
    await store.open_payments()
    await store.resolved_payments()
    await store.waiting("a")
    await store.unpublished(10)
    await store.invoices("open")
    steps = explained()
    assert len(steps) >= 16
    walks = [step for step in steps if WALK.search(step[1])]
    assert walks == []


async def test_a_list_is_bounded_whatever_is_asked_for(plans: Plans) -> None:
    store, explained = plans
    await store.transactions(Scope(), ListTransactions(limit=10**9, offset=10**9))
    assert {sql.rpartition(" ")[2] for sql, _ in explained()} == {str(LIST_LIMIT)}
