"""Changes of the owner: all or nothing, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring.app.service.execute import execute, stored_result
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account, Grant
from kitestring.base.money import Msat
from kitestring.base.records import NodeView
from kitestring.base.transactions.answers import Claimed
from kitestring.base.transactions.owner import SaveAccount, SaveGrant, Transfer
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.values import claim, payment, request

APP = SaveGrant(Grant(grant_id="app", name="app", wire="nwc"))
NOW = 1_790_000_000


@pytest.fixture
async def store(ledger: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(ledger, "ab" * 32)
    yield opened
    await opened.close()


async def test_the_second_time_the_result_of_the_first_is_told(store: SqliteStore) -> None:
    assert await stored_result(store, "key") is None
    assert await execute(store, "key", "owner", (APP,), {"made": 1}, NOW) is None
    assert await execute(store, "key", "owner", (APP,), {"made": 2}, NOW) == {"made": 1}
    assert await stored_result(store, "key") == {"made": 1}


async def test_who_was_overtaken_by_another_change_is_told_to_try_again(store: SqliteStore) -> None:
    await execute(store, "first", "owner", (APP,), {}, NOW)
    with pytest.raises(KitestringError) as caught:
        await execute(store, "second", "owner", (APP,), {}, NOW)
    assert caught.value.reason is Reason.BUSY


async def test_what_is_denied_is_told_with_what_would_have_fitted(store: SqliteStore) -> None:
    bob = SaveAccount(Account(account_id="bob", name="bob"))
    too_much = Transfer("t", "owner", "bob", Msat(5), "", NOW, NodeView(Msat(3), Msat(0)))
    with pytest.raises(KitestringError) as caught:
        await execute(store, "key", "owner", (bob, too_much), {}, NOW)
    assert (caught.value.reason, caught.value.details) == (Reason.INSUFFICIENT_FUNDS, {"remaining_msat": 3})
    with pytest.raises(KitestringError) as caught:
        await execute(store, "key", "owner", (SaveAccount(Account(account_id="@world", name="mine")),), {}, NOW)
    assert (caught.value.reason, caught.value.details) == (Reason.NOT_PERMITTED, {"remaining_msat": None})


async def test_a_key_under_which_a_payment_is_under_way_changes_nothing_and_is_not_called_done(
    store: SqliteStore,
) -> None:
    paid = payment("a", account_id="owner", grant_id="owner")
    asked = request("key", wire="control", grant_id="owner")
    assert await store.apply(claim("a", paid, asked=asked)) == Claimed()
    with pytest.raises(KitestringError) as caught:
        await execute(store, "key", "owner", (APP,), {"made": 1}, NOW)
    assert caught.value.reason is Reason.BUSY
    assert await store.grant("app") is None
