"""A check is one statement about one service, and each row of it one sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from kitestring.ledger.audit.subject import Subject, Violation, listed


@pytest.fixture
def pears() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE pears (service INTEGER, name TEXT, grams INTEGER)")
    rows = [(1, "big", 200), (1, "small", 90), (2, "rotten", 0)]
    connection.executemany("INSERT INTO pears VALUES (?, ?, ?)", rows)
    yield connection
    connection.close()


def test_a_check_asks_about_its_service_alone_and_says_a_sentence_per_row(pears: sqlite3.Connection) -> None:
    check = listed("SELECT name, grams FROM pears WHERE service = ?1 AND grams < 100", "{0} weighs {1} g")
    assert list(check(Subject(pears, 1, None))) == ["small weighs 90 g"]
    assert list(check(Subject(pears, 2, None))) == ["rotten weighs 0 g"]
    assert list(check(Subject(pears, 3, None))) == []


def test_further_values_follow_the_service(pears: sqlite3.Connection) -> None:
    rows = Subject(pears, 1, None).rows("SELECT name FROM pears WHERE service = ?1 AND grams > ?2", 100)
    assert list(rows) == [("big",)]


def test_violations_are_listed_by_invariant_and_then_by_sentence() -> None:
    found = [Violation("I9", "b"), Violation("I2", "z"), Violation("I9", "a")]
    assert [one.sentence for one in sorted(found)] == ["z", "a", "b"]
