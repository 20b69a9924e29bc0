"""Changes of the owner: all or nothing, and once."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.app.service.execute import execute, stored_result
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.transactions import SaveGrant
from kitestring.ledger.sqlite.store import SqliteStore

APP = SaveGrant(Grant(grant_id="app", name="app", wire="nwc"))
NOW = 1_790_000_000


async def test_the_second_time_the_result_of_the_first_is_told(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "db", "ab" * 32)
    try:
        assert await stored_result(store, "key") is None
        assert await execute(store, "key", "owner", (APP,), {"made": 1}, NOW) is None
        assert await execute(store, "key", "owner", (APP,), {"made": 2}, NOW) == {"made": 1}
        assert await stored_result(store, "key") == {"made": 1}
    finally:
        await store.close()


async def test_who_was_overtaken_by_another_change_is_told_to_try_again(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "db", "ab" * 32)
    try:
        await execute(store, "first", "owner", (APP,), {}, NOW)
        with pytest.raises(KitestringError) as caught:
            await execute(store, "second", "owner", (APP,), {}, NOW)
        assert caught.value.reason is Reason.BUSY
    finally:
        await store.close()
