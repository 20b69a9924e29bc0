"""Names for the TAB key: those in use, and silence wherever they cannot be had at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kitestring.ledger.sqlite.names import names
from tests.kit.app.desk import Office

KINDS = ("connection", "account", "offer")


async def test_names_in_use_are_told_and_ended_ones_are_not(office: Office, ledger: Path) -> None:
    for name in ("shop", "bot"):
        await office.run("connect", name, name=name)
        await office.run("account_create", name, name=f"{name}-2")
        await office.run("offer_create", name, label=f"{name} tea")
    await office.run("revoke", name="bot")
    await office.run("offer_off", offer="shop tea")
    await office.run("offer_delete", offer="bot tea")
    told = {kind: names(ledger, kind) for kind in KINDS}
    assert told == {"connection": ["shop"], "account": ["bot-2", "shop-2"], "offer": ["shop tea"]}


@pytest.mark.parametrize("kind", KINDS)
def test_no_ledger_one_of_another_form_and_a_locked_one_have_no_names(tmp_path: Path, kind: str) -> None:
    assert names(tmp_path / "none.db", kind) == []
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no ledger " * 100)
    assert names(damaged, kind) == []
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        assert names(other, kind) == []
        connection.execute("BEGIN EXCLUSIVE")
        assert names(other, kind) == []
