"""Offers that apps manage: written as they were seen, within their room, and listed by their maker."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.errors import Reason
from kitestring.base.grants import OfferState
from kitestring.base.store import OffersOf, Store
from kitestring.base.transactions.answers import Claimed, Denied, Stale
from kitestring.base.transactions.owner import EndOffers, SaveGrant, SaveOffer
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.changed import replace
from tests.kit.ledger.managing import APP, GRANT, LINK, manages, offer
from tests.kit.ledger.values import NOW, execute

MINE = OffersOf("shop", APP)
OTHER = "b9" * 32


@pytest.fixture
async def shop(store: Store) -> Store:
    theirs = replace(GRANT, grant_id="shop-other", name="other", caller=OTHER)
    await store.apply(execute("link", SaveGrant(LINK), SaveGrant(GRANT), SaveGrant(theirs)))
    return store


async def test_an_offer_that_was_changed_meanwhile_is_not_written_over(shop: Store) -> None:
    mug = offer("mug")
    await shop.apply(manages("r1", mug))
    off = replace(mug, state=OfferState.OFF)
    await shop.apply(execute("off", SaveOffer(off)))
    assert await shop.apply(manages("r2", replace(mug, label="cup"), mug)) == Stale()
    assert await shop.apply(manages("r3", replace(off, label="cup"), off)) == Claimed()
    assert await shop.offer("mug") == replace(off, label="cup")
    assert await shop.apply(manages("r4", mug)) == Stale(), "it is there already"


async def test_over_a_link_that_has_ended_nothing_is_written(shop: Store) -> None:
    await shop.apply(execute("end", SaveGrant(replace(LINK, revoked_at=NOW, version=2))))
    assert await shop.apply(manages("r1", offer("mug"))) == Stale()


async def test_there_is_room_for_so_many_of_one_app_and_for_so_many_that_it_has_deleted(shop: Store) -> None:
    for number in range(2):
        assert await shop.apply(manages(f"r{number}", offer(f"o{number}"), most=2)) == Claimed()
    full = Denied(Reason.OVER_BUDGET)
    assert await shop.apply(manages("r2", offer("o2"), most=2)) == full
    theirs = offer("theirs", creator=OTHER)
    assert await shop.apply(manages("b", theirs, most=2, grant_id="", caller=OTHER)) == Claimed()
    gone = replace(offer("o0"), state=OfferState.DELETED)
    assert await shop.apply(manages("d", gone, offer("o0"), most=0)) == Claimed(), "a change needs no room"
    assert await shop.apply(manages("r3", offer("o3"), most=2, most_deleted=1)) == full
    assert await shop.apply(manages("r4", offer("o3"), most=2, most_deleted=2)) == Claimed()


async def test_the_newest_come_first_and_a_page_goes_on_right_behind_the_last_one(shop: Store) -> None:
    times = {"a": 5, "b": 5, "c": 7, "d": 3}
    for name, at in times.items():
        await shop.apply(manages(name, offer(name, created_at=at)))
    await shop.apply(execute("own", SaveOffer(offer("owners", creator="", pointer_id=""))))
    assert [one.offer_id for one in await shop.offers_of(MINE, limit=9)] == ["c", "b", "a", "d"]
    page = await shop.offers_of(MINE, limit=2)
    rest = await shop.offers_of(MINE, before=page[-1], limit=9)
    assert [one.offer_id for one in (*page, *rest)] == ["c", "b", "a", "d"]
    gone = replace(offer("b", created_at=5), state=OfferState.DELETED)
    await shop.apply(manages("gone", gone, offer("b", created_at=5)))
    assert [one.offer_id for one in await shop.offers_of(MINE, limit=9)] == ["c", "a", "d"]
    assert [one.offer_id for one in await shop.offers_of(MINE, before=gone, limit=9)] == ["a", "d"]
    of_account = await shop.offers_of(OffersOf(account_id="alice"), limit=9)
    assert {one.offer_id for one in of_account} == {"a", "c", "d", "owners"}
    assert await shop.offers_of(OffersOf("", ""), limit=9) == []
    assert (await shop.count_offers("shop"), await shop.count_offers("shop", APP)) == (3, 3)
    assert await shop.count_offers("shop", OTHER) == 0


async def test_all_of_an_app_or_of_a_link_are_ended_at_once(shop: Store) -> None:
    await shop.apply(manages("a", offer("a")))
    await shop.apply(manages("b", offer("b", creator=OTHER), grant_id="", caller=OTHER))
    await shop.apply(execute("own", SaveOffer(offer("owners", creator="", pointer_id=""))))
    await shop.apply(execute("end app", EndOffers("shop", APP)))
    assert (await shop.count_offers("shop", APP), await shop.count_offers("shop", OTHER)) == (0, 1)
    await shop.apply(execute("end link", EndOffers("shop")))
    assert await shop.count_offers("shop") == 0
    owners = await shop.offer("owners")
    assert owners is not None
    assert owners.state is OfferState.OPEN


async def test_ten_thousand_offers_of_one_app_are_listed_and_counted_by_their_index(
    shop: SqliteStore, ledger: Path
) -> None:
    for part in range(10):
        rows = tuple(SaveOffer(offer(f"{part}-{n:04d}", created_at=NOW + n)) for n in range(1_000))
        assert await shop.apply(execute(f"part {part}", *rows)) == Claimed()
    asked: list[tuple[str, tuple[object, ...]]] = []
    run = shop._run

    def listen(sql: str, values: tuple[object, ...]) -> Any:
        asked.append((sql, values))
        return run(sql, values)

    shop._run = listen  # type: ignore[method-assign]  # to hear the very statements
    page = await shop.offers_of(MINE, limit=101)
    last = await shop.offers_of(MINE, before=page[-1], limit=101)
    await shop.offers_of(OffersOf(account_id="alice"), limit=101)
    assert (len(page), len(last), await shop.count_offers("shop", APP)) == (101, 101, 10_000)
    indexes = ("offers_by_creator", "offers_by_creator", "offers_by_account", "offers_by_creator")
    with closing(sqlite3.connect(ledger)) as connection:
        for (statement, values), index in zip(asked, indexes, strict=True):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            words = " ".join(str(row[-1]) for row in plan)
            assert index in words
            assert "TEMP B-TREE" not in words
