"""Incoming invoices: stored with their answer, credited once, bounded, and expired."""

from pathlib import Path
from typing import Any

import pytest

from kitestring.base.errors import Reason
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.grants import Offer, OfferState, Webhook
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.records import Node, OwnInvoice
from kitestring.base.shares import Share
from kitestring.base.store import Store
from kitestring.base.transactions.answers import AlreadyCredited, Claimed, Credited, Denied, Done, Finished, More, Stale
from kitestring.base.transactions.invoices import ExpireInvoices, LeaveInvoices, ParkSettlement, RecordInvoice
from kitestring.base.transactions.owner import SaveOffer
from kitestring.base.transactions.service import SaveNode
from kitestring.ledger.audit.checks import audit
from tests.kit.changed import replace
from tests.kit.ledger.steps import balance, internal, open_invoice
from tests.kit.ledger.values import (
    NODE,
    NOW,
    SERVICE,
    answered,
    credit,
    execute,
    hash_of,
    invoice,
    receipt,
    record_invoice,
    reply,
    settle,
)

OTHER_NODE = "03" + "cd" * 32
FULL = Denied(Reason.RATE_LIMITED)
#: At most one of its own, among as many as there may be.
ONE = Share(100, 1)


def for_tea(name: str, **of: Any) -> OwnInvoice:
    return replace(invoice(name, grant_id="", offer_id="tea", account_id="owner"), **of)


async def test_an_invoice_is_stored_with_its_answer_and_then_settled_with_a_receipt(store: Store) -> None:
    assert await store.apply(record_invoice("i")) == Claimed()
    assert await store.invoices(InvoiceState.OPEN) == [invoice("i")]
    assert await store.running_requests() == []
    assert await store.apply(record_invoice("i", invoice("j"))) == Finished((reply("want-i", "invoice"),))
    done = await store.apply(credit("i", 600, b"", receipt("want-i")))
    paid = invoice("i", state=InvoiceState.SETTLED, received_msat=Msat(600), settled_at=NOW + 2)
    assert done == Credited(paid)
    assert await store.invoices(InvoiceState.SETTLED) == [paid]
    assert await store.invoices(InvoiceState.OPEN) == []
    assert await balance(store, "alice") == (100_600, 0, 0)
    assert await store.messages("want-i") == (reply("want-i", "invoice"), receipt("want-i"))
    assert await store.apply(credit("i", 600)) == AlreadyCredited()


async def test_open_invoices_of_a_grant_or_an_offer_are_bounded_until_they_end(store: Store) -> None:
    def of_offer(name: str) -> RecordInvoice:
        return record_invoice(name, for_tea(name), ONE, ONE)

    app, tea = ("app", "@all"), ("offer:tea", "@offers", "@all")
    assert await store.before_invoice("want-i", NODE, app) == (False, (0, 0))
    assert await store.apply(record_invoice("i", None, ONE)) == Claimed()
    assert await store.apply(record_invoice("j", None, ONE)) == Denied(Reason.RATE_LIMITED)
    assert await store.before_invoice("want-i", NODE, app) == (True, (1, 1))
    assert await store.before_invoice("want-k", NODE, tea) == (False, (0, 0, 1))
    assert await store.apply(of_offer("k")) == Claimed()
    assert await store.apply(of_offer("l")) == Denied(Reason.RATE_LIMITED)
    await store.apply(ExpireInvoices((hash_of("i"),), 0, NODE, NOW))
    assert await store.apply(record_invoice("j", None, ONE)) == Claimed()
    await store.apply(credit("k"))
    assert await store.before_invoice("want-k", NODE, tea) == (True, (0, 0, 1))
    assert await store.apply(of_offer("l")) == Claimed()


async def test_the_open_invoices_of_a_payer_an_offer_and_all_strangers_are_parts_of_the_next(
    store: Store, ledger: Path
) -> None:
    many = [Share(0, 2), Share(0, 3), Share(100, 5)]

    async def ask(name: str, payer: str, offer_id: str, *shares: Share) -> object:
        return await store.apply(record_invoice(name, for_tea(name, payer=payer, offer_id=offer_id), *shares))

    assert [await ask(f"a{n}", "ann", "tea", *many) for n in range(3)] == [Claimed(), Claimed(), FULL]
    assert [await ask(f"b{n}", "ben", "tea", *many) for n in range(2)] == [Claimed(), FULL]
    assert [await ask(f"c{n}", "cid", "cake", *many) for n in range(2)] == [Claimed(), FULL]
    assert await ask("d", "", "cake", *many[1:]) == FULL
    assert await ask("d", "", "cake") == Claimed()
    assert await store.apply(record_invoice("i", None, Share(5, 5))) == FULL
    assert await store.apply(record_invoice("i", None, Share(6))) == Claimed()
    assert audit(ledger, SERVICE) == []
    await store.apply(credit("a0"))
    await store.apply(ExpireInvoices((hash_of("a1"), hash_of("b0")), 0, NODE, NOW))
    names = ("payer:ann", "payer:ben", "offer:tea", "payer:cid", "offer:cake", "@offers", "@all")
    assert (await store.before_invoice("x", NODE, names))[1] == (0, 0, 0, 1, 2, 2, 3)
    assert audit(ledger, SERVICE) == []


