import sqlite3
from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError
from kitestring.ledger.sqlite.migrations import Migration, migrate, migrations

ONE = Migration(1, "0001_one.sql", "CREATE TABLE one (a INTEGER) STRICT;\n")
TWO = Migration(2, "0002_two.sql", "CREATE TABLE two (a INTEGER) STRICT;\nINSERT INTO two\n VALUES (7);\n")
BROKEN = Migration(2, "0002_broken.sql", "CREATE TABLE two (a INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);\n")


@pytest.fixture
def database(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "a.db", isolation_level=None)


def test_migrations_are_numbered_without_gaps_from_one() -> None:
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))


def test_each_migration_is_applied_once_and_later_ones_go_on_from_there(database: sqlite3.Connection) -> None:
    migrate(database, [ONE])
    migrate(database, [ONE, TWO])
    migrate(database, [ONE, TWO])
    assert database.execute("SELECT a FROM two").fetchall() == [(7,)]
    assert database.execute("SELECT number, checksum FROM migrations").fetchall() == [
        (1, ONE.checksum),
        (2, TWO.checksum),
    ]
    database.close()


def test_a_changed_migration_is_refused(database: sqlite3.Connection) -> None:
    migrate(database, [ONE])
    changed = Migration(1, "0001_one.sql", ONE.sql + "-- a word more\n")
    with pytest.raises(KitestringError, match="start with another --data-dir"):
        migrate(database, [changed, TWO])
    database.close()


def test_a_database_of_a_newer_version_is_refused(database: sqlite3.Connection) -> None:
    migrate(database, [ONE, TWO])
    with pytest.raises(KitestringError, match="newer kitestring"):
        migrate(database, [ONE])
    database.close()


def test_a_migration_that_breaks_leaves_nothing_of_itself(database: sqlite3.Connection) -> None:
    migrate(database, [ONE])
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(database, [ONE, BROKEN])
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    assert tables == [("migrations",), ("one",)]
    assert database.execute("SELECT count(*) FROM migrations").fetchone() == (1,)
    database.close()
