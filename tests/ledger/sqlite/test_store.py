"""What is SQLite's own: the file, several services and processes on it, reading only, and a killed writer."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import pytest

from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.grants import Account
from kitestring.base.invoices import TRANSITIONS, InvoiceState
from kitestring.base.payments import State
from kitestring.base.transactions.answers import Claimed, Denied
from kitestring.base.transactions.owner import SaveAccount
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.values import (
    SERVICE,
    answered,
    claim,
    execute,
    move,
    payment,
    record_invoice,
    setting,
    settle,
)

OTHER = "07" * 32


def _spoil(path: Path) -> None:
    path.write_bytes(b"this is a text and no database, whatever its name says" * 20)
    path.with_name("empty.db").touch()


def _killed(path: Path, lines: int) -> list[list[str]]:
    """Run the child, kill it after it has told so many lines, and bring every whole line it told."""
    command = [sys.executable, str(Path(__file__).with_name("crash_child.py")), str(path), "child"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        told += child.stdout.read().splitlines(keepends=True)
    return [line.split() for line in told if line.endswith("\n")]


async def test_a_new_ledger_has_the_owner_and_is_readable_by_nobody_else(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    assert [(one.account_id, one.credits_msat) for one in await store.accounts()] == [("owner", 0)]
    assert [(one.grant_id, one.wire, one.version) for one in await store.grants()] == [("owner", "owner", 1)]
    for file in ledger.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0
    await store.close()
    assert [file.name for file in ledger.parent.iterdir()] == ["kitestring.db"]


@pytest.mark.parametrize("cache_kib", [1_024, 65_536])
async def test_the_cache_of_the_writer_is_as_large_as_asked_for(ledger: Path, cache_kib: int) -> None:
    store = await SqliteStore.open(ledger, SERVICE, cache_kib=cache_kib)
    assert store._writer is not None
    assert store._writer.connection.execute("PRAGMA cache_size").fetchone() == (-cache_kib,)
    await store.close()


async def test_what_is_promised_about_durability_is_read_back(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    assert store._writer is not None
    pragmas = {
        name: store._writer.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert store._connection.execute("PRAGMA query_only").fetchone() == (1,)
    await store.close()


async def test_everything_is_there_again_after_reopening(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(setting())
    await store.apply(claim("a"))
    before = (await store.payment("pay-a"), await store.totals(), await store.accounts())
    await store.close()
    again = await SqliteStore.open(ledger, SERVICE)
    assert (await again.payment("pay-a"), await again.totals(), await again.accounts()) == before
    await again.close()


async def test_services_on_one_file_do_not_see_each_other(ledger: Path) -> None:
    stores = [await SqliteStore.open(ledger, service) for service in (SERVICE, OTHER)]
    for store in stores:
        assert await store.apply(setting()) == Claimed()
        assert await store.apply(claim("a")) == Claimed()
    await stores[0].apply(settle("a", 10, answered("a")))
    states = [payment.state for store in stores if (payment := await store.payment("pay-a"))]
    assert states == [State.SETTLED, State.DISPATCHED]
    for store in stores:
        await store.close()
    assert audit(ledger, SERVICE) == audit(ledger, OTHER) == []


async def test_two_stores_of_one_service_never_reserve_more_than_there_is(ledger: Path) -> None:
    stores = [await SqliteStore.open(ledger, SERVICE) for _ in range(2)]
    await stores[0].apply(setting(alice=10_000))
    claims = [claim(f"p{number}", payment(f"p{number}", 900, 100)) for number in range(20)]
    answers = await asyncio.gather(*(stores[n % 2].apply(one) for n, one in enumerate(claims)))
    assert sum(answer == Claimed() for answer in answers) == 10
    assert sum(isinstance(answer, Denied) for answer in answers) == 10
    same = await asyncio.gather(*(store.apply(claims[0]) for store in stores))
    assert Claimed() not in same
    for store in stores:
        await store.close()
    assert audit(ledger, SERVICE) == []


async def test_a_ledger_open_for_reading_reads_while_another_writes_and_writes_nothing(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(setting())
    reading = await SqliteStore.open(ledger, SERVICE, readonly=True)
    await store.apply(claim("a"))
    assert await reading.payment("pay-a") == await store.payment("pay-a")
    with pytest.raises(KitestringError, match="reading only"):
        await reading.apply(claim("b"))
    with pytest.raises(sqlite3.OperationalError):
        reading._connection.execute("DELETE FROM payments")
    await store.close()
    await reading.close()
    alone = await SqliteStore.open(ledger, SERVICE, readonly=True)
    assert len(await alone.open_payments()) == 1
    await alone.close()


async def test_reading_a_ledger_that_is_none_says_what_to_do(ledger: Path) -> None:
    with pytest.raises(KitestringError, match="start the service first"):
        await SqliteStore.open(ledger, SERVICE, readonly=True)
    _spoil(ledger)
    for readonly in (True, False):
        with pytest.raises(KitestringError, match="not a database") as told:
            await SqliteStore.open(ledger, SERVICE, readonly=readonly)
        assert told.value.reason is Reason.INTERNAL
    empty = ledger.with_name("empty.db")
    with pytest.raises(KitestringError, match="not a ledger of this version"):
        await SqliteStore.open(empty, SERVICE, readonly=True)
    store = await SqliteStore.open(ledger.with_name("other.db"), OTHER)
    await store.close()
    with pytest.raises(KitestringError) as unknown:
        await SqliteStore.open(ledger.with_name("other.db"), SERVICE, readonly=True)
    assert unknown.value.reason is Reason.UNKNOWN_TARGET


@pytest.mark.parametrize("mark", [0, 0x6B697465])
async def test_a_database_of_another_program_is_not_taken_over(ledger: Path, mark: int) -> None:
    raw = sqlite3.connect(ledger)
    raw.execute("CREATE TABLE theirs (a)")
    raw.execute(f"PRAGMA application_id = {mark}")
    raw.commit()
    raw.close()
    with pytest.raises(KitestringError, match="belongs to another program: move it away"):
        await SqliteStore.open(ledger, SERVICE)
    raw = sqlite3.connect(ledger)
    assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    raw.close()


async def test_a_database_with_another_checksum_is_not_opened(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.close()
    raw = sqlite3.connect(ledger)
    raw.execute("UPDATE migrations SET checksum = 'another'")
    raw.commit()
    raw.close()
    for readonly in (True, False):
        with pytest.raises(KitestringError, match="unreleased kitestring of another day: keep it") as refused:
            await SqliteStore.open(ledger, SERVICE, readonly=readonly)
        assert refused.value.exit_code is Exit.USAGE  # systemd is told not to start it again


async def test_a_writer_that_another_process_keeps_out_says_so(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.ledger.sqlite.store.BUSY_TIMEOUT_S", 0.01)
    store = await SqliteStore.open(ledger, SERVICE)
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    account = execute("new", SaveAccount(Account(account_id="a", name="a")))
    with pytest.raises(KitestringError, match="another process is writing"):
        await store.apply(account)
    other.execute("ROLLBACK")
    other.close()
    assert await store.apply(account) == Claimed()
    await store.close()


@pytest.mark.parametrize("lines", [3, 100, 301])
async def test_a_killed_process_loses_nothing_it_has_told_and_doubles_nothing(ledger: Path, lines: int) -> None:
    told = await asyncio.to_thread(_killed, ledger, lines)
    assert len(told) >= lines
    store = await SqliteStore.open(ledger, SERVICE)
    for word, name in told:
        found = await store.payment(f"pay-{name}")
        assert found is not None
        assert found.state is State.SETTLED or word == "claimed"
    open_payments = await store.open_payments()
    for one in open_payments:
        name = one.payment_id.removeprefix("pay-")
        await store.apply(settle(name, 1, answered(name)))
    assert await store.open_payments() == []
    assert await store.running_requests() == []
    await store.close()
    assert audit(ledger, SERVICE) == []


async def test_what_was_overdrawn_and_what_covered_it_stays_noted(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(setting(alice=10_000))
    await store.apply(claim("a", payment("a", 10_000, 0)))
    await store.apply(settle("a", 500, answered("a")))
    await store.apply(execute("fund", move("t", "owner", "alice", 600)))
    await store.close()
    raw = sqlite3.connect(ledger)
    assert raw.execute("SELECT account_id, overdrawn, available_msat, note FROM overdrafts").fetchall() == [
        ("alice", 1, -500, "cost more than was held"),
        ("alice", 0, 100, "covered by what came in"),
    ]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute("DELETE FROM overdrafts")
    raw.close()


async def test_the_database_lets_an_invoice_take_the_steps_of_its_table_and_no_other(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(setting(alice=0))
    await store.apply(record_invoice("i"))
    await store.close()
    raw = sqlite3.connect(ledger, isolation_level=None)
    raw.execute("UPDATE invoices SET received_msat = 1, hold_blocks = 1, settle_deadline = 1")
    for before, after in product(InvoiceState, InvoiceState):
        raw.execute("BEGIN")
        if before is not InvoiceState.OPEN:
            raw.execute("UPDATE invoices SET state = ?", (before,))
        allowed = after in TRANSITIONS[before]
        with nullcontext() if allowed else pytest.raises(sqlite3.IntegrityError, match="settled, once"):
            raw.execute("UPDATE invoices SET state = ?", (after,))
        raw.execute("ROLLBACK")
    raw.close()