async def test_open_invoices_are_counted_apart_for_each_node(store: Store, ledger: Path) -> None:
    other = invoice("k", node_id=OTHER_NODE)
    assert await store.apply(record_invoice("i", None, ONE)) == Claimed()
    assert await store.before_invoice("want-k", OTHER_NODE, ("app",)) == (False, (0,))
    assert await store.apply(record_invoice("k", other, ONE)) == Claimed()
    await store.apply(ExpireInvoices((other.payment_hash,), 0, OTHER_NODE, NOW))
    counts = [(await store.before_invoice("want-l", node, ("app", "@all")))[1] for node in (NODE, OTHER_NODE)]
    assert counts == [(1, 1), (0, 0)]
    assert audit(ledger, SERVICE) == []


async def test_a_refused_invoice_leaves_no_row(store: Store) -> None:
    await store.apply(record_invoice("i", None, ONE))
    await store.apply(record_invoice("j", None, ONE))
    assert await store.request("want-j") is None
    assert await store.invoice_by_hash(NODE, hash_of("j")) is None


async def test_a_settlement_of_an_unknown_hash_is_the_owners_money_once(store: Store) -> None:
    before = await balance(store, "owner")
    assert await store.apply(credit("stranger", 700)) == Credited(None)
    assert await store.apply(credit("stranger", 700)) == AlreadyCredited()
    assert (await balance(store, "owner"))[0] == before[0] + 700


async def test_a_hash_credited_as_unknown_is_not_credited_again_as_an_invoice(store: Store) -> None:
    await store.apply(credit("i", 500))
    await open_invoice(store, "i")
    assert await store.apply(credit("i", 500)) == AlreadyCredited()
    assert await balance(store, "alice") == (100_000, 0, 0)


async def test_less_than_was_asked_for_settles_nothing_and_is_not_lost(store: Store) -> None:
    await open_invoice(store, "i", 500)
    before = await balance(store, "owner")
    assert await store.apply(credit("i", 499)) == Credited(None)
    assert await balance(store, "alice") == (100_000, 0, 0)
    assert (await balance(store, "owner"))[0] == before[0] + 499


async def test_the_cursor_moves_with_the_credit_and_also_with_old_news(store: Store) -> None:
    await store.apply(SaveNode(Node(NODE, 1, "sandbox", "regtest", b"1")))
    await store.apply(credit("a", 700, b"2"))
    assert await store.node(NODE) == Node(NODE, 1, "sandbox", "regtest", b"2")
    await store.apply(credit("a", 700, b"3"))
    assert await store.node(NODE) == Node(NODE, 1, "sandbox", "regtest", b"3")
    await store.apply(ParkSettlement(NODE, hash_of("b"), b"4", "it is of 0 msat", NOW))
    await store.apply(ParkSettlement(NODE, hash_of("b"), b"", "", NOW))
    assert [e.detail for e in await store.events(0, 99) if isinstance(e, FeedEvent) and e.kind == "alarm"] == [
        "it is of 0 msat"
    ]
    await store.apply(SaveNode(Node(NODE, 2, "lnd", "regtest")))
    assert await store.node(NODE) == Node(NODE, 2, "lnd", "regtest", b"4")
    assert await store.node("another") is None


async def test_invoices_expire_and_those_of_strangers_leave_no_rows(store: Store) -> None:
    await open_invoice(store, "i")
    offered = invoice("o", grant_id="", offer_id="tea", account_id="owner")
    await store.apply(record_invoice("o", offered))
    end, both = NOW + 3600, (hash_of("i"), hash_of("o"))
    for ended, node_id in (((), NODE), ((hash_of("nobody"), ""), NODE), (both, "another node")):
        await store.apply(ExpireInvoices(ended, 2 * end, node_id, 2 * end))
    assert len(await store.invoices(InvoiceState.OPEN)) == 2
    await store.apply(ExpireInvoices(both, end, NODE, NOW))
    assert {one.invoice_id for one in await store.invoices(InvoiceState.EXPIRED)} == {"inv-i", "inv-o"}
    assert await store.messages("want-o") == (reply("want-o", "invoice"),)
    await store.apply(ExpireInvoices((), end + 1, "another node", NOW))
    assert len(await store.invoices(InvoiceState.EXPIRED)) == 2
    assert await store.apply(ExpireInvoices((), end + 1, NODE, NOW)) == Done()
    assert await store.request("want-o") is None
    assert await store.messages("want-o") == ()
    assert await store.request("want-i") is not None
    assert [one.invoice_id for one in await store.invoices(InvoiceState.EXPIRED)] == ["inv-i"]
    assert isinstance(await store.apply(credit("i")), Credited)
    assert await balance(store, "alice") == (100_500, 0, 0)


