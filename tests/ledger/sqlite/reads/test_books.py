"""Pages of the owner's list have what was asked for, in the order in which it was made, and cost the same however long
the books are."""

from __future__ import annotations

from itertools import product

import pytest
from msgspec.structs import replace

from kitestring.base.books import OF_INVOICES, OF_PAYMENTS, BookEntry, BookQuery, BookState
from kitestring.base.records import Payment
from kitestring.ledger.sqlite.reads import books
from tests.kit.ledger.busy import BUSY
from tests.kit.ledger.plans import WALK, Plans
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

ALL = frozenset(BookState)
WORDS = {"reserved": "pending", "dispatched": "pending", "open": "pending", "left": "expired"}


def state_of(entry: BookEntry) -> str:
    return WORDS.get(entry.state.value, entry.state.value)


def way_of(entry: BookEntry) -> str:
    return "outgoing" if isinstance(entry, Payment) else "incoming"


@pytest.mark.parametrize("direction", ["", "incoming", "outgoing"])
async def test_each_wish_is_met_by_just_the_entries_that_fit(plans: Plans, direction: str) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    everything = (await store.books(BookQuery(states=ALL, limit=99))).entries
    assert len(everything) > 20
    assert {state_of(one) for one in everything} > {"settled", "failed", "unknown", "resolved", "pending", "accepted"}
    wishes = (*(frozenset({state}) for state in BookState), ALL)
    narrower: tuple[dict[str, str], ...] = (
        {},
        {"grant_id": "app"},
        {"account_id": "alice"},
        {"grant_id": "app", "account_id": "alice"},
    )
    for states, more in product(wishes, narrower):
        query = replace(BookQuery(direction=direction, limit=99, states=states), **more)
        fitting = [
            one for one in everything
            if state_of(one) in query.states and way_of(one) == (direction or way_of(one))
            and query.grant_id in (one.grant_id, "") and query.account_id in (one.account_id, "")
        ]  # fmt: skip
        assert list((await store.books(query)).entries) == fitting
        assert await store.count_books(query) == len(fitting)
    walks = [step for step in explained() if "made" in step[0] and WALK.search(step[1]) and "TEMP" not in step[1]]
    assert walks == []


async def test_in_one_second_payments_and_invoices_stand_in_the_order_in_which_they_were_made(plans: Plans) -> None:
    store, _ = plans
    await store.apply(setting())
    for number in range(3):
        await store.apply(claim(f"p{number}"))
        await store.apply(record_invoice(f"i{number}", invoice(f"i{number}", created_at=NOW)))
    for number in (2, 0, 1):
        await store.apply(credit(f"i{number}"))
    page = await store.books(BookQuery(states=ALL))
    assert {one.created_at for one in page.entries} == {NOW}
    names = {hash_of(name): name for name in ("p0", "p1", "p2", "i0", "i1", "i2")}
    assert [names[one.payment_hash] for one in page.entries] == ["i2", "p2", "i1", "p1", "i0", "p0"]


