"""What the writer remembers of a payment is never trusted beyond what the database says."""

import asyncio
import sqlite3
from pathlib import Path

from kitestring.base.errors import KitestringError
from kitestring.base.payments import State
from kitestring.base.transactions.answers import Claimed, Recorded
from kitestring.ledger.apply.memory import REMEMBERED, Memory, Reservation
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.values import NOW, answered, charge, claim, lose, payment, settle


def remembered(name: str) -> Reservation:
    return Reservation(payment(name), State.DISPATCHED, 1, ())


async def test_what_another_connection_changed_is_looked_up_again(store: SqliteStore, ledger: Path) -> None:
    await store.apply(claim("a", payment("a"), charge(1100, 50_000)))
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("UPDATE payments SET state = 'unknown', steps = steps || ' unknown', evidence = 'by another hand'")
    other.close()
    assert isinstance(await store.apply(settle("a", 10, answered("a"))), Recorded)
    found = await store.payment("pay-a")
    assert found is not None
    assert (found.state, found.evidence, found.settled_at) == (State.SETTLED, "by another hand", NOW + 1)


async def test_a_claim_that_was_rolled_back_with_its_batch_is_recorded_like_any_other(store: SqliteStore) -> None:
    claimed, lost, _ = await asyncio.gather(
        store.apply(claim("a")), store.apply(lose("nothing")), store.apply(claim("b")), return_exceptions=True
    )
    assert isinstance(claimed, Claimed)
    assert isinstance(lost, KitestringError)
    assert isinstance(await store.apply(settle("a", 10, answered("a"))), Recorded)
    assert await store.waiting("pay-a") == []


def test_a_payment_is_taken_once_and_forgotten_when_the_database_changed_elsewhere(tmp_path: Path) -> None:
    memory, path = Memory(), tmp_path / "a.db"
    ours, theirs = sqlite3.connect(path, isolation_level=None), sqlite3.connect(path, isolation_level=None)
    theirs.execute("CREATE TABLE one (a INTEGER)")
    memory.begin(ours)
    memory.claimed(remembered("a"))
    memory.begin(ours)
    assert memory.take("pay-a") == remembered("a")
    assert memory.take("pay-a") is None
    memory.claimed(remembered("b"))
    theirs.execute("INSERT INTO one VALUES (1)")
    memory.begin(ours)
    assert memory.take("pay-b") is None
    ours.close()
    theirs.close()


def test_a_memory_is_bounded() -> None:
    memory = Memory()
    for number in range(REMEMBERED + 1):
        memory.claimed(remembered(str(number)))
    assert memory.take(f"pay-{REMEMBERED}") is None
    assert memory.take(f"pay-{REMEMBERED - 1}") is not None
