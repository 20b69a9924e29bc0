"""The request of an app that changes its offers: claimed with the change and the answer, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.approvals import Block
from kitestring.base.errors import Reason
from kitestring.base.store import OffersOf, Store
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Stale
from kitestring.base.transactions.owner import SaveBlock, SaveGrant
from kitestring.base.transactions.requests import Prune
from tests.kit.changed import replace
from tests.kit.ledger.managing import APP, GRANT, LINK, manages, offer
from tests.kit.ledger.values import NOW, execute, reply, request


@pytest.fixture
async def shop(store: Store) -> Store:
    await store.apply(execute("link", SaveGrant(LINK), SaveGrant(GRANT)))
    return store


async def made(store: Store) -> list[str]:
    return [one.offer_id for one in await store.offers_of(OffersOf("shop", APP), limit=9)]


async def test_change_claim_and_answer_are_one_and_the_same_request_changes_nothing_more(shop: Store) -> None:
    assert await shop.apply(manages("r1", offer("mug"))) == Claimed()
    assert await shop.apply(manages("r1", offer("another"))) == Finished((reply("r1"),))
    assert await made(shop) == ["mug"]
    stored = await shop.request("r1")
    assert stored is not None
    assert (stored.wire, stored.grant_id) == ("manage", GRANT.grant_id)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"grant_version": 2}, Stale()),
        ({"grant_id": "nobody"}, Stale()),
    ],
    ids=["another version", "no grant"],
)
async def test_a_grant_that_is_not_as_it_was_seen_changes_nothing(
    shop: Store, changes: dict[str, Any], answer: object
) -> None:
    assert await shop.apply(manages("r1", offer("mug"), **changes)) == answer
    assert await made(shop) == []
    assert await shop.request("r1") is None


async def test_a_revoked_grant_and_a_blocked_key_change_nothing(shop: Store) -> None:
    await shop.apply(execute("block", SaveBlock(APP, Block(APP, NOW))))
    assert await shop.apply(manages("r1", offer("mug"))) == Denied(Reason.NOT_PERMITTED)
    await shop.apply(execute("unblock", SaveBlock(APP, None)))
    await shop.apply(execute("revoke", SaveGrant(replace(GRANT, revoked_at=NOW, version=2))))
    assert await shop.apply(manages("r2", offer("mug"), grant_version=2)) == Stale()
    assert await made(shop) == []


async def test_the_key_of_an_account_needs_no_grant(shop: Store) -> None:
    assert await shop.apply(manages("r1", offer("mug"), grant_id="")) == Claimed()


async def test_what_may_have_been_forgotten_is_not_done_again(shop: Store) -> None:
    await shop.apply(manages("old", offer("old")))
    late = manages("new", offer("new"))
    late = replace(late, request=replace(request("new", wire="manage"), sent_at=NOW + 90, received_at=NOW + 90))
    assert await shop.apply(late) == Claimed()
    await shop.apply(Prune(NOW + 90, 30))
    assert await shop.request("old") is None
    assert await shop.apply(manages("old", offer("old again"))) == Denied(Reason.STALE_REQUEST)
    assert sorted(await made(shop)) == ["new", "old"]
