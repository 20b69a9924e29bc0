"""The file of a sandbox world: made whole by one, refused when it is something else, and its time never goes back."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from kitestring.backend.sandbox.file import INBOUND_MSAT, SCHEMA_VERSION, advance, moment_ms, open_file, transaction
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError
from kitestring.base.money import sat
from tests.kit.backend.sandbox import make, new_file
from tests.kit.clock import WalkingClock


async def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").write_text("a diary, not a database; long enough to be looked at by anybody")
    with pytest.raises(KitestringError, match="cannot be opened"):
        await make(tmp_path, WalkingClock()).open()
    for name, version in (("other.db", 99), ("theirs.db", SCHEMA_VERSION)):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(KitestringError, match="no sandbox of this version"):
            World(tmp_path / name)
    with pytest.raises(KitestringError, match="start its node first"):
        World(tmp_path / "missing.db")
    assert not (tmp_path / "missing.db").exists()
    assert (tmp_path / "sandbox.db").read_text().startswith("a diary")


def _node_of(directory: Path) -> bytes:
    new_file(directory)
    with sqlite3.connect(directory / "sandbox.db") as connection:
        secret: bytes = connection.execute("SELECT node_secret FROM node").fetchone()[0]
    connection.close()
    return secret


def test_of_several_that_make_the_world_at_once_one_wins(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        worlds = set(threads.map(_node_of, [tmp_path] * 8))
    assert len(worlds) == 1
    assert not list(tmp_path.glob("*.new"))
    assert (tmp_path / "sandbox.db").stat().st_mode & 0o777 == 0o600


def test_the_owner_of_a_new_world_has_his_opening_balance_and_room_for_more(tmp_path: Path) -> None:
    with closing(open_file(tmp_path / "new.db", opening_msat=sat(7))) as connection:
        row = connection.execute("SELECT * FROM node").fetchone()
        assert (row["opening_msat"], row["balance_msat"]) == (7_000, 7_000)
        assert row["capacity_msat"] == 7_000 + INBOUND_MSAT
        assert row["node_secret"] != row["outside_secret"]
    with closing(open_file(tmp_path / "new.db", opening_msat=sat(9))) as again:
        assert again.execute("SELECT opening_msat FROM node").fetchone()[0] == 7_000


def test_a_key_that_is_none_is_drawn_again(tmp_path: Path) -> None:
    drawn = iter([b"\x00" * 4, bytes(32), b"\xff" * 32, b"\x01" * 32, b"\x02" * 32])
    with closing(open_file(tmp_path / "new.db", entropy=lambda _: next(drawn), opening_msat=sat(1))) as connection:
        assert tuple(connection.execute("SELECT node_secret, outside_secret FROM node").fetchone()) == (
            b"\x01" * 32, b"\x02" * 32,
        )  # fmt: skip


def _spend_too_much(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        connection.execute("UPDATE node SET offline = 1")
        connection.execute("UPDATE node SET balance_msat = -1")


def test_a_transaction_that_breaks_leaves_nothing_behind(tmp_path: Path) -> None:
    with closing(open_file(new_file(tmp_path))) as connection:
        with pytest.raises(sqlite3.IntegrityError):
            _spend_too_much(connection)
        assert not connection.in_transaction
        assert connection.execute("SELECT offline FROM node").fetchone()[0] == 0
        with transaction(connection):
            connection.execute("UPDATE node SET offline = 1")
        assert connection.execute("SELECT offline FROM node").fetchone()[0] == 1


def test_time_in_a_world_never_goes_back(tmp_path: Path) -> None:
    with closing(open_file(new_file(tmp_path))) as connection:
        assert advance(connection, lambda: 5_000) == 5_000
        assert advance(connection, lambda: 3_000) == moment_ms(connection, lambda: 3_000) == 5_000
        assert moment_ms(connection, lambda: 6_000) == 6_000


def test_what_a_failed_payment_held_is_given_back_once_and_not_before_it_failed(tmp_path: Path) -> None:
    with closing(open_file(new_file(tmp_path))) as connection:
        row = ("aa", 1_000, 10, "failed", "given", "", 0, 5_000)
        connection.execute(
            "INSERT INTO payments (payment_hash, amount_msat, fee_msat, outcome, answer, preimage, sent_at_ms,"
            " resolve_at_ms, node_key, records, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '', 'no_route')",
            row,
        )
        connection.execute("UPDATE node SET balance_msat = 500")
        balances = []
        for now in (4_999, 5_000, 9_000):
            advance(connection, lambda now=now: now)  # type: ignore[misc]  # a value of the loop
            balances.append(connection.execute("SELECT balance_msat FROM node").fetchone()[0])
        assert balances == [500, 1_510, 1_510]
