"""Nothing that is asked on the way of a request walks a table or sorts one."""

import re

import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.invoices import InvoiceState
from kitestring.base.records import Message
from kitestring.base.store import Scope
from kitestring.base.transactions.feed import ForgetNews, Tell
from kitestring.base.transactions.requests import Prune
from tests.kit.ledger.busy import BUSY
from tests.kit.ledger.plans import WALK, Plans
from tests.kit.ledger.values import (
    NODE,
    NOW,
    hash_of,
)


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
    await store.grants_shown("alice", 10)
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
