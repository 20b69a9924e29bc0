"""Nothing that is asked on the way of a request walks a table or sorts one."""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.payments import Settled
from kitestring.base.records import Message
from kitestring.base.store import Scope, Store
from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.feed import ForgetNews, Tell
from kitestring.base.transactions.invoices import ExpireInvoices
from kitestring.base.transactions.owner import SaveGrant
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from kitestring.base.transactions.requests import Answer, Prune
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.reader import LIST_LIMIT
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.ledger.busy import BUSY
from tests.kit.ledger.steps import internal, open_invoice
from tests.kit.ledger.values import (
    NODE,
    NOW,
    SERVICE,
    answered,
    claim,
    credit,
    execute,
    fail,
    hash_of,
    invoice,
    lose,
    payment,
    preimage_of,
    record_invoice,
    reply,
    request,
    setting,
    settle,
)

#: What a plan may not contain: a walk through a table, or through all that a service, a connection or an account has
#: there, or a sort. Constant rows are those of an insert; payments under way are a bounded number; what a subquery
#: gives is looked up by steps of its own.
WALK = re.compile(
    r"^SCAN (?!\d+ CONSTANT|\(subquery)|TEMP B-TREE"
    r"|^SEARCH (?!\S+ USING INDEX payments_(open|resolved))\S+ USING .*\(service=\?\)$"
    r"|^SEARCH (payments|invoices) USING .*\(service=\? AND (grant|account)_id=\?\)$"
)

Plans = tuple[SqliteStore, Callable[[], list[tuple[str, str]]]]


