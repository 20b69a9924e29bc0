"""Nothing that is asked on the way of a request walks a table or sorts one."""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.store import Scope
from kitestring.base.transactions import ExpireInvoices
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.reader import LIST_LIMIT
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.ledger.values import NODE, NOW, SERVICE, hash_of, invoice, record_invoice, setting
from tests.ledger.audit.test_checks import BUSY

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
    for connection in (store._writer.connection, store._connection):
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
    await store.grant_named("nwc", "app")
    await store.account("alice")
    await store.open_payments()
    await store.resolved_payments()
    await store.waiting("a")
    await store.outbox(0, 10)
    await store.due(NOW, 10)
    await store.has_due()
    await store.sent_position()
    await store.events(0, 10)
    await store.last_event()
    await store.invoices(InvoiceState.OPEN)
    steps = explained()
    assert len(steps) >= 16
    walks = [step for step in steps if WALK.search(step[1])]
    assert walks == []


async def test_a_list_is_bounded_whatever_is_asked_for(plans: Plans) -> None:
    store, explained = plans
    await store.transactions(Scope(), ListTransactions(limit=10**9, offset=LIST_LIMIT - 7))
    await store.transactions(Scope(), ListTransactions(limit=10**9, offset=10**9))
    assert {sql.rpartition(" LIMIT ")[2] for sql, _ in explained()} == {f"7 OFFSET {LIST_LIMIT - 7}"}


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


async def test_pages_of_invoices_bring_each_once_and_also_when_the_last_one_went_meanwhile(plans: Plans) -> None:
    store, explained = plans
    await store.apply(setting())
    made = [invoice(f"i{number}", expires_at=NOW + number // 3) for number in range(10)]
    made[4] = replace(made[4], grant_id="", offer_id="tea", account_id="owner")
    for number, one in enumerate(made):
        await store.apply(record_invoice(f"i{number}", one))
    seen: list[str] = []
    after = None
    while page := await store.invoices(InvoiceState.OPEN, after=after, limit=4):
        assert len(page) <= 4
        after = page[-1]
        seen += [one.invoice_id for one in page]
    assert seen == [one.invoice_id for one in made]
    others = tuple(one.payment_hash for one in made if one is not made[4])
    for _ in range(2):
        await store.apply(ExpireInvoices(NOW + 99, NOW + 99, NODE, NOW, others))
    assert await store.invoice_by_hash(NODE, made[4].payment_hash) is None
    again = await store.invoices(InvoiceState.OPEN, after=made[4], limit=4)
    assert [one.invoice_id for one in again] == ["inv-i3", "inv-i5", "inv-i6", "inv-i7"]
    early = await store.invoices(InvoiceState.OPEN, expires_before=NOW + 1)
    assert [one.invoice_id for one in early] == ["inv-i0", "inv-i1", "inv-i2"]
    assert await store.invoices(InvoiceState.SETTLED, after=made[0], limit=1) == []
    reads = [step for step in explained() if "FROM invoices" in step[0] and "UPDATE" not in step[0]]
    assert [step for step in reads if WALK.search(step[1])] == []


async def test_a_database_that_cannot_be_read_is_a_plain_error(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = plans
    with monkeypatch.context() as broken:
        broken.setattr(store, "_connection", sqlite3.connect(":memory:"))
        for read in (store.totals(), store.payment("a"), store.transactions(Scope(), ListTransactions())):
            with pytest.raises(KitestringError, match="cannot be read") as told:
                await read
            assert told.value.reason is Reason.INTERNAL
        store._connection.close()
