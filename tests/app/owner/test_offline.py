"""A stopped service is read from its ledger, and by the same rights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.app.owner.offline import run_offline
from kitestring.app.owner.table import TABLE
from kitestring.app.service.execute import execute
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer
from kitestring.base.transactions.owner import SaveGrant, SaveOffer, Write
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.app.desk import OWNER
from tests.kit.changed import replace
from tests.kit.clock import EPOCH as NOW

OFFLINE = {
    "card", "connections", "approvals", "blocked", "debit_pointer_list", "debit_grants", "debit_show",
    "debit_sessions", "events", "account_list", "account_show", "offer_list", "offer_show", "balance", "transactions",
    "hold_list", "offer_deliveries", "manage_links", "manage_grants", "transaction_show",
}  # fmt: skip


async def stopped(tmp_path: Path, *writes: Write) -> Config:
    """A service that ran once, and what its owner changed then."""
    home = DataDir(tmp_path, tmp_path)
    service_id = Keyring(home.seed(os.urandom)).service_id
    store = await SqliteStore.open(home.ledger, service_id)
    await execute(store, "change", "owner", writes, {}, NOW)
    await store.close()
    return Config(tmp_path)


async def test_what_needs_the_ledger_alone_is_answered_and_all_else_says_how_to_start(tmp_path: Path) -> None:
    config = await stopped(tmp_path)
    for row in TABLE:
        if row.name not in OFFLINE:
            with pytest.raises(KitestringError, match="start it with `kitestring up`") as caught:
                await run_offline(config, row.name, {})
            assert caught.value.reason is Reason.UNAVAILABLE
    assert (await run_offline(config, "offer_list", {}))["offers"] == []
    balance = await run_offline(config, "balance", {})
    assert balance["balance_msat"] is None
    assert "start it with `kitestring up`" in balance["unknown_because"]


async def test_an_owner_whose_grant_was_revoked_reads_nothing_of_a_stopped_service_either(tmp_path: Path) -> None:
    config = await stopped(tmp_path, SaveGrant(replace(OWNER, revoked_at=NOW, version=2)))
    for name in OFFLINE:
        with pytest.raises(KitestringError, match="the grant owner was revoked") as caught:
            await run_offline(config, name, {})
        assert caught.value.reason is Reason.NOT_PERMITTED


async def test_before_its_first_start_there_is_nothing_to_read(tmp_path: Path) -> None:
    DataDir(tmp_path, tmp_path).seed(os.urandom)
    with pytest.raises(KitestringError, match="start it with `kitestring up`"):
        await run_offline(Config(tmp_path), "connections", {})


async def test_an_offer_in_a_currency_is_shown_without_asking_anybody_for_its_rate(tmp_path: Path) -> None:
    cake = Offer(offer_id="cake", label="cake", currency="EUR", price_minor=350, relays=("wss://here.example",))
    config = await stopped(tmp_path, SaveOffer(cake))
    shown = await run_offline(config, "offer_show", {"offer": "cake"})
    assert (shown["price_minor"], shown["now_msat"]) == (350, None)