async def test_an_unpaid_invoice_of_a_stranger_leaves_no_event_and_one_that_is_paid_does(store: Store) -> None:
    """Strangers ask for as many as they like: what nobody paid must not push out of the feed what others need."""
    began_at = await store.last_event()
    await open_invoice(store, "i")
    for name in ("o", "paid"):
        await store.apply(record_invoice(name, invoice(name, grant_id="", offer_id="tea", account_id="owner")))
    await store.apply(credit("paid"))
    await store.apply(ExpireInvoices((hash_of("i"), hash_of("o")), 0, NODE, NOW))
    assert {one.invoice_id for one in await store.invoices(InvoiceState.EXPIRED)} == {"inv-i", "inv-o"}
    told = [(row.kind, row.subject) for row in await store.events(began_at, 10) if isinstance(row, FeedEvent)]
    assert told == [(EventKind.RECEIVED, "inv-paid"), (EventKind.EXPIRED, "inv-i")]


async def test_what_is_open_at_a_node_that_is_gone_is_left_and_open_again_when_it_is_back(
    store: Store, ledger: Path
) -> None:
    end, counts = NOW + 3_600, ("app", "offer:tea", "@offers", "@all")
    await open_invoice(store, "i")
    await store.apply(record_invoice("o", for_tea("o", payer="ann")))
    await store.apply(record_invoice("young", invoice("young", expires_at=end + 9)))
    await store.apply(record_invoice("here", invoice("here", node_id=OTHER_NODE)))
    assert await store.apply(LeaveInvoices(OTHER_NODE, end + 1)) == Done()
    assert {one.invoice_id for one in await store.invoices(InvoiceState.LEFT)} == {"inv-i", "inv-o"}
    assert {one.invoice_id for one in await store.invoices(InvoiceState.OPEN)} == {"inv-young", "inv-here"}
    assert (await store.before_invoice("x", NODE, counts))[1] == (1, 0, 0, 1)
    assert audit(ledger, SERVICE) == []
    await store.apply(ExpireInvoices((), 9 * end, NODE, NOW))  # no stranger's row goes either
    assert await store.apply(LeaveInvoices(NODE, 0)) == Done()
    assert len(await store.invoices(InvoiceState.OPEN)) == 4
    assert (await store.before_invoice("x", NODE, counts))[1] == (2, 1, 1, 3)
    assert audit(ledger, SERVICE) == []


async def test_an_invoice_that_was_left_is_credited_like_any_other(store: Store, ledger: Path) -> None:
    await open_invoice(store, "i")
    await store.apply(LeaveInvoices(OTHER_NODE, NOW + 9_999))
    assert isinstance(await store.apply(credit("i", 500, b"", receipt("want-i"))), Credited)
    assert await balance(store, "alice") == (100_500, 0, 0)
    await store.apply(LeaveInvoices(NODE, 0))
    assert await store.invoices(InvoiceState.OPEN) == []
    assert await store.apply(credit("i", 500)) == AlreadyCredited()
    assert audit(ledger, SERVICE) == []


async def test_many_are_left_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.invoices.SWEEP_LIMIT", 2)
    for name in "abc":
        await open_invoice(store, name)
    for node_id, state in ((OTHER_NODE, InvoiceState.LEFT), (NODE, InvoiceState.OPEN)):
        assert [await store.apply(LeaveInvoices(node_id, NOW + 9_999)) for _ in range(2)] == [More(), Done()]
        assert len(await store.invoices(state)) == 3


async def test_a_second_payment_of_an_internally_settled_invoice_is_surplus_once(store: Store) -> None:
    await open_invoice(store, "i")
    await store.apply(internal("i"))
    await store.apply(settle("i", 0, answered("i")))
    done = await store.apply(credit("i", 500))
    assert isinstance(done, Credited)
    assert done.surplus
    assert await balance(store, "alice") == (101_000, 0, 0)
    assert await store.apply(credit("i", 500)) == AlreadyCredited()
    assert await balance(store, "alice") == (101_000, 0, 0)


async def test_an_invoice_of_an_offer_that_stands_otherwise_by_now_is_stale(store: Store) -> None:
    tea = Offer(offer_id="tea", label="Tea", currency="EUR", price_minor=350, webhook=Webhook("https://x.example"))
    asked = replace(record_invoice("i", for_tea("i")), offer=tea)
    assert await store.apply(asked) == Stale()  # there is none
    for other in ({"price_minor": 351}, {"state": OfferState.OFF}, {"relays": ("wss://x.example",)}):
        await store.apply(execute(f"{other}", SaveOffer(replace(tea, **other))))
        assert await store.apply(asked) == Stale()
        await store.apply(execute(f"back from {other}", SaveOffer(tea)))
    assert await store.invoices(InvoiceState.OPEN) == []
    assert await store.apply(asked) == Claimed()
