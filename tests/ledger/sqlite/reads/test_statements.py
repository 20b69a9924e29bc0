"""A file that cannot be read."""

import sqlite3

import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.store import Scope
from tests.kit.ledger.plans import Plans


async def test_a_database_that_cannot_be_read_is_a_plain_error(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = plans
    with monkeypatch.context() as broken:
        broken.setattr(store, "_connection", sqlite3.connect(":memory:"))
        for read in (store.totals(), store.payment("a"), store.transactions(Scope(), ListTransactions())):
            with pytest.raises(KitestringError, match="cannot be read") as told:
                await read
            assert told.value.reason is Reason.INTERNAL
        store._connection.close()
