"""The feed as its owner sees it, read from a real ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kitestring.app.owner.command import Call
from kitestring.app.owner.desk import Reading
from kitestring.app.owner.events import EventsParams, events
from kitestring.app.owner.params import npub
from kitestring.base.budgets import Budget
from kitestring.base.money import Msat, sat
from kitestring.base.transactions.feed import ForgetNews
from kitestring.base.transactions.service import SetSpending
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.app.desk import Office
from tests.kit.engine.rig import AMOUNT
from tests.kit.ledger.steps import open_invoice
from tests.kit.ledger.values import NOW, SERVICE, answered, claim, credit, hash_of, setting, settle


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "kitestring.db", SERVICE)
    await store.apply(setting())
    await store.apply(claim("a"))
    await store.apply(settle("a", 10, answered("a")))
    await store.apply(SetSpending(True, "drift of 5 sat", NOW))
    yield store
    await store.close()


async def asked(store: SqliteStore, **params: Any) -> dict[str, Any]:
    desk = cast(Reading, SimpleNamespace(store=store))
    return await events(desk, EventsParams(**params), cast(Call, None))


async def test_the_newest_events_are_shown_the_oldest_of_them_first(store: SqliteStore) -> None:
    found = await asked(store, limit=2)
    assert [(row["number"], row["kind"]) for row in found["events"]] == [(3, "settled"), (4, "alarm")]
    assert (found["last"], found["missed"]) == (4, 0)
    settled, alarm = found["events"]
    assert (settled["payment_hash"], settled["connection_id"], settled["account"]) == (hash_of("a"), "app", "alice")
    assert alarm["payment_hash"] is None
    assert (alarm["detail"], alarm["happened_at"]) == ("spending stops: drift of 5 sat", NOW)


async def test_whoever_names_the_last_number_he_saw_gets_what_came_after(store: SqliteStore) -> None:
    assert [row["number"] for row in (await asked(store, after=1))["events"]] == [2, 3, 4]
    assert (await asked(store, after=4))["events"] == []


async def test_what_was_forgotten_meanwhile_is_counted(store: SqliteStore) -> None:
    await store.apply(ForgetNews(NOW, 0, max_events=1))
    found = await asked(store, after=1)
    assert (found["missed"], [row["number"] for row in found["events"]]) == (2, [4])
    assert (await asked(store))["missed"] == 0


async def test_what_is_about_money_has_the_hash_that_every_other_command_shows(store: SqliteStore) -> None:
    await store.apply(SetSpending(False, "sure", NOW))
    after = await store.last_event()
    await open_invoice(store, "i")
    await store.apply(credit("i"))
    await store.apply(credit("stranger", 700))
    await store.apply(claim("b"))
    await store.apply(settle("b", 5_000, answered("b")))
    found = {row["payment_hash"]: row["kind"] for row in (await asked(store, after=after))["events"]}
    assert found[hash_of("i")] == found[hash_of("stranger")] == "received"
    assert found[hash_of("b")] == "settled"
    (alarm,) = (row for row in (await asked(store, after=after))["events"] if row["kind"] == "alarm")
    assert hash_of("b") in alarm["detail"]
    assert "pay-b" not in alarm["detail"]


async def test_an_event_of_a_connection_has_no_hash_but_the_connection(store: SqliteStore) -> None:
    granted = [row for row in (await asked(store, after=0))["events"] if row["kind"] == "granted"]
    assert [(row["payment_hash"], row["connection_id"]) for row in granted] == [(None, "app"), (None, "bobs")]


async def test_a_question_is_told_in_a_sentence_with_its_id_and_so_is_its_end(office: Office) -> None:
    key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    await office.rig.pointer("till")
    await office.rig.debit("r1", key, budget=Budget.weekly(sat(5_000)))
    await office.rig.debit("r2", key)
    await office.rig.debit("r3", key, office.rig.life.node.outside_invoice(), description="evil words")
    (last,) = await office.store.approvals(limit=9)
    await office.run("deny", id=last.approval_id)
    told = [row for row in (await office.run("events", after=0))["events"] if row["approval_id"]]
    who = npub(key)
    assert [(row["kind"], row["detail"]) for row in told] == [
        ("asked", f"{who} asks for a budget of 5,000 sat per week at till"),
        ("decided", f"superseded: {who} asks for a budget of 5,000 sat per week at till"),
        ("asked", f"{who} asks for full access at till"),
        ("decided", f"superseded: {who} asks for full access at till"),
        ("asked", f"{who} asks for a payment of {Msat(AMOUNT)} at till"),
        ("decided", f"denied by owner: {who} asks for a payment of {Msat(AMOUNT)} at till"),
    ]
    assert told[-1]["approval_id"] == last.approval_id
    assert told[-1]["payment_hash"] is None