@pytest.fixture
async def plans(ledger: Path) -> AsyncIterator[Plans]:
    """A store, and what SQLite says about each statement it has run: (statement, one step of its plan)."""
    store = await SqliteStore.open(ledger, SERVICE)
    seen: set[str] = set()
    assert store._writer is not None
    for connection in (store._writer.connection, store._connection):
        connection.set_trace_callback(seen.add)

    def explained() -> list[tuple[str, str]]:
        raw = sqlite3.connect(ledger)
        statements = [sql for sql in seen if sql.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")]
        found = [(sql, row[3]) for sql in statements for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}")]
        raw.close()
        return found

    yield store, explained
    await store.close()
    assert audit(ledger, SERVICE) == []


async def test_no_transaction_walks_a_table(plans: Plans) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    steps = explained()
    assert len(steps) > 50
    assert [step for step in steps if WALK.search(step[1])] == []


async def test_forgetting_walks_through_no_words_and_no_payments(plans: Plans) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    await store.apply(Prune(NOW, 0))
    steps = [step for step in explained() if re.search("FROM (approvals|tokens)", step[0])]
    assert len(steps) > 8
    assert [step for step in steps if WALK.search(step[1])] == []


async def test_open_questions_are_found_among_many_that_have_ended_and_those_from_their_end(plans: Plans) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    assert [one.approval_id for one in await store.approvals(limit=9)] == ["pay-waits"]
    assert [one.approval_id for one in await store.approvals(limit=9, ended=True)] == ["pay-no", "pay-yes"]
    steps = [step for sql, step in explained() if " approvals " in sql and " LIMIT " in sql]
    walk = "SCAN approvals"  # by number from the newest on, as far as the limit
    assert sorted(steps) == [
        walk,
        "SEARCH approvals USING INDEX approvals_open (service=?)",
        "USE TEMP B-TREE FOR ORDER BY",
    ]


async def test_forgetting_walks_neither_the_feed_nor_the_outbox(plans: Plans) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    await store.apply(Tell("books", 1, NOW, (Message("", "notice", b"", b"", NOW),)))
    await store.apply(ForgetNews(NOW, 0))
    steps = [step for step in explained() if re.search("FROM (events|outbox)", step[0])]
    assert len(steps) > 8
    assert [step for step in steps if WALK.search(step[1])] == []


@pytest.mark.parametrize("scope", [Scope(), Scope(grant_id="app"), Scope(account_id="alice")])
async def test_no_list_and_no_look_up_walks_or_sorts_a_table(plans: Plans, scope: Scope) -> None:
    store, explained = plans
    for unpaid in (False, True):
        query = ListTransactions(unpaid_incoming=unpaid, unpaid_outgoing=unpaid)
        await store.transactions(scope, query)
        await store.count_transactions(scope, query)
    await store.transaction(scope, hash_of("a"))
    await store.payment("a")
    await store.payment_by_hash(NODE, hash_of("a"))
    await store.invoice("a")
    await store.invoice_by_hash(NODE, hash_of("a"))
    await store.request("a")
    await store.messages("a")
    await store.budget_used("app", 0)
    await store.totals()
    await store.grant("app")
    await store.grant_named("nwc", "app")
    await store.account("alice")
    await store.open_payments()
    await store.places(NODE)
    await store.resolved_payments()
    await store.waiting("a")
    await store.outbox(0, 10)
    await store.due(NOW, 10)
    await store.has_due()
    await store.sent_position()
    await store.events(0, 10)
    await store.last_event()
    await store.invoices(InvoiceState.OPEN)
    await store.approval("a")
    await store.open_approval("debits", "p1", "a1")
    await store.session("p1", "a")
    await store.sessions("p1", 10)
    await store.dealings("a1")
    steps = explained()
    assert len(steps) >= 21
    walks = [step for step in steps if WALK.search(step[1])]
    assert walks == []


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
    monkeypatch.setattr("kitestring.ledger.sqlite.reader.COUNT_LIMIT", 3)
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


async def test_forgetting_requests_does_not_walk_over_the_owners_that_are_kept_for_ever(plans: Plans) -> None:
    """A script may ask a hundred thousand times in a year, each with a key that no age refuses."""
    store, _ = plans
    await store.apply(setting())

    async def work(kept: int) -> int:
        """How many tens of instructions of SQLite a round of forgetting takes beside so many kept requests."""
        for number in range(kept):
            await store.apply(Answer(request(f"kept {number}", wire="control"), (reply(f"kept {number}"),), NOW))
        for name, at in ((f"old {kept}", NOW + 1), ("newest", NOW + 10)):
            await store.apply(Answer(request(name, sent_at=at, received_at=at), (reply(name),), at))
        steps = list[None]()
        assert store._writer is not None
        store._writer.connection.set_progress_handler(lambda: steps.append(None), 10)
        await store.apply(Prune(NOW + 10, 5))
        store._writer.connection.set_progress_handler(None, 10)
        assert await store.request(f"old {kept}") is None
        return len(steps)

    alone = await work(0)
    assert await work(200) < 1.5 * alone


async def test_the_count_of_a_nodes_payments_is_the_highest_of_its_newest_claims(
    plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.ledger.sqlite.reader.NEWEST_CLAIMS", 3)
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
    for ended in ((made[4].payment_hash,), ()):
        await store.apply(ExpireInvoices(ended, NOW + 99, NODE, NOW))
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


# ------------------------------------------------------------ what its owner may see


async def test_a_grant_is_found_by_its_name_or_its_id_as_long_as_it_is_not_revoked(store: Store) -> None:
    app = await store.grant("app")
    assert app is not None
    twin = Grant(grant_id="twin", name="bobs", wire="other", account_id="alice")
    await store.apply(execute("twin", SaveGrant(replace(app, name="shop", version=2)), SaveGrant(twin)))
    for name in ("shop", "app"):
        found = await store.grant_named("nwc", name)
        assert found is not None
        assert found.grant_id == "app"
    bobs = await store.grant_named("nwc", "bobs")
    assert bobs is not None
    assert (bobs.grant_id, await store.grant_named("nwc", "twin")) == ("bobs", None)
    await store.apply(execute("end", SaveGrant(replace(app, name="shop", version=3, revoked_at=NOW))))
    assert await store.grant_named("nwc", "shop") is None


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


async def test_each_side_of_an_internal_payment_sees_its_own(store: Store) -> None:
    await open_invoice(store, "i")
    await store.apply(internal("i"))
    await store.apply(settle("i", 0, answered("i")))
    for grant, direction in (("app", "incoming"), ("bobs", "outgoing")):
        seen = await store.transaction(Scope(grant_id=grant), hash_of("i"))
        assert seen is not None
        assert (seen.type, seen.internal) == (direction, True)