async def test_pages_bring_each_entry_once_whatever_comes_meanwhile(plans: Plans) -> None:
    store, _ = plans
    await store.apply(setting())
    for number in range(7):
        await store.apply(claim(f"p{number}", payment(f"p{number}", created_at=NOW + number // 3)))
    query, seen = BookQuery(states=ALL, limit=3), []
    while True:
        page = await store.books(query)
        seen += [one.payment_hash for one in page.entries]
        await store.apply(record_invoice(f"new {len(seen)}", invoice(f"new {len(seen)}", created_at=NOW + 9)))
        if page.next is None:
            break
        query = replace(query, after=page.next)
    assert seen == [hash_of(f"p{number}") for number in reversed(range(7))]


async def test_an_offers_sales_are_found_by_its_own_index(plans: Plans) -> None:
    store, explained = plans
    await store.apply(setting())
    for number in range(6):
        name = f"i{number}"
        offer_id = ("tea", "", "cake")[number % 3]
        grant_id = "" if offer_id else "app"
        await store.apply(record_invoice(name, invoice(name, offer_id=offer_id, grant_id=grant_id, created_at=NOW)))
    await store.apply(credit("i0"))
    found = await store.books(BookQuery(offer_id="tea"))
    assert [one.payment_hash for one in found.entries] == [hash_of("i0")]
    assert len((await store.books(BookQuery(offer_id="tea", states=ALL))).entries) == 2
    assert (await store.books(BookQuery(offer_id="tea", direction="outgoing"))).entries == ()
    assert await store.count_books(BookQuery(offer_id="tea", direction="outgoing")) == 0
    looked = {step for sql, step in explained() if "made" in sql and "SEARCH" in step}
    assert all("invoices_by_offer (service=? AND offer_id=? AND created_at" in step for step in looked)


@pytest.mark.parametrize(("text", "names"), [("TEA", ["b", "a"]), ("100%", ["a"]), ("_", []), ("no route", ["b"])])
async def test_words_are_found_whatever_their_case_and_mean_nothing_else(
    plans: Plans, text: str, names: list[str]
) -> None:
    store, _ = plans
    await store.apply(setting())
    await store.apply(record_invoice("a", invoice("a", description="Tea, 100% leaf", created_at=NOW)))
    await store.apply(claim("b", payment("b", description="a tea cup")))
    await store.apply(fail("b", answered("b")))
    failed = (await store.entries_of(hash_of("b")))[0]
    assert isinstance(failed, Payment)
    text = failed.evidence if text == "no route" else text
    found = await store.books(BookQuery(states=ALL, search=text))
    assert [one.payment_hash for one in found.entries] == [hash_of(name) for name in names]


async def test_a_search_looks_through_a_bounded_number_and_goes_on_where_it_stopped(
    plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "SCAN_LIMIT", 4)
    store, _ = plans
    await store.apply(setting())
    for number in range(10):
        words = "needle" if number in (0, 9) else "hay"
        await store.apply(claim(f"p{number}", payment(f"p{number}", description=words)))
    query = BookQuery(states=ALL, search="needle")
    pages = [await store.books(query)]
    while (behind := pages[-1].next) is not None:
        pages.append(await store.books(replace(query, after=behind)))
    assert [[one.payment_hash for one in page.entries] for page in pages] == [[hash_of("p9")], [], [hash_of("p0")]]
    assert [page.is_cut for page in pages] == [True, True, False]
    assert await store.count_books(query) is None
    assert await store.count_books(BookQuery(states=ALL)) == 10


async def test_a_page_costs_the_same_however_many_others_there_are(plans: Plans) -> None:
    store, _ = plans
    await store.apply(setting())
    steps: list[None] = []
    queries = [BookQuery(states=frozenset({state}), limit=2) for state in OF_PAYMENTS - {BookState.PENDING}] + [
        BookQuery(limit=2),
        BookQuery(states=ALL, limit=2),
        BookQuery(states=ALL, limit=2, grant_id="app"),
    ]

    async def costs() -> list[int]:
        found = []
        for query in queries:
            before = len(steps)
            await store.books(query)
            found.append(len(steps) - before)
        return found

    async def fill(begin: int, end: int) -> None:
        for number in range(begin, end):
            for name in (f"good{number}", f"bad{number}"):
                await store.apply(claim(name, payment(name, created_at=NOW + number)))
            await store.apply(settle(f"good{number}", 1, answered(f"good{number}")))
            await store.apply(fail(f"bad{number}", answered(f"bad{number}")))
            await store.apply(record_invoice(f"i{number}", invoice(f"i{number}", created_at=NOW + number)))
            await store.apply(credit(f"i{number}"))

    await fill(0, 10)
    store._connection.set_progress_handler(lambda: steps.append(None), 10)
    few = await costs()
    store._connection.set_progress_handler(None, 10)
    await fill(10, 90)
    store._connection.set_progress_handler(lambda: steps.append(None), 10)
    many = await costs()
    store._connection.set_progress_handler(None, 10)
    assert all(late <= early + 5 for early, late in zip(few, many, strict=True)), (few, many)


async def test_a_hash_is_found_by_its_beginning_and_brings_all_that_has_it(plans: Plans) -> None:
    store, explained = plans
    for tx in BUSY:
        await store.apply(tx)
    inside = hash_of("inside")
    assert await store.hashes_like(inside[:8], 3) == [inside]
    assert await store.hashes_like("0" * 12, 3) == []
    assert len(await store.hashes_like("", 3)) == 3
    assert [way_of(one) for one in await store.entries_of(inside)] == ["incoming", "outgoing"]
    assert await store.entries_of("00" * 32) == []
    walks = [
        step for sql, step in explained() if "payment_hash" in sql and sql.startswith("SELECT") and WALK.search(step)
    ]
    assert [step for step in walks if "TEMP" not in step] == []


def test_the_states_of_both_directions_are_all_in_the_tables() -> None:
    assert (frozenset(books._PAYMENTS), frozenset(books._INVOICES)) == (OF_PAYMENTS, OF_INVOICES)
